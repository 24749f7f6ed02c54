// Uploads that were begun on this device, so that the same file continues one instead of beginning again.

import { user } from '../api/session.ts'
import { read, write } from '../kept.ts'

interface Begun {
  user: string
  video: string
  name: string
  bytes: number
  modified: number
}

const KEY = 'heimdex.uploads'
const MOST = 50

export function remember(video: string, file: File): void {
  const begun: Begun = { user: user.peek()?.id ?? '', video, name: file.name, bytes: file.size, modified: file.lastModified }
  keep([...all().filter((other) => other.video !== video), begun].slice(-MOST))
}

export function forget(video: string): void {
  keep(all().filter((other) => other.video !== video))
}

/** The upload of this user that this file began, if there is one. */
export function begunWith(file: File): string | null {
  return all().find((begun) => isOf(begun, file))?.video ?? null
}

/** Whether `file` is what `video` was begun with. Nothing is known of what began on another device. */
export function fits(video: string, file: File): boolean | undefined {
  const begun = all().find((other) => other.video === video)
  return begun && isOf(begun, file)
}

function isOf(begun: Begun, file: File): boolean {
  return (
    begun.user === user.peek()?.id &&
    begun.name === file.name &&
    begun.bytes === file.size &&
    begun.modified === file.lastModified
  )
}

function all(): Begun[] {
  try {
    const list: unknown = JSON.parse(read(KEY) ?? '[]')
    return Array.isArray(list) ? (list as Begun[]) : []
  } catch {
    return []
  }
}

function keep(list: Begun[]): void {
  write(KEY, list.length > 0 ? JSON.stringify(list) : null)
}

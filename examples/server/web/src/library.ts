// The reader's videos, kept up to date while the page is open.

import { computed, signal } from '@preact/signals'
import * as api from './api/client.ts'
import { follow } from './api/events.ts'
import { Failure, isAbort } from './api/problem.ts'
import { say } from './parts/notices.tsx'
import { route } from './route.ts'
import { text } from './strings.ts'
import type { Video, VideoStatus } from './api/types.ts'

/** By id; `undefined` until the first answer. */
const byId = signal<Map<string, Video> | undefined>(undefined)
const order = signal<string[]>([])

export const total = signal(0)
export const next = signal<string | null>(null)
export const failure = signal<unknown>(null)
export const loading = signal(false)

export const videos = computed<Video[] | undefined>(() => {
  const all = byId.value
  return all && order.value.flatMap((id) => all.get(id) ?? [])
})

let stop: AbortController | null = null
/** What changed while the list was on its way, which may not show it. */
const early = new Set<string>()

/** Loads the list and follows changes until `close`. */
export function open(): void {
  stop?.abort()
  stop = new AbortController()
  const { signal } = stop
  void load(signal)
  void follow(apply, () => void load(signal), signal)
}

export function close(): void {
  early.clear()
  stop?.abort()
  stop = null
  byId.value = undefined
  order.value = []
  total.value = 0
  next.value = null
  failure.value = null
}

export async function load(signal = stop?.signal): Promise<void> {
  loading.value = true
  try {
    const page = await api.videos(null, signal)
    if (signal?.aborted) return
    byId.value = new Map(page.videos.map((video) => [video.id, video]))
    order.value = page.videos.map((video) => video.id)
    total.value = page.total
    next.value = page.next ?? null
    failure.value = null
    for (const id of early) if (byId.peek()?.has(id)) void refresh(id)
    early.clear()
  } catch (error) {
    if (!isAbort(error)) failure.value = error
  } finally {
    loading.value = false
  }
}

export async function loadMore(): Promise<void> {
  if (!next.value || loading.value) return
  loading.value = true
  try {
    const page = await api.videos(next.value, stop?.signal)
    const all = new Map(byId.value)
    for (const video of page.videos) all.set(video.id, video)
    byId.value = all
    order.value = [...new Set([...order.value, ...page.videos.map((video) => video.id)])]
    next.value = page.next ?? null
    total.value = page.total
  } catch (error) {
    if (!isAbort(error)) failure.value = error
  } finally {
    loading.value = false
  }
}

/** Takes up what is new of a video. */
export function apply(status: VideoStatus): void {
  if (!byId.peek()) {
    early.add(status.id)
    return
  }
  const known = byId.peek()?.get(status.id)
  if (status.state === 'deleted') {
    forget(status.id)
    return
  }
  if (!known) {
    void refresh(status.id)
    return
  }
  put({ ...known, ...status })
  if (known.state !== status.state) {
    // What only an indexed video has, such as its picture and length.
    if (status.state === 'indexed' || status.state === 'failed') void refresh(status.id)
    const seen = route.peek().name === 'library'
    const title = known.title || text.library.untitled
    if (status.state === 'indexed') say(text.library.nowReady(title), 'good', seen)
    if (status.state === 'failed') say(text.library.nowFailed(title), 'bad', seen)
  }
}

/** Asks for one video again. */
export async function refresh(id: string): Promise<void> {
  try {
    put(await api.video(id, stop?.signal))
  } catch (error) {
    // Whatever else it is, the next event or visit brings it.
    if (error instanceof Failure && error.status === 404) forget(id)
  }
}

export function put(video: Video): void {
  const all = new Map(byId.peek())
  if (!all.has(video.id)) {
    order.value = [video.id, ...order.peek()]
    total.value += 1
  }
  all.set(video.id, video)
  byId.value = all
}

export function forget(id: string): void {
  const all = new Map(byId.peek())
  if (!all.delete(id)) return
  byId.value = all
  order.value = order.peek().filter((other) => other !== id)
  total.value = Math.max(0, total.peek() - 1)
}

export function find(id: string): Video | undefined {
  return byId.value?.get(id)
}

export function isWorking(video: VideoStatus): boolean {
  return video.state === 'validating' || video.state === 'processing'
}

/** The stage that runs, or why none does. */
export function stageText(video: VideoStatus): string {
  if (!isWorking(video)) return text.states[video.state] ?? video.state
  const stage = video.progress?.stage ?? video.stages.find((stage) => stage.state === 'running')?.stage
  return (stage && text.stages[stage]) ?? stage ?? text.library.waiting
}

/** How much of a video is indexed, 0 to 1; nothing when nobody works on it. */
export function progressOf(video: VideoStatus): number | undefined {
  return isWorking(video) ? video.progress?.fraction : undefined
}

/** Why a video failed. */
export function reason(video: VideoStatus): string {
  if (video.job?.state === 'cancelled') return text.library.cancelled
  return video.error?.message ?? video.stages.find((stage) => stage.error)?.error ?? text.library.failedNoReason
}

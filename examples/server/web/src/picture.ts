// A picture to search with, made small before it is sent.

import { signal } from '@preact/signals'
import { say } from './parts/notices.tsx'
import { ask, picture } from './search.ts'
import { route } from './route.ts'
import { text } from './strings.ts'

/** Models look at less than this; more would only be slower to send. */
const MOST_PIXELS = 768
const QUALITY = 0.9

export const reading = signal(false)

export async function usePicture(file: Blob): Promise<void> {
  reading.value = true
  try {
    const bitmap = await createImageBitmap(file)
    const scale = Math.min(1, MOST_PIXELS / Math.max(bitmap.width, bitmap.height))
    const canvas = document.createElement('canvas')
    canvas.width = Math.max(1, Math.round(bitmap.width * scale))
    canvas.height = Math.max(1, Math.round(bitmap.height * scale))
    const context = canvas.getContext('2d')
    if (!context) throw new Error('no canvas')
    // Where the picture is transparent it is white.
    context.fillStyle = '#fff'
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    bitmap.close()
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', QUALITY))
    if (!blob) throw new Error('no picture')
    dropPicture()
    picture.value = { url: URL.createObjectURL(blob), base64: await base64(blob) }
    ask({ like: null }, route.peek().name === 'search')
  } catch {
    say(text.search.imageTooLarge, 'bad')
  } finally {
    reading.value = false
  }
}

export function dropPicture(): void {
  if (picture.peek()) URL.revokeObjectURL(picture.peek()?.url ?? '')
  picture.value = null
}

async function base64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer())
  let binary = ''
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000))
  return btoa(binary)
}

// The files that were given to the page, two of them on the way at a time.

import { computed, signal } from '@preact/signals'
import { authConfig } from '../api/client.ts'
import { bytes } from '../format.ts'
import * as library from '../library.ts'
import { say } from '../parts/notices.tsx'
import { text } from '../strings.ts'
import { begunWith, fits } from './interrupted.ts'
import { Upload } from './upload.ts'
import type { Video } from '../api/types.ts'

const FILES_AT_ONCE = 2
/** An upload that is done is shown for this long; the library goes on from there. */
const SHOWN_MS = 5000
/** Endings of files whose type browsers do not know. */
const KNOWN_ENDINGS = /\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mts|mpg|mpeg|ogv|ogg|mp3|m4a|aac|wav|flac|opus|wmv|flv|3gp)$/i

/** Bytes that a file may have; what the server says later is what counts. */
const largest = signal(Infinity)

export async function askForLimits(): Promise<void> {
  largest.value = (await authConfig().catch(() => null))?.max_upload_bytes ?? Infinity
}

export const uploads = signal<Upload[]>([])

const isActive = (upload: Upload) => ['waiting', 'starting', 'sending', 'finishing'].includes(upload.state.value)

export const active = computed(() => uploads.value.filter(isActive))

/** The upload on this page that becomes a video, as long as it is not over. */
export function uploadOf(video: string): Upload | undefined {
  return uploads.value.find((upload) => upload.video.value === video && (isActive(upload) || upload.state.value === 'paused'))
}

/** Takes files; what cannot be a video is refused with its name. */
export function add(files: Iterable<File>): void {
  const taken: Upload[] = []
  for (const file of files) {
    if (file.size === 0) {
      say(text.upload.empty(file.name), 'bad')
    } else if (!/^(video|audio)\//.test(file.type) && !KNOWN_ENDINGS.test(file.name)) {
      say(text.upload.notVideo(file.name), 'bad')
    } else if (file.size > largest.value) {
      say(text.upload.tooLarge(file.name, bytes(largest.value)), 'bad')
    } else {
      const begun = begunWith(file)
      taken.push(new Upload(file, begun && !uploadOf(begun) ? begun : null))
    }
  }
  uploads.value = [...uploads.peek(), ...taken]
  fill()
}

/** Continues the upload of `video` with the file it was begun with. */
export function goOn(video: Video, file: File): void {
  const isOther = fits(video.id, file) === false || video.bytes !== file.size
  if (isOther) {
    say(text.upload.wrongFile(video.name), 'bad')
    return
  }
  uploads.value = [...uploads.peek(), new Upload(file, video.id)]
  fill()
}

export function resume(upload: Upload): void {
  upload.state.value = 'waiting'
  fill()
}

export async function cancel(upload: Upload): Promise<void> {
  await upload.cancel()
  const id = upload.video.peek()
  if (id) library.forget(id)
  fill()
}

export function dropFinished(): void {
  uploads.value = uploads.peek().filter((upload) => isActive(upload) || upload.state.peek() === 'paused')
}

/** Stops everything, as when the reader signs out. */
export function stopAll(): void {
  for (const upload of uploads.peek()) if (isActive(upload)) upload.pause()
  uploads.value = []
}

function fill(): void {
  const running = () => uploads.peek().filter((upload) => isActive(upload) && upload.state.peek() !== 'waiting').length
  for (const upload of uploads.peek()) {
    if (running() >= FILES_AT_ONCE) return
    if (upload.state.peek() === 'waiting') void send(upload)
  }
}

async function send(upload: Upload): Promise<void> {
  const listed = upload.video.subscribe((id) => {
    if (id) void library.refresh(id)
  })
  const video = await upload.run()
  listed()
  const id = upload.video.peek()
  // What is refused is not kept.
  if (upload.state.peek() === 'failed' && id) void library.refresh(id)
  if (video) {
    library.put(video)
    setTimeout(() => {
      uploads.value = uploads.peek().filter((other) => other !== upload)
    }, SHOWN_MS)
  }
  fill()
}

addEventListener('beforeunload', (event) => {
  if (active.peek().length > 0) event.preventDefault()
})

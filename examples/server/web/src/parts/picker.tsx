// Choosing files: by a button, by dropping them, for one upload that goes on.

import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { add } from '../upload/queue.ts'
import { text } from '../strings.ts'
import { Icon } from './icons.tsx'

/** Lets the reader choose files. */
export function choose(accept: string, several: boolean, onFiles: (files: File[]) => void): void {
  const input = document.createElement('input')
  input.type = 'file'
  input.accept = accept
  input.multiple = several
  input.className = 'hidden'
  input.addEventListener('change', () => {
    onFiles([...(input.files ?? [])])
    input.remove()
  })
  input.addEventListener('cancel', () => input.remove())
  document.body.append(input)
  input.click()
}

export const VIDEOS = 'video/*,audio/*,.mkv,.ts,.m2ts,.avi,.flv,.wmv'

export function chooseVideos(): void {
  choose(VIDEOS, true, add)
}

const dragging = signal(false)

/** Takes files that are dropped anywhere: pictures go to `onPicture`, all else is uploaded. */
export function DropZone(props: { onPicture: (file: File) => void }) {
  useEffect(() => {
    let depth = 0
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      depth += 1
      dragging.value = true
    }
    const over = (event: DragEvent) => {
      if (hasFiles(event)) event.preventDefault()
    }
    const leave = (event: DragEvent) => {
      if (!hasFiles(event)) return
      depth = Math.max(0, depth - 1)
      if (depth === 0) dragging.value = false
    }
    const drop = (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      depth = 0
      dragging.value = false
      const files = [...(event.dataTransfer?.files ?? [])]
      const picture = files.length === 1 && files[0]?.type.startsWith('image/') ? files[0] : undefined
      if (picture) props.onPicture(picture)
      else add(files)
    }
    const listeners: [string, (event: DragEvent) => void][] = [
      ['dragenter', enter], ['dragover', over], ['dragleave', leave], ['drop', drop],
    ]
    for (const [name, act] of listeners) addEventListener(name, act as EventListener)
    return () => {
      for (const [name, act] of listeners) removeEventListener(name, act as EventListener)
    }
  }, [props.onPicture])

  if (!dragging.value) return null
  return (
    <div class="drop-zone" aria-hidden="true">
      <div>
        <Icon name="upload" />
        <strong>{text.library.drop}</strong>
        <span>{text.library.dropLead}</span>
      </div>
    </div>
  )
}

// Short notes at the edge of the page, also read aloud.

import { signal } from '@preact/signals'
import { Icon } from './icons.tsx'
import { text } from '../strings.ts'

type Tone = 'good' | 'bad'

interface Notice {
  id: number
  message: string
  tone: Tone
  /** Only read aloud: who looks at the page sees it anyway. */
  unseen: boolean
}

const SHOWN_MS = 6000
const MOST = 4

const notices = signal<Notice[]>([])
let count = 0

export function say(message: string, tone: Tone = 'good', unseen = false): void {
  const id = (count += 1)
  notices.value = [...notices.peek().slice(1 - MOST), { id, message, tone, unseen }]
  setTimeout(() => drop(id), SHOWN_MS)
}

function drop(id: number): void {
  notices.value = notices.peek().filter((notice) => notice.id !== id)
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={notice.unseen ? 'hidden' : `notice ${notice.tone}`}>
          <span>{notice.message}</span>
          {!notice.unseen && (
            <button type="button" class="icon-button" aria-label={text.close} onClick={() => drop(notice.id)}>
              <Icon name="close" />
            </button>
          )}
        </div>
      ))}
    </div>
  )
}

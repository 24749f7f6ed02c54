// The uploads of this page, in a corner of every view.

import { Bar } from './common.tsx'
import { Icon } from './icons.tsx'
import { bytes, percent } from '../format.ts'
import { text } from '../strings.ts'
import { cancel, dropFinished, resume, uploads } from '../upload/queue.ts'
import type { Upload } from '../upload/upload.ts'

export function Uploads() {
  const list = uploads.value.filter((upload) => upload.state.value !== 'cancelled')
  if (list.length === 0) return null
  const over = list.every((upload) => ['done', 'failed'].includes(upload.state.value))
  return (
    <section class="uploads" aria-label={text.upload.region}>
      <header>
        <h2>{text.upload.title}</h2>
        {over && (
          <button type="button" class="icon-button" aria-label={text.upload.hide} onClick={dropFinished}>
            <Icon name="close" />
          </button>
        )}
      </header>
      <ul>
        {list.map((upload) => (
          <Row key={upload.key} upload={upload} />
        ))}
      </ul>
    </section>
  )
}

function Row({ upload }: { upload: Upload }) {
  const state = upload.state.value
  const name = upload.file.name
  const runs = state === 'starting' || state === 'sending' || state === 'finishing'
  return (
    <li class={`upload ${state}`}>
      <div class="upload-line">
        <span class="upload-name" title={name}>{name}</span>
        <span class="quiet small">{state === 'sending' || state === 'paused' ? percent(upload.fraction) : ''}</span>
        {runs && state !== 'finishing' && (
          <button type="button" class="icon-button" aria-label={`${text.upload.pause}: ${name}`} onClick={() => upload.pause()}>
            <Icon name="pause" />
          </button>
        )}
        {(state === 'paused' || state === 'failed') && (
          <button
            type="button"
            class="icon-button"
            aria-label={`${state === 'failed' ? text.retry : text.upload.resume}: ${name}`}
            onClick={() => resume(upload)}
          >
            <Icon name={state === 'failed' ? 'again' : 'play'} />
          </button>
        )}
        {state !== 'done' && state !== 'finishing' && (
          <button type="button" class="icon-button" aria-label={`${text.cancel}: ${name}`} onClick={() => void cancel(upload)}>
            <Icon name="close" />
          </button>
        )}
        {state === 'done' && <Icon name="check" />}
      </div>
      {(runs || state === 'paused') && <Bar fraction={state === 'starting' ? 0 : upload.fraction} label={name} />}
      <span class="quiet small" role={state === 'failed' ? 'alert' : undefined}>
        {upload.error.value ?? upload.note.value ?? line(upload)}
      </span>
    </li>
  )
}

function line(upload: Upload): string {
  switch (upload.state.value) {
    case 'waiting':
      return text.upload.waiting
    case 'starting':
      return text.upload.starting
    case 'finishing':
      return text.upload.finishing
    case 'paused':
      return text.upload.paused
    case 'done':
      return text.upload.done
    default:
      return text.upload.sending(bytes(upload.sent.value), bytes(upload.file.size))
  }
}

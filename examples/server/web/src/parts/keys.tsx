// The keys of the page.

import { signal } from '@preact/signals'
import { Dialog } from './common.tsx'
import { text } from '../strings.ts'

export const keysShown = signal(false)

export function KeyList() {
  return (
    <dl class="keys">
      {text.keys.list.map(([keys, what]) => (
        <div key={keys}>
          <dt>{keys.split(' ').map((key) => <kbd key={key}>{key}</kbd>)}</dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Keys() {
  if (!keysShown.value) return null
  return (
    <Dialog title={text.keys.title} onClose={() => { keysShown.value = false }}>
      <KeyList />
    </Dialog>
  )
}

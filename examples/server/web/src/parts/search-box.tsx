// The box on top of every page.

import { signal, useSignalEffect } from '@preact/signals'
import { useRef } from 'preact/hooks'
import { route } from '../route.ts'
import { ask, asked } from '../search.ts'
import { text } from '../strings.ts'
import { reading, usePicture } from '../picture.ts'
import { Icon } from './icons.tsx'
import { choose } from './picker.tsx'

const typed = signal('')

export function SearchBox() {
  const box = useRef<HTMLInputElement>(null)
  // The address may change by other ways than typing: back, a link, another search.
  useSignalEffect(() => {
    const { query } = asked.value
    if (route.value.name !== 'search') typed.value = ''
    else if (query.trim() !== typed.peek().trim()) typed.value = query
  })

  const onInput = (value: string) => {
    typed.value = value
    ask({ query: value.trim(), like: value.trim() ? null : asked.peek().like }, true)
  }
  const firstHit = () => document.querySelector<HTMLElement>('a.hit-link')
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault()
        if (route.peek().name !== 'search') ask({ query: typed.peek().trim() })
        else firstHit()?.click()
      }}
    >
      <Icon name="search" />
      <input
        ref={box}
        id="search-box"
        type="text"
        inputMode="search"
        enterKeyHint="search"
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        maxLength={1000}
        aria-label={text.search.label}
        placeholder={text.search.placeholder}
        value={typed.value}
        onFocus={() => {
          if (route.peek().name === 'library' && typed.peek()) ask({ query: typed.peek() })
        }}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return
          if (event.key === 'ArrowDown') {
            event.preventDefault()
            firstHit()?.focus()
          } else if (event.key === 'Escape') {
            if (typed.peek()) onInput('')
            else box.current?.blur()
            event.stopPropagation()
          }
        }}
        onPaste={(event) => {
          const file = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith('image/'))
          if (!file) return
          event.preventDefault()
          void usePicture(file)
        }}
      />
      {typed.value ? (
        <button type="button" class="icon-button" aria-label={text.search.clear} onClick={() => { onInput(''); box.current?.focus() }}>
          <Icon name="close" />
        </button>
      ) : (
        <kbd aria-hidden="true">/</kbd>
      )}
      <button
        type="button"
        class="icon-button"
        aria-label={text.search.byImage}
        title={text.search.byImage}
        disabled={reading.value}
        onClick={() => choose('image/*', false, (files) => files[0] && void usePicture(files[0]))}
      >
        <Icon name="image" />
      </button>
    </form>
  )
}

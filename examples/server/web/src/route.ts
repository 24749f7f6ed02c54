// Where the page stands: the part of the address after `#`, so that every address is served by one file.

import { computed, signal } from '@preact/signals'

export interface Route {
  /** The first part of the path: `library`, `search`, `videos`, `people`. */
  name: string
  /** The second part, such as the id of a video. */
  id: string
  query: URLSearchParams
}

const hash = signal(location.hash)

addEventListener('hashchange', () => {
  hash.value = location.hash
})

export const route = computed<Route>(() => {
  const [path = '', query = ''] = hash.value.replace(/^#\/?/, '').split('?', 2)
  const [name = '', id = ''] = path.split('/')
  return { name: name || 'library', id: decode(id), query: new URLSearchParams(query) }
})

/** The address of a place in the page. Empty values are left out. */
export function address(path: string, query: Record<string, string | undefined> = {}): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value) params.set(name, value)
  const text = params.toString()
  return `#/${path}${text ? `?${text}` : ''}`
}

export function go(to: string): void {
  location.hash = to
  // At once, not when the browser tells of it: the next key may come before.
  hash.value = location.hash
}

/** As `go`, but without a step to come back to. */
export function replace(to: string): void {
  if (location.hash === to) return
  history.replaceState(history.state, '', to)
  hash.value = location.hash
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

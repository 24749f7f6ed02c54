// What happens to the videos, as the server tells it: server-sent events, read by `fetch` because an
// `EventSource` can carry no token.

import { authorized } from './client.ts'
import { isAbort } from './problem.ts'
import type { VideoStatus } from './types.ts'

const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 30_000

/**
 * Calls `onVideo` for each change, until `signal` says stop. After a break it begins again, and calls
 * `onOpen` so that what happened meanwhile is asked for.
 */
export async function follow(onVideo: (status: VideoStatus) => void, onOpen: () => void, signal: AbortSignal): Promise<void> {
  let base = FIRST_WAIT_MS
  let wait = base
  let first = true
  while (!signal.aborted) {
    try {
      const response = await authorized('/events', { signal })
      if (!response.body) return
      if (!first) onOpen()
      first = false
      for await (const event of eventsOf(response.body)) {
        if (event.retry !== undefined) base = Math.min(Math.max(event.retry, 100), LONGEST_WAIT_MS)
        wait = base
        if (event.name === 'video' && event.data) onVideo(JSON.parse(event.data) as VideoStatus)
      }
    } catch (error) {
      if (isAbort(error) || signal.aborted) return
      wait = Math.min(wait * 2, LONGEST_WAIT_MS)
    }
    await pause(wait, signal)
  }
}

interface ServerEvent {
  name: string
  data: string
  retry?: number
}

/** The events of a stream, by the rules of server-sent events. */
export async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let event: ServerEvent = { name: 'message', data: '' }
  let filled = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += decoder.decode(value, { stream: true })
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (filled) yield event
          event = { name: 'message', data: '' }
          filled = false
          continue
        }
        const colon = line.indexOf(':')
        if (colon === 0) continue
        const field = colon < 0 ? line : line.slice(0, colon)
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
        filled = true
        if (field === 'event') event.name = value
        else if (field === 'data') event.data += (event.data ? '\n' : '') + value
        else if (field === 'retry' && /^\d+$/.test(value)) event.retry = Number(value)
      }
    }
  } finally {
    reader.cancel().catch(() => undefined)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const stop = () => {
      clearTimeout(timer)
      removeEventListener('online', stop)
      signal.removeEventListener('abort', stop)
      done()
    }
    const timer = setTimeout(stop, ms)
    addEventListener('online', stop)
    signal.addEventListener('abort', stop)
  })
}

// What is asked stands in the address of the page, so that a search can be kept, shared and come back to.
// Only a picture does not fit there.

import { computed, effect, signal } from '@preact/signals'
import * as api from './api/client.ts'
import { isAbort } from './api/problem.ts'
import { sessionState } from './api/session.ts'
import { parseClock } from './format.ts'
import { address, replace, go, route } from './route.ts'
import type { Filter, Hit, SceneId, SearchRequest } from './api/types.ts'

/** Typing that stops for this long is searched for. */
const SETTLE_MS = 220
const PAGE = 24

export interface Asked {
  query: string
  like: SceneId | null
  video: string
  tags: string[]
  language: string
  length: string
  from: string
  to: string
  perVideo: boolean
}

export interface Picture {
  /** For showing. */
  url: string
  /** For sending. */
  base64: string
}

const nothing: Asked = { query: '', like: null, video: '', tags: [], language: '', length: '', from: '', to: '', perVideo: false }

export const asked = computed<Asked>(() => {
  if (route.value.name !== 'search') return nothing
  const { query } = route.value
  const of = (name: string) => query.get(name) ?? ''
  return {
    query: of('q'),
    like: readScene(of('like')),
    video: of('video'),
    tags: of('tags').split(',').map((tag) => tag.trim()).filter(Boolean),
    language: of('language'),
    length: of('length'),
    from: of('from'),
    to: of('to'),
    perVideo: of('per') === '1',
  }
})

export const picture = signal<Picture | null>(null)
export const explain = signal(false)

export interface Found {
  hits: Hit[]
  total: number
  next?: string | null
}

export const found = signal<Found | null>(null)
export const searching = signal(false)
export const searchFailure = signal<unknown>(null)

/** Shows the search with this changed. Typing replaces the last step; everything else is a step to come back to. */
export function ask(change: Partial<Asked>, typing = false): void {
  const next = { ...asked.peek(), ...change }
  const to = addressOf(next)
  if (typing && route.peek().name === 'search') replace(to)
  else go(to)
}

export function addressOf(wanted: Partial<Asked>): string {
  const all = { ...nothing, ...wanted }
  return address('search', {
    q: all.query,
    like: all.like ? sceneText(all.like) : '',
    video: all.video,
    tags: all.tags.join(','),
    language: all.language,
    length: all.length,
    from: all.from,
    to: all.to,
    per: all.perVideo ? '1' : '',
  })
}

/** How many filters are set. */
export function filterCount(of: Asked): number {
  return [of.video, of.tags.length, of.language, of.length, of.from || of.to, of.perVideo].filter(Boolean).length
}

export function isEmpty(of: Asked): boolean {
  return !of.query.trim() && !of.like && !picture.value
}

const lengths: Record<string, [number | null, number | null]> = {
  short: [null, 60],
  medium: [60, 600],
  long: [600, 3600],
  film: [3600, null],
}

function requestOf(of: Asked, image: Picture | null, withExplain: boolean): SearchRequest {
  const filter: Filter = {}
  if (of.video) filter.videos = [of.video]
  if (of.tags.length > 0) filter.tags = of.tags
  if (of.language) filter.languages = [of.language]
  const [least, most] = lengths[of.length] ?? [null, null]
  if (least !== null) filter.min_duration_us = least * 1e6
  if (most !== null) filter.max_duration_us = most * 1e6
  const from = parseClock(of.from)
  const to = parseClock(of.to)
  if (from !== undefined || to !== undefined) {
    filter.within = { start_us: from ?? 0, end_us: to ?? Number.MAX_SAFE_INTEGER }
  }
  const request: SearchRequest = { query: of.query.trim(), filter, limit: PAGE, explain: withExplain }
  if (of.like) request.like = of.like
  if (image) request.image = image.base64
  if (of.perVideo) request.per_video = 1
  return request
}

let running: AbortController | null = null
let last: SearchRequest | null = null

/** Searches whenever what is asked changes. An answer that comes after a newer question is dropped. */
export function startSearching(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let before: string | null = null
  const stop = effect(() => {
    const of = asked.value
    const image = picture.value
    const withExplain = explain.value
    if (sessionState.value !== 'in' || route.value.name !== 'search') return
    clearTimeout(timer)
    running?.abort()
    if (isEmpty(of)) {
      found.value = null
      searching.value = false
      searchFailure.value = null
      last = null
      before = null
      return
    }
    const request = requestOf(of, image, withExplain)
    const key = JSON.stringify(request)
    // Coming back from a moment to what was found.
    if (key === before && found.peek() && !searching.peek()) return
    const isTyping = last !== null && last.query !== request.query
    before = key
    last = request
    searching.value = true
    timer = setTimeout(() => void run(request), isTyping ? SETTLE_MS : 0)
  })
  return () => {
    stop()
    clearTimeout(timer)
    running?.abort()
    found.value = null
    last = null
  }
}

export function searchAgain(): void {
  if (last) void run(last)
}

async function run(request: SearchRequest): Promise<void> {
  running?.abort()
  const mine = new AbortController()
  running = mine
  searching.value = true
  try {
    const page = await api.search(request, mine.signal)
    if (running !== mine) return
    found.value = page
    searchFailure.value = null
  } catch (error) {
    if (isAbort(error) || running !== mine) return
    searchFailure.value = error
  }
  searching.value = false
}

/** The next page, behind what is shown. */
export async function more(): Promise<void> {
  const shown = found.peek()
  if (!last || !shown?.next || searching.peek()) return
  const mine = new AbortController()
  running = mine
  searching.value = true
  try {
    const page = await api.search({ ...last, cursor: shown.next }, mine.signal)
    if (running !== mine) return
    found.value = { hits: [...shown.hits, ...page.hits], total: page.total, next: page.next }
  } catch (error) {
    if (isAbort(error) || running !== mine) return
    searchFailure.value = error
  }
  searching.value = false
}

export function sceneText(scene: SceneId): string {
  return `${scene.video}:${scene.ordinal}`
}

function readScene(text: string): SceneId | null {
  const match = /^([0-9a-f-]{36}):(\d{1,9})$/i.exec(text)
  return match?.[1] ? { video: match[1], ordinal: Number(match[2]) } : null
}

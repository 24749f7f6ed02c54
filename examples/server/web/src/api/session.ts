// Who is signed in.
//
// The refresh token is kept by the browser: for this device when the reader asks to stay signed in, else for this
// tab. It works once, and using it twice ends the session everywhere; so all tabs share one session (by a channel)
// and take turns to renew it (by a lock). The access token, good for minutes, is kept for this tab: were it not,
// a page that is loaded twice in a row would be cut off from the answer that holds the next refresh token.

import { signal } from '@preact/signals'
import { read, write } from '../kept.ts'
import { text } from '../strings.ts'
import { Failure, failureOf } from './problem.ts'
import type { Me, SessionTokens, User } from './types.ts'

const KEY = 'heimdex.session'
const TAB_KEY = 'heimdex.access'
/** A token is renewed this many milliseconds before it ends. */
const EARLY_MS = 30_000
/** How long a tab that opens waits for another tab's session. */
const ASK_MS = 120

interface Session {
  user: User
  access: string
  refresh: string
  /** Milliseconds since 1970. */
  endsAt: number
  kept: boolean
}

type Message = { kind: 'session'; session: Session } | { kind: 'ended' } | { kind: 'who' }

export type SessionState = 'starting' | 'in' | 'out'

export const user = signal<User | null>(null)
export const sessionState = signal<SessionState>('starting')
/** Why the session ended, when it was not the reader who ended it. */
/** Why a session that is kept could not be taken up yet. */
export const startFailure = signal<unknown>(null)
export const endedBecause = signal<string | null>(null)

let session: Session | null = null
let turn: Promise<unknown> = Promise.resolve()
let heard: (() => void) | null = null

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(KEY)
channel?.addEventListener('message', (event: MessageEvent<Message>) => {
  const message = event.data
  if (message.kind === 'session') {
    take(message.session)
    heard?.()
  } else if (message.kind === 'ended') {
    leave(null)
  } else if (session) {
    tell({ kind: 'session', session })
  }
})

/** Takes up the session that is kept, if there is one. */
export async function start(): Promise<void> {
  startFailure.value = null
  sessionState.value = 'starting'
  const mine = ofThisTab()
  if (mine) {
    take(mine)
    return
  }
  await askOtherTabs()
  if (!session && kept()) {
    try {
      await renew(null)
    } catch (error) {
      // Without an answer the session may still be good.
      startFailure.value = error
      return
    }
  }
  // Unless it was just refused, which says why.
  if (!session && sessionState.peek() !== 'out') leave(null)
}

/** Begins a session with what signing in or registering gave. */
export function begin(tokens: SessionTokens, stay: boolean): void {
  endedBecause.value = null
  const begun = sessionOf(tokens, stay)
  take(begun)
  tell({ kind: 'session', session: begun })
}

/** Begins a session with a token that was issued elsewhere; it ends with the token. */
export async function beginWithToken(token: string): Promise<void> {
  const response = await ask('/auth/me', { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw await failureOf(response)
  const me = (await response.json()) as Me
  endedBecause.value = null
  const begun = { user: me.user, access: token, refresh: '', endsAt: endOf(token), kept: false }
  take(begun)
  tell({ kind: 'session', session: begun })
}

/** A token that works for some time yet. `stale` is one that was just refused. */
export async function accessToken(stale: string | null = null): Promise<string> {
  if (session && session.access !== stale && session.endsAt - Date.now() > EARLY_MS) return session.access
  await renew(stale)
  if (!session) throw new Failure(text.errors.signedOut, { status: 401, code: 'signed_out' })
  return session.access
}

/** Ends the session here and in every tab; with `everywhere` on all devices. */
export async function end(everywhere: boolean): Promise<void> {
  const ending = session
  if (ending?.refresh) {
    const response = await send('/auth/logout', {
      refresh_token: ending.refresh,
      ...(everywhere ? { everywhere: true } : {}),
    })
    // A session that is already over is what was wanted.
    if (!response.ok && response.status !== 401) throw await failureOf(response)
  }
  leave(null)
  tell({ kind: 'ended' })
}

async function renew(stale: string | null): Promise<void> {
  await inTurn(async () => {
    // Another tab or request may have renewed it while this one waited.
    if (session && session.access !== stale && session.endsAt - Date.now() > EARLY_MS) return
    const token = kept()
    if (!token) {
      leave(session ? text.errors.sessionEnded : null)
      tell({ kind: 'ended' })
      return
    }
    const response = await send('/auth/refresh', { refresh_token: token.refresh })
    if (response.status === 401 || response.status === 403) {
      leave(text.errors.sessionEnded)
      tell({ kind: 'ended' })
      return
    }
    if (!response.ok) throw await failureOf(response)
    const renewed = sessionOf((await response.json()) as SessionTokens, token.stay)
    take(renewed)
    tell({ kind: 'session', session: renewed })
  })
}

/** One at a time over all tabs. */
function inTurn(work: () => Promise<void>): Promise<void> {
  const mine = async () => {
    if (navigator.locks) await navigator.locks.request(KEY, work)
    else await work()
  }
  const result = turn.then(mine, mine)
  turn = result.catch(() => undefined)
  return result
}

async function askOtherTabs(): Promise<void> {
  if (!channel) return
  await new Promise<void>((done) => {
    const timer = setTimeout(done, ASK_MS)
    heard = () => {
      clearTimeout(timer)
      done()
    }
    tell({ kind: 'who' })
  })
  heard = null
}

function send(path: string, body: unknown): Promise<Response> {
  return ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

async function ask(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...request, credentials: 'omit', cache: 'no-store' })
  } catch {
    throw new Failure(text.errors.network)
  }
}

/** When a JWT says that it ends, in milliseconds since 1970; never, where it does not say. */
function endOf(token: string): number {
  try {
    const claims = JSON.parse(atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: unknown }
    return typeof claims.exp === 'number' ? claims.exp * 1000 : Number.MAX_SAFE_INTEGER
  } catch {
    return Number.MAX_SAFE_INTEGER
  }
}

function sessionOf(tokens: SessionTokens, stay: boolean): Session {
  return {
    user: tokens.user,
    access: tokens.access_token,
    refresh: tokens.refresh_token,
    endsAt: Date.now() + tokens.expires_in * 1000,
    kept: stay,
  }
}

function take(taken: Session): void {
  session = taken
  const refresh = taken.refresh || null
  write(KEY, taken.kept ? refresh : null, 'local')
  write(KEY, taken.kept ? null : refresh, 'session')
  const { refresh: _, ...access } = taken
  write(TAB_KEY, JSON.stringify(access), 'session')
  if (user.peek()?.id !== taken.user.id) user.value = taken.user
  sessionState.value = 'in'
}

function leave(because: string | null): void {
  session = null
  write(KEY, null, 'local')
  write(KEY, null, 'session')
  write(TAB_KEY, null, 'session')
  user.value = null
  endedBecause.value = because
  sessionState.value = 'out'
}

function kept(): { refresh: string; stay: boolean } | null {
  const local = read(KEY, 'local')
  if (local) return { refresh: local, stay: true }
  const tab = read(KEY, 'session') || session?.refresh || null
  return tab ? { refresh: tab, stay: session?.kept ?? false } : null
}

/** The session that this tab had before the page was loaded again, while its access is good. */
function ofThisTab(): Session | null {
  try {
    const access = JSON.parse(read(TAB_KEY, 'session') ?? 'null') as Omit<Session, 'refresh'> | null
    if (!access || !(access.endsAt - Date.now() > EARLY_MS)) return null
    const refresh = read(KEY, access.kept ? 'local' : 'session')
    // Signed out by another tab.
    if (access.kept && !refresh) return null
    return { ...access, refresh: refresh ?? '' }
  } catch {
    return null
  }
}

function tell(message: Message): void {
  channel?.postMessage(message)
}

// Requests to the server, one function each.

import { signal } from '@preact/signals'
import { text } from '../strings.ts'
import { Failure, failureOf, isAbort } from './problem.ts'
import { accessToken } from './session.ts'
import type {
  AuthConfig, Me, Playback, Scene, SceneList, SearchPage, SearchRequest, SessionTokens, Transcript, UploadPlan,
  UploadState, Video, VideoList,
} from './types.ts'

/** Whether the last request got an answer. */
export const reachable = signal(true)

interface Options {
  method?: string
  body?: unknown
  signal?: AbortSignal
}

/** The address of the server's `path`, with each value of `parts` escaped. */
function path(strings: TemplateStringsArray, ...parts: string[]): string {
  return strings.reduce((whole, piece, i) => whole + piece + (i < parts.length ? encodeURIComponent(parts[i] ?? '') : ''), '')
}

export async function raw(to: string, options: Options, token?: string): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  if (token) headers['authorization'] = `Bearer ${token}`
  try {
    const response = await fetch(to, {
      method: options.method ?? 'GET',
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
      credentials: 'omit',
      cache: 'no-store',
    })
    reachable.value = true
    return response
  } catch (error) {
    if (isAbort(error)) throw error
    reachable.value = false
    throw new Failure(navigator.onLine ? text.errors.network : text.errors.offline)
  }
}

/** As the signed-in user; a token that ended is renewed once. */
export async function authorized(to: string, options: Options = {}): Promise<Response> {
  let token = await accessToken()
  let response = await raw(to, options, token)
  if (response.status === 401) {
    token = await accessToken(token)
    response = await raw(to, options, token)
  }
  if (!response.ok) throw await failureOf(response)
  return response
}

async function json<T>(to: string, options: Options = {}): Promise<T> {
  return (await (await authorized(to, options)).json()) as T
}

async function open<T>(to: string, options: Options = {}): Promise<T> {
  const response = await raw(to, options)
  if (!response.ok) throw await failureOf(response)
  return (await response.json()) as T
}

export const authConfig = () => open<AuthConfig>('/auth/config')
export const register = (email: string, password: string) =>
  open<SessionTokens>('/auth/register', { method: 'POST', body: { email, password } })
export const login = (email: string, password: string) =>
  open<SessionTokens>('/auth/login', { method: 'POST', body: { email, password } })

export const me = () => json<Me>('/auth/me')

export const videos = (after: string | null, signal?: AbortSignal) =>
  json<VideoList>(`/videos?limit=48${after ? `&after=${encodeURIComponent(after)}` : ''}`, { signal })
export const video = (id: string, signal?: AbortSignal) => json<Video>(path`/videos/${id}`, { signal })
export const editVideo = (id: string, change: { title?: string; description?: string }) =>
  json<Video>(path`/videos/${id}`, { method: 'PATCH', body: change })
export const deleteVideo = (id: string) => authorized(path`/videos/${id}`, { method: 'DELETE' })
export const cancelVideo = (id: string) => authorized(path`/videos/${id}/cancel`, { method: 'POST' })
export const retryVideo = (id: string) => authorized(path`/videos/${id}/retry`, { method: 'POST' })

export const playback = (id: string, signal?: AbortSignal) =>
  json<Playback>(path`/videos/${id}/playback`, { signal })
/** All scenes of a video, in order. */
export async function scenes(id: string, signal?: AbortSignal): Promise<Scene[]> {
  const all: Scene[] = []
  let after: number | null = null
  do {
    const more: string = after === null ? '' : `&after=${after}`
    const page: SceneList = await json<SceneList>(path`/videos/${id}/scenes` + `?limit=500${more}`, { signal })
    all.push(...page.scenes)
    after = page.next ?? null
  } while (after !== null)
  return all
}

export const transcript = (id: string, signal?: AbortSignal) => json<Transcript>(path`/videos/${id}/transcript`, { signal })

export const search = (request: SearchRequest, signal?: AbortSignal) =>
  json<SearchPage>('/search', { method: 'POST', body: request, signal })

export const people = (signal?: AbortSignal) => json<unknown>('/people', { signal })

export const initUpload = (file: { name: string; content_type: string; bytes: number }, signal?: AbortSignal) =>
  json<UploadPlan>('/videos/upload/init', { method: 'POST', body: file, signal })
export const uploadState = (id: string, signal?: AbortSignal) => json<UploadState>(path`/videos/${id}/upload`, { signal })
export const completeUpload = (id: string, parts: { number: number; etag: string }[], signal?: AbortSignal) =>
  json<Video>(path`/videos/${id}/upload/complete`, { method: 'POST', body: { parts }, signal })

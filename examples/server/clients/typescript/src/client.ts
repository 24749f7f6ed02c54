// A client of the Heimdex server. Every path, field and answer has the type that the server's OpenAPI document
// gives it, so a change there that matters here does not compile.

import type { Operations, Schemas } from './schema.js'

export type { Operations, Schemas } from './schema.js'

type Values = Record<string, string | number | boolean | null | undefined>
type Part = Schemas['PartRequest']

/** What is sent along with a request. */
type Given<K extends keyof Operations> =
  & (Operations[K]['path'] extends undefined ? { path?: undefined } : { path: Operations[K]['path'] })
  & (Operations[K]['body'] extends undefined ? { body?: undefined } : { body: Operations[K]['body'] })
  & { query?: Operations[K]['query']; signal?: AbortSignal }

/** A request that the server refused, as it says it itself. */
export class HeimdexError extends Error {
  constructor(readonly problem: Schemas['Problem']) {
    super(problem.detail || problem.title)
    this.name = 'HeimdexError'
  }

  /** The stable name of the problem. */
  get code(): string {
    return this.problem.code
  }

  get status(): number {
    return this.problem.status
  }
}

export interface Upload {
  name: string
  contentType?: string
  title?: string
  description?: string
  /** Bytes that are there, of all. */
  onProgress?: (sent: number, bytes: number) => void
  signal?: AbortSignal
}

/** Access is renewed this long before it ends. */
const EARLY_MS = 30_000
const TRIES = 5

export class HeimdexClient {
  private session: { access: string; refresh: string | null; endsAt: number } | null = null
  private renewing: Promise<void> | null = null

  /** A client of the server at `address`, such as `http://127.0.0.1:8474`. */
  constructor(readonly address: string) {}

  /** As whoever a token of another issuer is for. */
  useToken(token: string): void {
    this.session = { access: token, refresh: null, endsAt: Infinity }
  }

  async register(email: string, password: string): Promise<Schemas['User']> {
    return this.begin(await this.send('POST /auth/register', { body: { email, password } }))
  }

  async login(email: string, password: string): Promise<Schemas['User']> {
    return this.begin(await this.send('POST /auth/login', { body: { email, password } }))
  }

  async logout(): Promise<void> {
    const refresh = this.session?.refresh
    this.session = null
    if (refresh) await this.send('POST /auth/logout', { body: { refresh_token: refresh } })
  }

  me() {
    return this.call('GET /auth/me', {})
  }

  /** Sends a video in parts and asks for its index. The answer is the video as it stands then. */
  async upload(file: Blob, options: Upload): Promise<Schemas['Video']> {
    const { signal } = options
    const plan = await this.call('POST /videos/upload/init', {
      body: {
        name: options.name,
        content_type: options.contentType ?? (file.type || 'application/octet-stream'),
        bytes: file.size,
        title: options.title ?? null,
        description: options.description ?? null,
      },
      signal,
    })
    return this.sendParts(file, plan.video_id, plan.part_bytes, plan.parts, options)
  }

  /** Goes on with an upload that was begun, also by another process: only what is missing is sent. */
  async resume(file: Blob, id: string, options: Upload): Promise<Schemas['Video']> {
    const state = await this.call('GET /videos/{id}/upload', { path: { id }, signal: options.signal })
    const missing = state.parts.flatMap((part) => part.request ?? [])
    return this.sendParts(file, id, state.part_bytes, missing, options)
  }

  /** All videos, the newest first. */
  async *videos(): AsyncGenerator<Schemas['Video']> {
    let after: string | undefined
    do {
      const page: Schemas['VideoList'] = await this.call('GET /videos', { query: { limit: 100, after } })
      yield* page.videos
      after = page.next ?? undefined
    } while (after)
  }

  video(id: string) {
    return this.call('GET /videos/{id}', { path: { id } })
  }

  editVideo(id: string, change: Schemas['VideoChange']) {
    return this.call('PATCH /videos/{id}', { path: { id }, body: change })
  }

  deleteVideo(id: string) {
    return this.call('DELETE /videos/{id}', { path: { id } })
  }

  cancel(id: string) {
    return this.call('POST /videos/{id}/cancel', { path: { id } })
  }

  retry(id: string) {
    return this.call('POST /videos/{id}/retry', { path: { id } })
  }

  playback(id: string) {
    return this.call('GET /videos/{id}/playback', { path: { id } })
  }

  /** All scenes of a video, in order. */
  async *scenes(id: string): AsyncGenerator<Schemas['SceneView']> {
    let after: number | undefined
    do {
      const page: Schemas['SceneList'] = await this.call('GET /videos/{id}/scenes', { path: { id }, query: { limit: 500, after } })
      yield* page.scenes
      after = page.next ?? undefined
    } while (after !== undefined)
  }

  transcript(id: string) {
    return this.call('GET /videos/{id}/transcript', { path: { id } })
  }

  search(request: Operations['POST /search']['body'], signal?: AbortSignal) {
    return this.call('POST /search', { body: request, signal })
  }

  /** How a video stands, now and with every change, until it is indexed or has failed. */
  async *watch(id: string, signal?: AbortSignal): AsyncGenerator<Schemas['VideoStatus']> {
    for (let tries = 0; ; tries += 1) {
      const response = await this.response('GET /videos/{id}/events', { path: { id }, signal })
      let text = ''
      const decoder = new TextDecoder()
      for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += decoder.decode(bytes, { stream: true })
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const event = text.slice(0, end).split('\n')
          text = text.slice(end + 2)
          const data = event.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim())
          if (!event.includes('event: video') || data.length === 0) continue
          const status = JSON.parse(data.join('\n')) as Schemas['VideoStatus']
          tries = 0
          yield status
          if (!['uploading', 'validating', 'processing'].includes(status.state)) return
        }
      }
      // The stream ends with the token that asked for it: ask again.
      if (tries >= TRIES) throw new Error('the server says nothing of this video any more')
    }
  }

  /** Any request of the document, as the signed-in user. */
  async call<K extends keyof Operations>(operation: K, given: Given<K>): Promise<Operations[K]['answer']> {
    const response = await this.response(operation, given)
    return (response.status === 204 ? undefined : await response.json()) as Operations[K]['answer']
  }

  private async response<K extends keyof Operations>(operation: K, given: Given<K>): Promise<Response> {
    await this.renew(false)
    let response = await this.fetch(operation, given, this.session?.access)
    if (response.status === 401 && this.session?.refresh) {
      await this.renew(true)
      response = await this.fetch(operation, given, this.session?.access)
    }
    if (!response.ok) throw await errorOf(response)
    return response
  }

  /** A request of nobody. */
  private async send<K extends keyof Operations>(operation: K, given: Given<K>): Promise<Operations[K]['answer']> {
    const response = await this.fetch(operation, given)
    if (!response.ok) throw await errorOf(response)
    return (response.status === 204 ? undefined : await response.json()) as Operations[K]['answer']
  }

  private fetch<K extends keyof Operations>(operation: K, given: Given<K>, token?: string): Promise<Response> {
    const [method = '', template = ''] = operation.split(' ')
    const values = (given.path ?? {}) as Values
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])))
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries((given.query ?? {}) as Values)) {
      if (value !== undefined && value !== null) query.set(name, String(value))
    }
    const headers: Record<string, string> = { accept: 'application/json' }
    if (given.body !== undefined) headers['content-type'] = 'application/json'
    if (token) headers['authorization'] = `Bearer ${token}`
    const address = new URL(path + (query.size > 0 ? `?${query}` : ''), this.address)
    return fetch(address, {
      method,
      headers,
      body: given.body === undefined ? null : JSON.stringify(given.body),
      signal: given.signal ?? null,
    })
  }

  private begin(session: Schemas['Session']): Schemas['User'] {
    this.session = {
      access: session.access_token,
      refresh: session.refresh_token,
      endsAt: Date.now() + session.expires_in * 1000,
    }
    return session.user
  }

  /** A refresh token works once, so requests that need a new one share it. */
  private async renew(refused: boolean): Promise<void> {
    const { session } = this
    if (!session?.refresh || (!refused && session.endsAt - Date.now() > EARLY_MS)) return
    const { refresh } = session
    this.renewing ??= this.send('POST /auth/refresh', { body: { refresh_token: refresh } })
      .then((next) => {
        this.begin(next)
      })
      .finally(() => {
        this.renewing = null
      })
    await this.renewing
  }

  private async sendParts(file: Blob, id: string, partBytes: number, parts: Part[], options: Upload): Promise<Schemas['Video']> {
    let sent = file.size - parts.reduce((sum, part) => sum + part.bytes, 0)
    const etags: Schemas['SentPart'][] = []
    for (const part of parts) {
      const from = (part.number - 1) * partBytes
      const etag = await this.sendPart(part, file.slice(from, from + part.bytes), options.signal)
      if (etag) etags.push({ number: part.number, etag })
      sent += part.bytes
      options.onProgress?.(sent, file.size)
    }
    return this.call('POST /videos/{id}/upload/complete', { path: { id }, body: { parts: etags }, signal: options.signal })
  }

  private async sendPart(part: Part, body: Blob, signal?: AbortSignal): Promise<string | null> {
    for (let tries = 1; ; tries += 1) {
      try {
        const response = await fetch(new URL(part.url, this.address), { method: part.method, headers: part.headers, body, signal: signal ?? null })
        if (response.ok) return response.headers.get('etag')
        if (response.status < 500 || tries === TRIES) throw await errorOf(response)
      } catch (error) {
        if (error instanceof HeimdexError || signal?.aborted || tries === TRIES) throw error
      }
      await new Promise((go) => setTimeout(go, 2 ** tries * 250))
    }
  }
}

async function errorOf(response: Response): Promise<HeimdexError> {
  const said: unknown = await response.json().catch(() => null)
  const problem = (said ?? {}) as Partial<Schemas['Problem']>
  return new HeimdexError({
    type: 'about:blank',
    title: response.statusText,
    status: response.status,
    detail: '',
    code: 'unknown',
    request_id: '',
    ...problem,
  })
}

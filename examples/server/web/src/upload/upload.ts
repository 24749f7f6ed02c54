// One file on its way to the server: in parts, several at a time, over broken connections, stopped and
// continued, also after the page was closed.

import { signal } from '@preact/signals'
import * as api from '../api/client.ts'
import { Failure, isAbort, sentence } from '../api/problem.ts'
import { text } from '../strings.ts'
import { remember, forget } from './interrupted.ts'
import { send } from './send.ts'
import type { PartRequest, Video } from '../api/types.ts'

export type Phase = 'waiting' | 'starting' | 'sending' | 'finishing' | 'paused' | 'done' | 'failed' | 'cancelled'

/** What is sent how: the parts that are there have an `etag`, the others a `request`. */
interface Plan {
  video: string
  partBytes: number
  completed: boolean
  parts: Map<number, { etag?: string | null; request?: PartRequest | null }>
}

const PARTS_AT_ONCE = 3
const ATTEMPTS = 6
const FIRST_WAIT_MS = 800
const LONGEST_WAIT_MS = 20_000

let count = 0

export class Upload {
  readonly key = (count += 1)
  readonly state = signal<Phase>('waiting')
  readonly sent = signal(0)
  readonly note = signal<string | null>(null)
  readonly error = signal<string | null>(null)
  /** The video that this becomes, once the server knows of it. */
  readonly video = signal<string | null>(null)
  private stop = new AbortController()
  private partsSent = new Map<number, number>()

  constructor(readonly file: File, videoId: string | null = null) {
    this.video.value = videoId
  }

  get fraction(): number {
    return this.file.size > 0 ? this.sent.value / this.file.size : 0
  }

  /** Sends the file and gives the video, or nothing when it was stopped or failed. */
  async run(): Promise<Video | null> {
    this.stop = new AbortController()
    const { signal } = this.stop
    this.error.value = null
    this.state.value = 'starting'
    try {
      const plan = await this.again(() => this.plan(signal), signal)
      this.state.value = 'sending'
      if (!plan.completed) await this.sendAll(plan, signal)
      this.state.value = 'finishing'
      const parts = [...plan.parts].map(([number, part]) => ({ number, etag: part.etag ?? '' }))
      const sent = plan.completed ? [] : parts.filter((part) => part.etag)
      const video = await this.again(() => api.completeUpload(plan.video, sent, signal), signal)
      forget(plan.video)
      this.state.value = 'done'
      return video
    } catch (error) {
      if (isAbort(error)) return null
      this.error.value = sentence(error)
      this.state.value = 'failed'
      return null
    } finally {
      this.note.value = null
    }
  }

  pause(): void {
    this.state.value = 'paused'
    this.stop.abort()
  }

  /** Ends it, here and on the server. */
  async cancel(): Promise<void> {
    this.state.value = 'cancelled'
    this.stop.abort()
    const id = this.video.peek()
    if (id) {
      forget(id)
      await api.deleteVideo(id).catch(() => undefined)
    }
  }

  /** Asks for the addresses of the parts: of an upload that was begun, or of a new one. */
  private async plan(signal: AbortSignal): Promise<Plan> {
    const begun = this.video.peek()
    if (begun) {
      try {
        return await stateOf(begun, signal)
      } catch (error) {
        // What was begun long ago or deleted is not there any more: begin again.
        if (!(error instanceof Failure && error.status === 404)) throw error
        forget(begun)
      }
    }
    const { name, type, size } = this.file
    const plan = await api.initUpload({ name, content_type: type || 'application/octet-stream', bytes: size }, signal)
    this.video.value = plan.video_id
    remember(plan.video_id, this.file)
    return {
      video: plan.video_id,
      partBytes: plan.part_bytes,
      completed: false,
      parts: new Map(plan.parts.map((request) => [request.number, { request }])),
    }
  }

  /** Sends the parts that are not there; each has its `etag` in `plan` then. */
  private async sendAll(plan: Plan, signal: AbortSignal): Promise<void> {
    this.partsSent.clear()
    const left: number[] = []
    for (const [number, part] of plan.parts) {
      if (part.request) left.push(number)
      else this.count(number, this.slice(plan, number).size)
    }
    let renewing: Promise<void> | null = null
    // The address of a part ends after a while; one asks for new ones, the others wait for them.
    const renew = () =>
      (renewing ??= stateOf(plan.video, signal)
        .then((fresh) => {
          for (const [number, part] of fresh.parts) if (part.request) plan.parts.set(number, part)
        })
        .finally(() => {
          renewing = null
        }))

    const sendOne = async (number: number): Promise<string> => {
      const request = plan.parts.get(number)?.request
      if (!request || new Date(request.expires_at).getTime() <= Date.now()) await renew()
      const fresh = plan.parts.get(number)?.request
      if (!fresh) throw new Failure(text.upload.blocked, { status: 409, code: 'storage' })
      try {
        return await send(fresh, this.slice(plan, number), (sent) => this.count(number, sent), signal)
      } catch (error) {
        this.count(number, 0)
        // An address that is no longer good: with a new one it may work.
        if (error instanceof Failure && (error.status === 403 || error.status === 410)) {
          await renew()
          throw new Failure(error.message, { status: 503, code: error.code })
        }
        throw error
      }
    }
    const work = async () => {
      for (let number = left.shift(); number !== undefined; number = left.shift()) {
        const current: number = number
        const etag = await this.again(() => sendOne(current), signal)
        plan.parts.set(current, { etag })
      }
    }
    const workers = Array.from({ length: Math.min(PARTS_AT_ONCE, left.length) }, work)
    try {
      await Promise.all(workers)
    } catch (error) {
      // One that fails stops the others.
      left.length = 0
      if (!isAbort(error)) this.stop.abort()
      await Promise.allSettled(workers)
      throw error
    }
  }

  private slice(plan: Plan, number: number): Blob {
    const from = (number - 1) * plan.partBytes
    return this.file.slice(from, Math.min(from + plan.partBytes, this.file.size))
  }

  private count(part: number, sent: number): void {
    this.partsSent.set(part, sent)
    let all = 0
    for (const bytes of this.partsSent.values()) all += bytes
    this.sent.value = Math.min(all, this.file.size)
  }

  /** Until it works: what may pass is tried again, later each time, and at once when the connection is back. */
  private async again<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    let wait = FIRST_WAIT_MS
    let attempt = 1
    for (;;) {
      try {
        const result = await work()
        this.note.value = null
        return result
      } catch (error) {
        const passing = error instanceof Failure && error.passing
        // Without a connection there is no end to waiting.
        if (navigator.onLine) attempt += 1
        if (isAbort(error) || !passing || attempt > ATTEMPTS) throw error
        this.note.value = navigator.onLine ? text.upload.retrying : text.upload.offline
        await pause((error.retryAfter ?? 0) * 1000 || wait, signal)
        wait = Math.min(wait * 2, LONGEST_WAIT_MS)
      }
    }
  }
}

async function stateOf(video: string, signal: AbortSignal): Promise<Plan> {
  const state = await api.uploadState(video, signal)
  return {
    video: state.video_id,
    partBytes: state.part_bytes,
    completed: state.completed,
    parts: new Map(state.parts.map(({ number, etag, request }) => [number, { etag, request }])),
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      clearTimeout(timer)
      removeEventListener('online', go)
      signal.removeEventListener('abort', stop)
      act()
    }
    const go = () => finish(resolve)
    const stop = () => finish(() => reject(new DOMException('stopped', 'AbortError')))
    const timer = setTimeout(go, ms)
    addEventListener('online', go)
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
  })
}

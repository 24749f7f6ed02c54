// What can go wrong with a request, as one type.

import { text } from '../strings.ts'
import type { Problem } from './types.ts'

/** A request that failed: the server's problem, or no answer at all (`code` is `network`). */
export class Failure extends Error {
  readonly status: number
  readonly code: string
  readonly field: string | undefined
  readonly requestId: string | undefined
  /** Seconds after which to try again, where the server says so. */
  readonly retryAfter: number | undefined

  constructor(message: string, facts: { status?: number; code?: string; field?: string; requestId?: string; retryAfter?: number } = {}) {
    super(message)
    this.name = 'Failure'
    this.status = facts.status ?? 0
    this.code = facts.code ?? 'network'
    this.field = facts.field
    this.requestId = facts.requestId
    this.retryAfter = facts.retryAfter
  }

  /** Whether the same request may well work a little later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }
}

export async function failureOf(response: Response): Promise<Failure> {
  const retryAfter = Number(response.headers.get('retry-after') ?? NaN)
  const facts = { status: response.status, retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined }
  try {
    const problem = (await response.json()) as Partial<Problem>
    return new Failure(problem.detail || problem.title || text.errors.unknown(response.status), {
      ...facts,
      code: problem.code ?? 'unknown',
      field: problem.field ?? undefined,
      requestId: problem.request_id ?? undefined,
    })
  } catch {
    return new Failure(text.errors.unknown(response.status), { ...facts, code: 'unknown' })
  }
}

/** Anything thrown, as a sentence for the reader. */
export function sentence(error: unknown): string {
  if (error instanceof Failure) return error.message
  return error instanceof Error ? error.message : String(error)
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** The stable names of failures. Texts may change; kinds do not. */
export type ErrorKind =
  | 'not-a-media-file'
  | 'truncated'
  | 'unsupported'
  | 'refused-playlist'
  | 'too-large'
  | 'no-video-stream'
  | 'timed-out'
  | 'io'
  | 'invalid'
  | 'query'
  | 'subtitle'
  | 'model'
  | 'model-missing'
  | 'space'
  | 'store'
  | 'not-found'
  | 'cancelled'

interface Facts {
  kind: ErrorKind
  message: string
  path?: string
  field?: string
  model?: string
  name?: string
  mistyped?: boolean
}

/** A failure of Heimdex. `code` says which. */
export class HeimdexError extends Error {
  /** The stable name of the failure. */
  readonly code: ErrorKind
  /** The file that it is about. */
  readonly path: string | undefined
  /** The argument that it is about. */
  readonly field: string | undefined
  /** The model that it is about. */
  readonly model: string | undefined
  /** What does not exist. */
  readonly missing: string | undefined

  constructor(code: ErrorKind, message: string, about: Partial<Facts> = {}) {
    super(message)
    this.name = 'HeimdexError'
    this.code = code
    this.path = about.path
    this.field = about.field
    this.model = about.model
    this.missing = about.name
  }
}

/** The error of what the core tells of one. */
export function errorOf(text: string): Error {
  const facts = JSON.parse(text) as Facts
  if (facts.mistyped) return mistyped(facts.message)
  return new HeimdexError(facts.kind, facts.message, facts)
}

/** An argument of another type; the message begins with its name. */
export function mistyped(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'invalid' as const })
}

/** What a call of the native half throws: its text is that of an error of the core. */
export function thrown(error: unknown): unknown {
  if (error instanceof Error && error.message.startsWith('{')) return errorOf(error.message)
  return error
}

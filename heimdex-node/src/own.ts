import * as native from '../native'
import { mistyped } from './errors'
import type { Pixels } from './pictures'
import type { Keyframe, Scene } from './results'

type Rows = ReadonlyArray<ArrayLike<number>>
type Later<T> = T | Promise<T>

/**
 * Turns texts into vectors of one space. Whenever it gives other vectors for the same text, its version has
 * to be another. Vectors need no length of 1.
 */
export interface TextEmbedder {
  name: string
  version?: string
  dim: number
  /** One row of `dim` numbers per text. */
  embed(texts: string[], role: 'query' | 'passage'): Later<Rows>
}

/** Turns pictures into vectors of one space; with `embed`, they are found by words too. */
export interface ImageEmbedder {
  name: string
  version?: string
  dim: number
  /** One row of `dim` numbers per picture. */
  embedImages(pictures: Pixels[]): Later<Rows>
  embed?(texts: string[], role: 'query' | 'passage'): Later<Rows>
}

/** A scene as an annotator sees it. */
export interface SceneView {
  scene: Scene
  keyframes: Keyframe[]
  /** The keyframes' pictures; the shorter side is at most 384. */
  pictures: Pixels[]
}

/** What an annotator finds in a scene. Empty parts add nothing. */
export interface Annotation {
  /** Searched by word in the annotator's channel. */
  text?: string
  /** Labels and how sure they are, 0 to 1. */
  tags?: Record<string, number>
  /** Moments in microseconds, and the vectors that stand for them. */
  vectors?: Array<[number, ArrayLike<number>]>
}

/** Looks at scenes and adds a channel of its own, which search uses at once. */
export interface Annotator {
  /** Lower case letters, digits and `_`. */
  channel: string
  /** Another whenever the same scene would be annotated in another way. */
  version?: string
  /** Components of its vectors, where it gives any. */
  dim?: number
  annotate(scene: SceneView): Later<Annotation | string | undefined>
  /** A query as a vector, where its vectors can be searched by words. */
  embedQuery?(query: string): Later<ArrayLike<number>>
}

interface Facts {
  texts: string[]
  role: 'query' | 'passage'
  query: string
  scene: Scene
  keyframes: Keyframe[]
  sizes: Array<[number, number]>
}

type Own = TextEmbedder | ImageEmbedder | Annotator

/** What is written in JavaScript of a library. */
export class OwnParts {
  readonly #parts: Own[] = []

  embedder(field: string, own: TextEmbedder | ImageEmbedder, method: 'embed' | 'embedImages'): native.NativeOwn {
    if (typeof (own as unknown as Record<string, unknown>)[method] !== 'function') {
      throw mistyped(`${field}: a name, a folder or an object with \`${method}\` is needed`)
    }
    const spec = JSON.stringify({ name: own.name, version: own.version ?? '1', dim: own.dim })
    return { id: this.#parts.push(own) - 1, spec, readsTexts: typeof own.embed === 'function' }
  }

  annotator(own: Annotator): native.NativeOwn {
    if (typeof own?.channel !== 'string' || typeof own.annotate !== 'function') {
      throw mistyped('annotators: each needs `channel`, a string, and a method `annotate`')
    }
    const { channel, version = '1', dim } = own
    const part = { id: this.#parts.push(own) - 1, channel, version, readsTexts: false }
    return dim === undefined ? part : { ...part, spec: JSON.stringify({ name: channel, version, dim }) }
  }

  /** Does what the core asks for, and answers. */
  readonly request: native.Requests = (ticket, id, method, facts, pictures) => {
    const answer = async () => {
      const part = this.#parts[id]
      if (part === undefined) throw new Error(`there is no part ${id}`)
      const given = JSON.parse(facts) as Facts
      const pixels = pictures.map((data, i) => {
        const [width, height] = given.sizes[i] ?? [0, 0]
        return { width, height, data }
      })
      if (method === 'annotate') {
        const { scene, keyframes } = given
        const found = await (part as Annotator).annotate({ scene, keyframes, pictures: pixels })
        native.answer(ticket, null, JSON.stringify(annotation(found)), null)
      } else if (method === 'embedQuery') {
        const row = await (part as Annotator).embedQuery?.(given.query)
        native.answer(ticket, null, null, row === undefined ? null : Float32Array.from(row))
      } else {
        const rows =
          method === 'embedImages'
            ? await (part as ImageEmbedder).embedImages(pixels)
            : await (part as TextEmbedder).embed(given.texts, given.role)
        native.answer(ticket, null, null, joined(rows))
      }
    }
    answer().catch((error: unknown) => native.answer(ticket, String(error), null, null))
  }
}

function joined(rows: Rows): Float32Array {
  const all = new Float32Array(rows.reduce((length, row) => length + row.length, 0))
  let at = 0
  for (const row of rows) {
    all.set(row, at)
    at += row.length
  }
  return all
}

function annotation(found: Annotation | string | undefined): object {
  const { text = '', tags = {}, vectors = [] } = typeof found === 'string' ? { text: found } : (found ?? {})
  return {
    text,
    tags: Object.entries(tags).map(([label, score]) => ({ label, score })),
    vectors: vectors.map(([time, vector]) => [Math.round(time), unit(vector)]),
  }
}

function unit(vector: ArrayLike<number>): number[] {
  const values = Array.from(vector)
  const length = Math.hypot(...values)
  if (!(length > 1e-12 && length < Infinity)) throw new Error(`a vector of length ${length} has no direction`)
  return values.map((value) => value / length)
}

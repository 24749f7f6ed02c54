import * as native from '../native'
import { thrown, mistyped } from './errors'
import { type Annotator, type ImageEmbedder, OwnParts, type TextEmbedder } from './own'
import { type Picture, picture } from './pictures'
import type {
  Hit,
  IndexedVideo,
  IndexReport,
  ListedModel,
  MediaInfo,
  Progress,
  PullProgress,
  SceneId,
  SearchPage,
  Segment,
  Shot,
  Span,
  SwitchProgress,
  SwitchReport,
  Transcribed,
  Video,
} from './results'
import { type Stoppable, Work, work } from './work'

export { type ErrorKind, HeimdexError } from './errors'
export type { Annotation, Annotator, ImageEmbedder, SceneView, TextEmbedder } from './own'
export type { Picture, Pixels } from './pictures'
export type * from './results'
export { type Stoppable, Work } from './work'

/** The version of the core. */
export const version: string = native.version()

/** What a model is run with. */
export interface RunOptions {
  /** What runs it. */
  backend?: 'candle' | 'onnx'
  /** The numbers that weights are kept in (backend `onnx`). */
  precision?: 'f32' | 'f16' | 'int8'
  /** What ONNX Runtime computes on. */
  provider?: 'cpu' | 'open_vino' | 'cuda' | 'core_ml'
  /** Threads that work on one batch (backend `onnx`); 0 for as many as there are cores. */
  threads?: number
  /** The library of ONNX Runtime, or the folder of its Python package. */
  onnxruntime?: string
}

/** How a library is searched and indexed. */
export interface OpenOptions extends RunOptions, Stoppable {
  /** With a database: the folder for thumbnails and pictures, the same for all who use it. */
  data?: string
  /** Which of the store's libraries to use. */
  name?: string
  /** Make it when it is not there; on when not given. */
  create?: boolean
  /** Model for search by meaning: a name, a folder, or an embedder of your own. */
  text_model?: string | TextEmbedder
  /** Model for search by what is shown: a name, a folder, or an embedder of your own. */
  image_model?: string | ImageEmbedder
  /** Model that turns speech into words: a preset, a name, or a ggml file. */
  speech_model?: string
  /** Use models at all. */
  models?: boolean
  /** Transcribe speech where there are no subtitles and a model is here; on when not given. */
  speech?: boolean
  /** When a model that the library was indexed with is not here. */
  missing_models?: 'refuse' | 'leave_out'
  /** Keep thumbnails, and the pictures that models and annotators look at. */
  keep_thumbnails?: boolean
  /** Where thumbnails are kept. */
  thumbnails?: string
  /** Where a JSON file a video is written with all that is found in it. */
  sidecars?: string
  /** Tag scenes with what the image model sees in them. */
  tags?: boolean
  /** The file with the concepts to tag with. */
  vocabulary?: string
  /** The settings of all stages of indexing. */
  settings?: Record<string, unknown>
  /** Channels of your own. */
  annotators?: Annotator[]
}

/** Which scenes may be found. */
export interface Filter {
  /** Ids of videos. */
  videos?: string[]
  /** Only scenes that overlap this part of their video. */
  within?: Span
  /** Only videos at least this long. */
  min_duration_us?: number
  /** Only videos at most this long. */
  max_duration_us?: number
  /** Only videos made at this time or later. */
  created_from?: string
  /** Only videos made before this time. */
  created_before?: string
  /** Only videos in one of these languages. */
  languages?: string[]
  /** Only scenes with all of these tags. */
  tags?: string[]
}

/** How scenes are found. */
export interface SearchOptions extends Filter, Stoppable {
  /** What looks like this picture. */
  image?: Picture
  /** What is like this scene. */
  like?: SceneId
  /** Hits on a page, 1 to 200; 10 when not given. */
  limit?: number
  /** `next` of the page before. */
  cursor?: string
  /** At most this many hits of one video. */
  per_video?: number
  /** Weight of each channel. */
  weights?: Record<string, number>
  /** How rankings become one. */
  fusion?:
    | { kind: 'reciprocal_rank'; k: number }
    | { kind: 'weighted'; text: number; vision: number; tags: number }
  /** Least cosine at which two texts are about the same thing. */
  min_similarity?: number
  /** Least probability that the words describe a picture. */
  min_probability?: number
  /** Least cosine at which two pictures look alike. */
  min_likeness?: number
  /** Fill `channels` of each hit. */
  explain?: boolean
}

/** How a file is indexed. */
export interface IndexOptions extends Stoppable {
  /** The title people see; the file's name when not given. */
  title?: string
  /** Free text that is searched with the title. */
  description?: string
  /** A subtitle file in place of those beside or inside the video. */
  subtitles?: string
  /** Do all stages again. */
  force?: boolean
}

/** What is opened at most. */
export interface ProbeOptions extends Stoppable {
  limits?: Record<string, unknown>
}

/** How shots are found. */
export interface ShotsOptions extends Stoppable {
  detector?: { type: 'adaptive' | 'content' | 'threshold'; [setting: string]: unknown }
  /** Decode every frame bit for bit; slower. */
  exact?: boolean
}

/** How a file is listened to. */
export interface TranscribeOptions extends Stoppable {
  /** The model: a preset, a name or a ggml file; one that is on this machine when not given. */
  speech_model?: string
  /** The language that is spoken; detected when not given. */
  language?: string
  /** Translate to English. */
  translate?: boolean
  /** Names and terms to expect. */
  prompt?: string
  /** Which track of sound: by its number from 0, or by its language. */
  track?: 'default' | { number: number } | { language: string }
  /** What tells speech from other sound. */
  activity?: 'spectral' | 'everything' | { silero: string }
  limits?: Record<string, unknown>
}

/** Which version of a model is got. */
export interface PullOptions extends Stoppable {
  /** The branch, tag or commit in place of the pinned one. */
  revision?: string
  /** Hash what is already there and get again what is wrong. */
  force?: boolean
}

/** The options of a search that say which scenes may be found, and what each has to be. */
const FILTER: Record<keyof Filter, 'list' | 'object' | 'number' | 'string'> = {
  videos: 'list',
  within: 'object',
  min_duration_us: 'number',
  max_duration_us: 'number',
  created_from: 'string',
  created_before: 'string',
  languages: 'list',
  tags: 'list',
}

function parsed<T>(text: Promise<string>): Promise<T> {
  return text.then((text) => JSON.parse(text) as T)
}

/** Options without what is no JSON. */
function plain(options: object): Record<string, unknown> {
  if (typeof options !== 'object' || options === null) throw mistyped('options: an object is needed')
  const { signal: _, ...rest } = options as Stoppable & Record<string, unknown>
  return rest
}

function reported<T, P>(
  start: (watcher: native.Watcher) => native.Job,
  signal: AbortSignal | undefined,
): Work<T, P> {
  return new Work<T, P>((report) =>
    parsed<T>(work<string>(start, signal, (text) => report(JSON.parse(text) as P))),
  )
}

/** A library that is open. Made by `open`. */
export class Library {
  readonly #native: native.NativeLibrary

  /** @internal */
  constructor(library: native.NativeLibrary) {
    this.#native = library
  }

  /** What was left out in opening, one line each. */
  get notes(): string[] {
    return this.#native.notes
  }

  /** Finds scenes by words, by a picture, or by a scene that they are to be like. */
  async search(query: string, options: SearchOptions = {}): Promise<SearchPage> {
    const { image, ...given } = plain(options) as SearchOptions & Record<string, unknown>
    const filter: Record<string, unknown> = {}
    for (const [name, kind] of Object.entries(FILTER)) {
      const value = given[name]
      delete given[name]
      if (value === undefined) continue
      if (kind === 'list' ? !Array.isArray(value) : typeof value !== kind) {
        throw mistyped(`${name}: a ${kind} is needed, not a ${typeof value}`)
      }
      filter[name] = value
    }
    const pixels = image === undefined ? null : await picture(image)
    const text = JSON.stringify({ ...given, query, filter })
    return parsed(work((watcher) => this.#native.start('search', text, pixels, watcher), options.signal))
  }

  /**
   * Indexes a file. What an earlier run finished is not done again. Await it for its report, or iterate it
   * for its progress first.
   */
  index(path: string, options: IndexOptions = {}): Work<IndexReport, Progress> {
    return reported(
      (watcher) => this.#native.start('index', JSON.stringify({ ...plain(options), path }), null, watcher),
      options.signal,
    )
  }

  /** Every video, in order of id. */
  videos(): Promise<Video[]> {
    return this.#call('videos', {})
  }

  /** All that the index holds of a video: of its id, the beginning of it, its path, or its title. */
  video(video: string): Promise<IndexedVideo> {
    return this.#call('video', { video })
  }

  /** Takes a video out of the library, and gives its id. The file is not touched. */
  remove(video: string): Promise<string> {
    return this.#call('remove', { video })
  }

  /** Changes the library to the models that it was opened with; nothing is decoded. */
  switchModels(options: Stoppable = {}): Work<SwitchReport, SwitchProgress> {
    return reported((watcher) => this.#native.start('switch_models', '{}', null, watcher), options.signal)
  }

  /** A thumbnail, as WebP, by the key that hits and keyframes give. */
  thumbnail(key: string): Promise<Buffer> {
    return work((watcher) => this.#native.thumbnail(key, watcher))
  }

  /** Lets go of the index; what is called later fails. */
  close(): void {
    this.#native.close()
  }

  #call<T>(name: string, options: object): Promise<T> {
    return parsed(work((watcher) => this.#native.start(name, JSON.stringify(options), null, watcher)))
  }
}

/**
 * Opens the library in a folder or a `postgres://` database, made when it is not there; the user's own
 * folder when none is named.
 */
export async function open(location?: string, options: OpenOptions = {}): Promise<Library> {
  const { text_model, image_model, annotators = [], ...given } = plain(options) as OpenOptions
  const own = new OwnParts()
  const named: Record<string, unknown> = { ...given, location }
  let text: native.NativeOwn | null = null
  let image: native.NativeOwn | null = null
  if (typeof text_model === 'object') text = own.embedder('text_model', text_model, 'embed')
  else named['text_model'] = text_model
  if (typeof image_model === 'object') image = own.embedder('image_model', image_model, 'embedImages')
  else named['image_model'] = image_model
  const parts = annotators.map((annotator) => own.annotator(annotator))
  const library = await work<native.NativeLibrary>(
    (watcher) => native.open(JSON.stringify(named), text, image, parts, own.request, watcher),
    options.signal,
  )
  for (const note of library.notes) process.emitWarning(note)
  return new Library(library)
}

/** The facts of a media file, without decoding it. */
export async function probe(path: string, options: ProbeOptions = {}): Promise<MediaInfo> {
  const text = JSON.stringify({ ...plain(options), path })
  return parsed(work((watcher) => native.start('probe', text, watcher), options.signal))
}

/** The shots of a file, without a library. */
export function shots(path: string, options: ShotsOptions = {}): Work<Shot[], Progress> {
  return reported(
    (watcher) => native.start('shots', JSON.stringify({ ...plain(options), path }), watcher),
    options.signal,
  )
}

/** What is said in a file, without a library. */
export function transcribe(path: string, options: TranscribeOptions = {}): Work<Transcribed, Progress> {
  return reported(
    (watcher) => native.start('transcribe', JSON.stringify({ ...plain(options), path }), watcher),
    options.signal,
  )
}

/** What is said as the text of a subtitle file. */
export function writeSubtitles(segments: Segment[], format: 'srt' | 'vtt' = 'srt'): Promise<string> {
  return parsed(
    work((watcher) => native.start('write_subtitles', JSON.stringify({ segments, format }), watcher)),
  )
}

/** The known models, and which of them are on this machine. */
export function models(): Promise<ListedModel[]> {
  return parsed(work((watcher) => native.start('models', '{}', watcher)))
}

/** Gets a model or a preset from the hub. */
export function pull(
  model: string,
  options: PullOptions = {},
): Work<Array<Record<string, unknown>>, PullProgress> {
  return reported(
    (watcher) => native.start('pull', JSON.stringify({ ...plain(options), model }), watcher),
    options.signal,
  )
}

/** Rows of unit vectors, one below the other. */
export interface Rows {
  /** `rows * dim` numbers. */
  data: Float32Array
  rows: number
  dim: number
}

class Model {
  protected readonly native: native.NativeModel
  #spec: Promise<Record<string, unknown>> | undefined

  /** @internal */
  constructor(model: string, options: RunOptions, images: boolean) {
    try {
      this.native = new native.NativeModel(JSON.stringify({ ...options, model }), images)
    } catch (error) {
      throw thrown(error)
    }
  }

  /** What makes its vectors: `model`, `dim`, `max_tokens`, ... */
  spec(): Promise<Record<string, unknown>> {
    return (this.#spec ??= parsed(work((watcher) => this.native.spec(watcher))))
  }

  protected async rows(bytes: Promise<Buffer>): Promise<Rows> {
    const dim = Number((await this.spec())['dim'])
    const { buffer, byteOffset, byteLength } = await bytes
    // A view where the memory is aligned to it, else a copy.
    const data =
      byteOffset % 4 === 0
        ? new Float32Array(buffer, byteOffset, byteLength / 4)
        : new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))
    return { data, rows: data.length / dim, dim }
  }
}

/** A text model by its name or folder. Models of the same folder share one copy of the weights. */
export class TextModel extends Model {
  constructor(model: string, options: RunOptions = {}) {
    super(model, options, false)
  }

  /** One row per text; `query` is for texts to search with. */
  embed(texts: string[], role: 'query' | 'passage' = 'passage'): Promise<Rows> {
    return this.rows(work((watcher) => this.native.embed(texts, role, watcher)))
  }
}

/** A model for pictures and texts by its name or folder. */
export class ImageModel extends Model {
  constructor(model: string, options: RunOptions = {}) {
    super(model, options, true)
  }

  /** One row per text, in the space of the pictures. */
  embed(texts: string[], role: 'query' | 'passage' = 'query'): Promise<Rows> {
    return this.rows(work((watcher) => this.native.embed(texts, role, watcher)))
  }

  /** One row per picture. */
  async embedImages(images: Picture[]): Promise<Rows> {
    const pictures = await Promise.all(images.map(picture))
    return this.rows(work((watcher) => this.native.embedImages(pictures, watcher)))
  }
}

/** The scene of a hit as `VIDEO:NUMBER`, as the program writes it. */
export function sceneName(hit: Hit): string {
  return `${hit.scene.video}:${hit.scene.ordinal}`
}

/* Written by dev/node from the crate. */
/* eslint-disable */
/** Called with one of the three for every event of the work. */
export type Watcher = (progress: string | null, result: string | Buffer | NativeLibrary | null, error: string | null) => void
/** Called for what an embedder or annotator is to do; answered with `answer`. */
export type Requests = (ticket: number, id: number, method: string, facts: string, pictures: Array<Buffer>) => void

/** Work that was started. */
export declare class Job {
  /** Stops the work. */
  cancel(): void
}

/** A library that is open. */
export declare class NativeLibrary {
  /** What was left out in opening, one line each. */
  get notes(): Array<string>
  /** Starts a call. `image` is what a search is to look like. */
  start(name: string, options: string, image: NativePicture | undefined | null, watcher: Watcher): Job
  /** Starts reading a thumbnail: WebP. */
  thumbnail(key: string, watcher: Watcher): Job
  /** Lets go of the index once work in progress has ended. */
  close(): void
}

/** A model; opened by the first call. */
export declare class NativeModel {
  /** For texts, or where `images`, for pictures and texts. */
  constructor(options: string, images: boolean)
  /** Starts opening it; gives what makes its vectors, as JSON. */
  spec(watcher: Watcher): Job
  /** Starts embedding texts; gives rows of 32-bit floats. */
  embed(texts: Array<string>, role: string, watcher: Watcher): Job
  /** Starts embedding pictures; gives rows of 32-bit floats. */
  embedImages(pictures: Array<NativePicture>, watcher: Watcher): Job
}

/** Answers a request: with an error, a text, rows of numbers, or nothing. */
export declare function answer(ticket: number, error?: string | undefined | null, text?: string | undefined | null, rows?: Float32Array | undefined | null): void

/** Every kind of failure. */
export declare function errorKinds(): Array<string>

/** An embedder or annotator in JavaScript: `spec` is the JSON of its name, version and dim. */
export interface NativeOwn {
  id: number
  spec?: string
  channel?: string
  version?: string
  readsTexts: boolean
}

/** A picture: the bytes of a file, or where there are a width and a height, rows of R, G, B. */
export interface NativePicture {
  width?: number
  height?: number
  data: Buffer
}

/**
 * Starts opening a library. `request` is called for what `text`, `image` and `annotators` are to do, and
 * answered with `answer`.
 */
export declare function open(options: string, text: NativeOwn | undefined | null, image: NativeOwn | undefined | null, annotators: Array<NativeOwn>, request: Requests, watcher: Watcher): Job

/** The options of every call with their defaults, as JSON. */
export declare function options(): string

/**
 * Starts a call that needs no library.
 *
 * # Errors
 * The option that is wrong, as JSON.
 */
export declare function start(name: string, options: string, watcher: Watcher): Job

/** The version of the core. */
export declare function version(): string

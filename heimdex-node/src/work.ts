import { errorOf, mistyped, thrown } from './errors'
import type { Job, Watcher } from '../native'

/** A call that takes long can be stopped. */
export interface Stoppable {
  /** Stops the work, before it begins or while it runs. */
  signal?: AbortSignal | undefined
}

/**
 * The result of work, which runs on threads of its own. When `signal` says to stop, the promise is rejected
 * with its reason once the work has stopped.
 */
export function work<T>(
  start: (watcher: Watcher) => Job,
  signal?: AbortSignal,
  onProgress?: (text: string) => void,
): Promise<T> {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    return Promise.reject(mistyped('signal: an AbortSignal is needed'))
  }
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    let job: Job | undefined
    let failure: { error: unknown } | undefined
    const stop = () => job?.cancel()
    try {
      job = start((progress, result, error) => {
        if (progress !== null) {
          if (!onProgress || failure) return
          try {
            onProgress(progress)
          } catch (raised) {
            failure = { error: raised }
            stop()
          }
          return
        }
        signal?.removeEventListener('abort', stop)
        if (failure) reject(failure.error)
        else if (signal?.aborted) reject(signal.reason)
        else if (error !== null) reject(errorOf(error))
        else resolve(result as T)
      })
    } catch (error) {
      reject(thrown(error))
      return
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/** Work that is awaited for its result, or iterated for its progress: `for await (const p of work)`. */
export class Work<T, P> implements PromiseLike<T>, AsyncIterable<P> {
  readonly #result: Promise<T>
  readonly #seen: P[] = []
  #wake: () => void = () => undefined
  #ended = false

  /** @internal */
  constructor(begin: (report: (progress: P) => void) => Promise<T>) {
    this.#result = begin((progress) => {
      // A reader that is slow sees the last of what it missed.
      if (this.#seen.length >= 256) this.#seen.shift()
      this.#seen.push(progress)
      this.#wake()
    })
    const end = () => {
      this.#ended = true
      this.#wake()
    }
    this.#result.then(end, end)
  }

  then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(fulfilled, rejected)
  }

  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#result.catch(rejected)
  }

  finally(act?: (() => void) | null): Promise<T> {
    return this.#result.finally(act)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<P, T, void> {
    for (;;) {
      while (this.#seen.length > 0) yield this.#seen.shift() as P
      if (this.#ended) return await this.#result
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

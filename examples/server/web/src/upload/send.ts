// One part of a file to a signed address, with progress. `fetch` tells nothing while it sends.

import { text } from '../strings.ts'
import { Failure } from '../api/problem.ts'
import type { PartRequest } from '../api/types.ts'

/** Without progress for this long a part is given up and sent again. */
const SILENT_MS = 60_000

/** Sends `body` and gives the part's `ETag`. */
export function send(part: PartRequest, body: Blob, onProgress: (sent: number) => void, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    let watch = 0
    const alive = () => {
      clearTimeout(watch)
      watch = setTimeout(() => request.abort(), SILENT_MS)
    }
    const stop = () => request.abort()
    const settle = (act: () => void) => {
      clearTimeout(watch)
      signal.removeEventListener('abort', stop)
      act()
    }
    const failed = () =>
      settle(() =>
        reject(signal.aborted ? new DOMException('stopped', 'AbortError') : new Failure(navigator.onLine ? text.errors.network : text.upload.offline)),
      )

    request.open(part.method, part.url)
    for (const [name, value] of Object.entries(part.headers)) {
      // The browser sets these itself and refuses to be told.
      if (!/^(host|content-length)$/i.test(name)) request.setRequestHeader(name, value)
    }
    request.upload.addEventListener('progress', (event) => {
      alive()
      onProgress(event.loaded)
    })
    request.addEventListener('load', () => {
      if (request.status < 200 || request.status > 299) {
        settle(() => reject(refusal(request)))
        return
      }
      onProgress(body.size)
      settle(() => resolve(request.getResponseHeader('etag') ?? ''))
    })
    request.addEventListener('error', failed)
    request.addEventListener('abort', failed)
    signal.addEventListener('abort', stop)
    if (signal.aborted) {
      failed()
      return
    }
    alive()
    request.send(body)
  })
}

function refusal(request: XMLHttpRequest): Failure {
  let message: string = text.upload.blocked
  let code = 'storage'
  try {
    const problem = JSON.parse(request.responseText) as { detail?: string; code?: string }
    message = problem.detail ?? message
    code = problem.code ?? code
  } catch {
    // S3 answers in XML, which says nothing to a reader.
  }
  return new Failure(message, { status: request.status, code })
}

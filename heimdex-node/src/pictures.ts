import { open } from 'node:fs/promises'
import type { NativePicture } from '../native'
import { HeimdexError, mistyped } from './errors'

/** The largest file that is read as a picture. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** Rows of R, G, B, from top to bottom. */
export interface Pixels {
  width: number
  height: number
  data: Uint8Array
}

/** A path, the bytes of a PNG, JPEG, WebP, GIF or BMP file, or pixels. */
export type Picture = string | URL | Uint8Array | Pixels

export async function picture(image: Picture): Promise<NativePicture> {
  if (image instanceof Uint8Array) return { data: buffer(image) }
  if (typeof image === 'string' || image instanceof URL) {
    const file = await open(image).catch((error: Error) => {
      throw new HeimdexError('io', `image: ${error.message}`, { path: String(image) })
    })
    try {
      if ((await file.stat()).size > MAX_FILE_BYTES) {
        throw new HeimdexError('invalid', `image: ${String(image)} is larger than 64 MiB`, { field: 'image' })
      }
      return { data: await file.readFile() }
    } finally {
      await file.close()
    }
  }
  const pixels: unknown = image
  if (isPixels(pixels)) return { width: pixels.width, height: pixels.height, data: buffer(pixels.data) }
  throw mistyped('image: a path, a Buffer, a Uint8Array or {width, height, data} is needed')
}

function isPixels(image: unknown): image is Pixels {
  if (typeof image !== 'object' || image === null) return false
  const { width, height, data } = image as Partial<Pixels>
  return Number.isInteger(width) && Number.isInteger(height) && data instanceof Uint8Array
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// Writes a page with what is found: pictures, moments and words.
//
// search-page.mts LIBRARY "a red car" found.html
import { writeFile } from 'node:fs/promises'
import { type Hit, type Library, open } from 'heimdex'

const ESCAPED: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escape = (text: string) => text.replace(/[&<>"]/g, (sign) => ESCAPED[sign] ?? sign)

async function shown(library: Library, hit: Hit): Promise<string> {
  const picture = hit.thumbnail === null ? '' : (await library.thumbnail(hit.thumbnail)).toString('base64')
  const image = `<img alt="" width="160" src="data:image/webp;base64,${picture}">`
  return `<p>${image} <b>${escape(hit.video.title)}</b> at ${hit.moment_us / 1e6} s<br>${escape(hit.text)}</p>`
}

const [folder = 'library', query = '', page = 'found.html'] = process.argv.slice(2)
const library = await open(folder, { create: false })
const found = await library.search(query)
const parts = await Promise.all(found.hits.map((hit) => shown(library, hit)))
await writeFile(page, `<!doctype html><meta charset="utf-8"><title>Heimdex</title>${parts.join('')}`)
console.log(`${found.hits.length} of ${found.total} in ${page}`)

// The hash of everything that the built page is made from. `dist/source.sha256` holds that of the sources it was
// built from, so that a page that was not built again is noticed without building it.
//
//     node source-hash.mjs          prints it
//     node source-hash.mjs check    fails when dist was made from other sources

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** SHA-256 over the paths and contents of `src`, `public`, `index.html`, `package.json` and `vite.config.mjs`. */
export function sourceHash() {
  const hash = createHash('sha256')
  const files = [...walk(join(here, 'src')), ...walk(join(here, 'public')), ...['index.html', 'package.json', 'vite.config.mjs'].map((name) => join(here, name))]
  for (const path of files.map((path) => relative(here, path)).sort()) {
    const bytes = readFileSync(join(here, path))
    hash.update(`${path}\n${bytes.length}\n`)
    hash.update(bytes)
  }
  return hash.digest('hex')
}

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const now = sourceHash()
  if (process.argv[2] === 'check') {
    const built = readFileSync(join(here, 'dist/source.sha256'), 'utf8').trim()
    if (built !== now) {
      console.error('web/dist was built from other sources; run `npm run build` in examples/server/web')
      process.exit(1)
    }
  } else {
    console.log(now)
  }
}

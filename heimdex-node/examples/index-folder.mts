// Indexes the videos of a folder, then searches them.
//
// index-folder.mts VIDEOS LIBRARY "a red car"
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { HeimdexError, open } from 'heimdex'

const [videos = '.', folder = 'library', query = ''] = process.argv.slice(2)
const library = await open(folder)
for (const name of (await readdir(videos)).sort()) {
  try {
    const work = library.index(join(videos, name))
    for await (const { stage, fraction } of work) process.stderr.write(`\r${Math.round(fraction * 100)} % ${stage}   `)
    const report = await work
    console.log(`${report.title}: ${report.scenes} scenes`)
  } catch (error) {
    // Such as a text that lies beside the videos.
    if (!(error instanceof HeimdexError)) throw error
    console.log(`${name}: ${error.code}`)
  }
}
for (const hit of (await library.search(query, { limit: 5 })).hits) {
  console.log(`${hit.video.title} at ${(hit.moment_us / 1e6).toFixed(1)} s: ${JSON.stringify(hit.text)}`)
}
library.close()

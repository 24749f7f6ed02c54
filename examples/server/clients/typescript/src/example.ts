// Uploads a video, waits until it can be searched, and searches it:
//
//     EMAIL=mina@example.org PASSWORD=... node dist/example.js http://127.0.0.1:8474 talk.mp4 "red car"

import { openAsBlob } from 'node:fs'
import { basename } from 'node:path'
import { HeimdexClient, HeimdexError } from './client.js'

const [address, path, query] = process.argv.slice(2)
const { EMAIL: email, PASSWORD: password } = process.env
if (!address || !path || !query || !email || !password) {
  console.error('EMAIL=... PASSWORD=... node dist/example.js ADDRESS VIDEO QUERY')
  process.exit(2)
}

const heimdex = new HeimdexClient(address)
try {
  await heimdex.register(email, password)
} catch (error) {
  if (!(error instanceof HeimdexError) || error.status !== 409) throw error
  await heimdex.login(email, password)
}

const video = await heimdex.upload(await openAsBlob(path, { type: 'video/mp4' }), { name: basename(path) })
for await (const status of heimdex.watch(video.id)) {
  console.log(status.state, status.progress ? `${status.progress.stage} ${Math.round(status.progress.fraction * 100)} %` : '')
  if (status.state === 'failed') throw new Error(status.error?.message ?? 'indexing failed')
}
const page = await heimdex.search({ query })
for (const hit of page.hits) {
  console.log(hit.video.title, (hit.moment_us / 1e6).toFixed(2), hit.text.replace(/\s+/g, ' '), new URL(hit.playback.url, address).href)
}
await heimdex.logout()

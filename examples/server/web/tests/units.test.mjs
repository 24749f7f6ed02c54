// The rules of the page that need no browser.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
let folder
let highlighting, formats, events, transcripts

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heimdex-web-'))
  // Modules that hear of the browser when they are loaded.
  globalThis.addEventListener ??= () => undefined
  globalThis.location ??= { hash: '' }
  globalThis.document ??= { documentElement: { dataset: {} } }
  // One that listens would keep this process from ending.
  globalThis.BroadcastChannel = undefined
  const entries = { highlight: 'highlight.ts', format: 'format.ts', events: 'api/events.ts', transcript: 'parts/transcript.tsx' }
  await build({
    root,
    configFile: join(root, 'vite.config.mjs'),
    logLevel: 'error',
    build: {
      ssr: true,
      outDir: folder,
      emptyOutDir: true,
      copyPublicDir: false,
      rolldownOptions: { input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(root, 'src', path)])) },
    },
    ssr: { noExternal: true },
  })
  const load = (name) => import(pathToFileURL(join(folder, `${name}.js`)))
  ;[highlighting, formats, events, transcripts] = await Promise.all(['highlight', 'format', 'events', 'transcript'].map(load))
})

after(() => rm(folder, { recursive: true, force: true }))

const words = (...texts) => texts.map((text) => ({ text, start_us: 0, end_us: 1 }))
const marked = (text, ...matched) =>
  highlighting.highlight(text, words(...matched)).map((piece) => (piece.marked ? `[${piece.text}]` : piece.text)).join('')

test('matched words are marked where they stand as words', () => {
  assert.equal(marked('The car and the cart.', 'car'), 'The [car] and the cart.')
  assert.equal(marked('A bicycle, a bike', 'bicycle,'), 'A [bicycle,] a bike')
  assert.equal(marked('미나가 왔다', '미나가'), '[미나가] 왔다')
  assert.equal(marked('彼女は東京に住む', '東京'), '彼女は[東京]に住む')
  assert.equal(marked('a+b (c)', '(c)'), 'a+b [(c)]')
  assert.equal(marked('nothing'), 'nothing')
  assert.equal(marked('x', ''), 'x')
})

test('an excerpt begins a little before the first mark and loses no mark', () => {
  const long = `${'word '.repeat(80)}needle ${'tail '.repeat(10)}`
  const pieces = highlighting.excerpt(highlighting.highlight(long, words('needle')), 120)
  assert.ok(pieces[0].text.startsWith('… word'))
  assert.ok(pieces[0].text.length < 60)
  assert.deepEqual(pieces[1], { text: 'needle', marked: true })
  const short = highlighting.highlight('a needle', words('needle'))
  assert.equal(highlighting.excerpt(short, 120), short)
})

test('times are written and read', () => {
  assert.equal(formats.clock(0), '0:00')
  assert.equal(formats.clock(62_900_000), '1:02')
  assert.equal(formats.clock(3_605_000_000), '1:00:05')
  assert.equal(formats.parseClock('75'), 75e6)
  assert.equal(formats.parseClock('1:15'), 75e6)
  assert.equal(formats.parseClock('1:00:05.5'), 3605.5e6)
  for (const wrong of ['', ':', '1:60', '-1', 'x', '1:2:3:4', '1.5:00']) assert.equal(formats.parseClock(wrong), undefined, wrong)
})

test('sizes are read at a glance', () => {
  assert.equal(formats.bytes(0), '0 B')
  assert.equal(formats.bytes(2_433_000), `${(2.4).toLocaleString()} MB`)
  assert.equal(formats.bytes(999_999), '1 MB')
})

test('server-sent events are read however they are cut', async () => {
  const text = ': hello\nretry: 2000\n\nevent: video\ndata: {"a":\ndata: 1}\n\r\ndata: x\r\n\r\nevent: lost\n'
  const bytes = new TextEncoder().encode(text)
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size))
        controller.close()
      },
    })
    const seen = []
    for await (const event of events.eventsOf(stream)) seen.push([event.name, event.data, event.retry])
    assert.deepEqual(seen, [['message', '', 2000], ['video', '{"a":\n1}', undefined], ['message', 'x', undefined]], `pieces of ${size}`)
  }
})

test('the line that is said is found', () => {
  const lines = [0, 5, 9].map((start_us) => ({ start_us }))
  assert.deepEqual([-1, 0, 4, 5, 100].map((at) => transcripts.lastBefore(lines, at)), [-1, 0, 0, 1, 2])
})

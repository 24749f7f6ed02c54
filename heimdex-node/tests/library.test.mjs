// What people do with a library, and what is refused.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import * as heimdex from '../index.mjs'

const require = createRequire(import.meta.url)
const fixtures = new URL('../../heimdex/tests/fixtures/', import.meta.url).pathname
const clip = (name) => join(fixtures, 'media', name)
const wide = join(fixtures, 'tiny-siglip2', 'wide.png')
const own = { text_model: join(fixtures, 'tiny-bert'), image_model: join(fixtures, 'tiny-siglip2') }
const folder = mkdtempSync(join(tmpdir(), 'heimdex-node-'))
const long = join(folder, 'long.mkv')
let library

before(async () => {
  library = await heimdex.open(join(folder, 'library'), own)
  await library.index(clip('subtitles.mp4'))
  await library.index(clip('cut.mp4'))
  const loop = ['-v', 'error', '-stream_loop', '4000', '-i', clip('cut.mp4'), '-c', 'copy', long]
  execFileSync('ffmpeg', loop)
})

after(() => rmSync(folder, { recursive: true }))

test('a hit is found, with its picture', async () => {
  const page = await library.search('car', { explain: true })
  const [hit] = page.hits
  assert.equal(hit.text, 'Hello there.\nA red car.')
  assert.deepEqual(hit.matched_words.map((word) => word.text), ['car.'])
  assert.ok(hit.channels.some((channel) => channel.channel === 'speech'))
  const picture = await library.thumbnail(hit.thumbnail)
  assert.equal(picture.subarray(8, 12).toString(), 'WEBP')
  const like = await library.search('', { like: hit.scene, min_likeness: -1 })
  assert.ok(like.hits.every((other) => heimdex.sceneName(other) !== heimdex.sceneName(hit)))
  const indexed = await library.video('subtitles.mp4')
  assert.equal(indexed.scenes[0].words.length > 0, true)
})

test('both kinds of module are one', () => {
  assert.equal(require('../dist/index.js').Library, heimdex.Library)
  assert.equal(typeof heimdex.version, 'string')
})

test('pictures come in every form', async () => {
  const bytes = readFileSync(wide)
  const found = []
  for (const image of [wide, bytes, new Uint8Array(bytes)]) {
    found.push(await library.search('', { image, min_likeness: -1 }))
  }
  assert.ok(found[0].hits.length > 0)
  for (const page of found) assert.deepEqual(page, found[0])
  const data = new Uint8Array(16 * 16 * 3).fill(200)
  assert.ok((await library.search('', { image: { width: 16, height: 16, data }, min_likeness: -1 })).hits.length)
})

test('progress is iterated, and goes forward', async () => {
  const again = await heimdex.open(join(folder, 'progress'), { models: false })
  const work = again.index(clip('subtitles.mp4'), { title: 'Cars' })
  const seen = []
  for await (const progress of work) seen.push(progress.fraction)
  assert.ok(seen.length > 3)
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b))
  const report = await work
  assert.equal(report.outcome, 'indexed')
  assert.equal((await again.index(clip('subtitles.mp4'), { title: 'Cars' })).outcome, 'up_to_date')
  assert.deepEqual((await again.videos()).map((video) => video.title), ['Cars'])
  assert.equal(await again.remove('Cars'), report.id)
  await assert.rejects(async () => {
    for await (const _ of again.index(join(folder, 'missing.mp4')));
  }, { code: 'io' })
})

test('aborting stops the work, before it begins and while it runs', async () => {
  const again = await heimdex.open(join(folder, 'abort'), { models: false })
  const reason = new Error('enough')
  await assert.rejects(Promise.resolve(again.index(long, { signal: AbortSignal.abort(reason) })), reason)
  assert.deepEqual(await again.videos(), [])
  const controller = new AbortController()
  const work = again.index(long, { signal: controller.signal })
  let aborted
  await assert.rejects(async () => {
    for await (const _ of work) {
      aborted ??= performance.now()
      controller.abort(reason)
    }
  }, reason)
  assert.ok(performance.now() - aborted < 2000)
  // The library goes on.
  await again.index(clip('subtitles.mp4'))
  assert.ok((await again.search('car')).total > 0)
  assert.ok(!readdirSync('/proc/self/task').some((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('heimdex-index')
    } catch {
      return false
    }
  }))
  await assert.rejects(library.search('car', { signal: AbortSignal.abort(reason) }), reason)
  await assert.rejects(library.search('car', { signal: 7 }), TypeError)
})

test('the event loop goes on while work runs', async () => {
  const again = await heimdex.open(join(folder, 'turns'), own)
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  let atOnce = 0
  let running = true
  const count = () => running && (atOnce++, setImmediate(count))
  count()
  await again.index(clip('cut.mp4'))
  running = false
  clearInterval(timer)
  assert.ok(turns > 5, `${turns} turns of a timer of 1 ms`)
  assert.ok(atOnce > 100)
})

test('stages and models alone', async () => {
  const shots = await heimdex.shots(clip('cut.mp4'))
  assert.deepEqual(shots[0], { start_us: 0, end_us: 1000000 })
  assert.equal((await heimdex.shots(clip('cut.mp4'), { detector: { type: 'content', threshold: 255 } })).length, 1)
  assert.match((await heimdex.probe(clip('cut.mp4'))).container, /^mov/)
  assert.ok((await heimdex.models()).length > 3)
  const texts = new heimdex.TextModel(own.text_model)
  const rows = await texts.embed(['a', 'red car'])
  assert.ok(rows.data instanceof Float32Array && rows.rows === 2 && rows.data.length === 2 * rows.dim)
  assert.ok(Math.abs(Math.hypot(...rows.data.subarray(0, rows.dim)) - 1) < 1e-5)
  const images = new heimdex.ImageModel(own.image_model)
  assert.equal((await images.embedImages([wide, readFileSync(wide)])).rows, 2)
})

test('speech and subtitles', async () => {
  const model = join(folder, 'model.bin')
  writeFileSync(model, gunzipSync(readFileSync(join(fixtures, 'tiny-whisper', 'ggml-tiny.bin.gz'))))
  const work = heimdex.transcribe(clip('cut.mp4'), { speech_model: model, language: 'en', track: { number: 0 } })
  const seen = []
  for await (const progress of work) seen.push(progress.fraction)
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b))
  // What random weights say passes no gate, and that is told.
  const { transcript } = await work
  assert.deepEqual([transcript.source.kind, transcript.language, transcript.segments], ['speech', 'en', []])
  const { segments } = await library.video('subtitles.mp4')
  assert.match(await heimdex.writeSubtitles(segments), /-->[^]*A red car\./)
  assert.match(await heimdex.writeSubtitles(segments, 'vtt'), /^WEBVTT/)
  await assert.rejects(Promise.resolve(heimdex.transcribe(clip('cut.mp4'), { speech_model: join(folder, 'none.bin') })), {
    code: 'model-missing',
  })
})

test('a library changes its models', async () => {
  const place = join(folder, 'switch')
  const before = await heimdex.open(place, { models: false })
  await before.index(clip('subtitles.mp4'))
  before.close()
  const again = await heimdex.open(place, own)
  const work = again.switchModels()
  const seen = []
  for await (const progress of work) seen.push(progress.fraction)
  assert.ok(seen.at(-1) > 0.9)
  assert.deepEqual(await work, { videos: 1, kept: 0 })
  assert.equal((await again.video('subtitles.mp4')).spaces.length, 2)
})

test('a database is opened by its address', { skip: !process.env.DATABASE_URL }, async () => {
  const options = { ...own, data: join(folder, 'data'), name: `node${process.pid}` }
  const shared = await heimdex.open(process.env.DATABASE_URL, options)
  await shared.index(clip('subtitles.mp4'))
  const [hit] = (await shared.search('car')).hits
  assert.equal((await shared.thumbnail(hit.thumbnail)).subarray(8, 12).toString(), 'WEBP')
  await shared.remove('subtitles.mp4')
  assert.deepEqual(await shared.videos(), [])
  await assert.rejects(heimdex.open('postgres://me:secret@127.0.0.1:1/none'), (error) => {
    assert.equal(error.code, 'store')
    assert.ok(!error.message.includes('secret'))
    return true
  })
})

test('embedders and annotators in JavaScript', async () => {
  const letters = {
    name: 'letters',
    dim: 26,
    embed: async (texts) =>
      texts.map((text) =>
        Array.from({ length: 26 }, (_, i) => text.toLowerCase().split(String.fromCharCode(97 + i)).length - 0.99),
      ),
  }
  const colours = {
    name: 'colours',
    dim: 3,
    embedImages: (pictures) =>
      pictures.map(({ data }) => [0, 1, 2].map((c) => 1 + data.filter((_, i) => i % 3 === c).reduce((a, b) => a + b, 0))),
  }
  const light = {
    channel: 'light',
    annotate: async ({ scene, keyframes, pictures }) => {
      assert.ok(scene.end_us > scene.start_us && keyframes.length === pictures.length)
      assert.equal(pictures[0].data.length, pictures[0].width * pictures[0].height * 3)
      const mean = pictures[0].data.reduce((a, b) => a + b, 0) / pictures[0].data.length
      return { text: mean > 100 ? 'bright daylight' : 'dark night', tags: { lit: mean > 100 ? 0.9 : 0.1 } }
    },
  }
  const mine = { text_model: letters, image_model: colours, annotators: [light] }
  const again = await heimdex.open(join(folder, 'own'), mine)
  await again.index(clip('subtitles.mp4'))
  const { spaces } = await again.video('subtitles.mp4')
  assert.deepEqual(new Set(spaces.map((space) => space.model)), new Set(['letters', 'colours']))
  const meant = await again.search('rac deR', { min_similarity: 0.5, explain: true })
  assert.ok(meant.hits[0].channels.some((channel) => channel.channel === 'meaning'))
  const lit = await again.search('daylight night', { explain: true })
  assert.ok(lit.hits[0].channels.some((channel) => channel.channel === 'light'))
  assert.equal(lit.hits[0].tags[0].label, 'lit')
  const broken = { channel: 'broken', annotate: () => { throw new Error('lost') } }
  const failing = await heimdex.open(join(folder, 'broken'), { models: false, annotators: [broken] })
  await assert.rejects(Promise.resolve(failing.index(clip('cut.mp4'))), { code: 'model', message: /broken.*lost/ })
})

test('every kind of failure is a code', async () => {
  const { errorKinds } = require('../native.js')
  const types = readFileSync(new URL('../dist/errors.d.ts', import.meta.url), 'utf8')
  const listed = types.match(/ErrorKind = ([^;]+);/)[1].split('|').map((kind) => kind.trim().slice(1, -1))
  assert.deepEqual(new Set(listed), new Set(errorKinds()))
  const { errorOf } = require('../dist/errors.js')
  for (const kind of errorKinds()) {
    const error = errorOf(JSON.stringify({ kind, message: 'what happened', path: 'a' }))
    assert.ok(error instanceof heimdex.HeimdexError)
    assert.deepEqual([error.code, error.message, error.path], [kind, 'what happened', 'a'])
  }
})

test('failures say what they are about', async () => {
  const text = join(folder, 'notes.mp4')
  writeFileSync(text, 'this is no video at all, whatever its name says\n'.repeat(100))
  await assert.rejects(Promise.resolve(library.index(text)), { code: 'not-a-media-file', path: text })
  await assert.rejects(library.search(''), { code: 'query' })
  await assert.rejects(library.video('nothing like it'), { code: 'not-found', missing: 'nothing like it' })
  await assert.rejects(heimdex.open(join(folder, 'none'), { create: false }), { code: 'not-found' })
  await assert.rejects(heimdex.open(join(folder, 'x'), { text_model: 'nobody/has-this' }), {
    code: 'model-missing',
    model: 'nobody/has-this',
  })
  await assert.rejects(library.search('car', { image: '/no/such/file.png' }), { code: 'io' })
  const closed = await heimdex.open(join(folder, 'closed'), { models: false })
  closed.close()
  await assert.rejects(closed.videos(), { code: 'invalid', field: 'library' })
})

test('wrong arguments are named', async () => {
  const wrong = (options, error) => assert.rejects(library.search('car', options), error)
  for (const [name, given] of Object.entries({ limit: 'ten', limits: 10, videos: 'one', min_duration_us: '1:30', image: 7, like: 7, weights: { speech: 'much' } })) {
    await assert.rejects(library.search('car', { [name]: given }), (error) => {
      assert.ok(error instanceof TypeError, `${name}: ${error}`)
      assert.match(error.message, new RegExp(name))
      return true
    })
  }
  await wrong({ limit: 0 }, { code: 'invalid', field: 'limit' })
  await wrong({ limit: -1 }, { code: 'invalid', field: 'limit' })
  await wrong({ image: { width: 2, height: 2, data: new Uint8Array(5) } }, { code: 'invalid', field: 'image' })
  await assert.rejects(library.search(7), TypeError)
  await assert.rejects(heimdex.open(join(folder, 'y'), { backend: 'abacus' }), { code: 'invalid' })
  await assert.rejects(heimdex.open(join(folder, 'y'), { text_model: 7 }), TypeError)
})

test('the options are those of the core', () => {
  const core = JSON.parse(require('../native.js').options())
  const types = readFileSync(new URL('../dist/index.d.ts', import.meta.url), 'utf8')
  const members = (name) => {
    const [, bases = '', body] = types.match(new RegExp(`interface ${name}(?: extends ([^{]+))? \\{([\\s\\S]*?)\\n\\}`))
    const own = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map((match) => match[1])
    const inherited = bases.split(',').map((base) => base.trim()).filter((base) => base && base !== 'Stoppable')
    return [...own, ...inherited.flatMap(members)]
  }
  // What is the first argument of a method, or no JSON.
  const faces = {
    open: ['OpenOptions', ['location'], ['annotators']],
    search: ['SearchOptions', ['query'], []],
    index: ['IndexOptions', ['path'], []],
    probe: ['ProbeOptions', ['path'], []],
    shots: ['ShotsOptions', ['path'], []],
    transcribe: ['TranscribeOptions', ['path'], []],
    pull: ['PullOptions', ['model'], []],
    text_model: ['RunOptions', ['model'], []],
    image_model: ['RunOptions', ['model'], []],
  }
  for (const [call, [name, first, beside]] of Object.entries(faces)) {
    const here = new Set([...members(name), ...first])
    assert.deepEqual(here, new Set([...Object.keys(core[call]), ...beside]), call)
  }
  const single = {
    video: ['video'], remove: ['video'], videos: [], models: [], switch_models: [], write_subtitles: ['segments', 'format'],
  }
  for (const [call, names] of Object.entries(single)) assert.deepEqual(new Set(Object.keys(core[call])), new Set(names))
  assert.deepEqual(new Set(Object.keys(core)), new Set([...Object.keys(faces), ...Object.keys(single)]))
})

test('results have what the core gives', async () => {
  const types = readFileSync(new URL('../dist/results.d.ts', import.meta.url), 'utf8')
  const members = (name) => {
    const [, base = '', body] = types.match(new RegExp(`interface ${name}(?: extends (\\w+))? \\{([\\s\\S]*?)\\n\\}`))
    return [...[...body.matchAll(/^ {4}(\w+)\??:/gm)].map((match) => match[1]), ...(base ? members(base) : [])]
  }
  const page = await library.search('car', { explain: true })
  const [hit] = page.hits
  const indexed = await library.video('subtitles.mp4')
  const report = await library.index(clip('subtitles.mp4'), { force: true })
  const given = {
    SearchPage: page, Hit: hit, HitVideo: hit.video, ChannelScore: hit.channels[0], Word: hit.matched_words[0],
    IndexedVideo: indexed, Video: indexed.video, MediaInfo: indexed.video.media, Keyframe: indexed.keyframes[0],
    Segment: indexed.segments[0], Scene: indexed.scenes[0], IndexReport: report, StageRecord: report.stages[0],
    ListedModel: (await heimdex.models())[0],
  }
  for (const [name, value] of Object.entries(given)) {
    const known = new Set(members(name))
    for (const key of Object.keys(value)) assert.ok(known.has(key), `${name}.${key}`)
  }
})

test('searches leak nothing', async () => {
  for (let i = 0; i < 500; i++) await library.search('car')
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  for (let i = 0; i < 10_000; i++) await library.search('car')
  globalThis.gc?.()
  assert.ok(process.memoryUsage().rss - before < 20 * 2 ** 20)
})

// The packed package in a clean folder: it installs, its examples are typed, and they run.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const root = new URL('..', import.meta.url).pathname
const media = join(root, '../heimdex/tests/fixtures/media')
const folder = mkdtempSync(join(tmpdir(), 'heimdex-package-'))
const run = (command, ...given) => execFileSync(command, given, { cwd: folder, encoding: 'utf8' })

before(() => {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root })
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  writeFileSync(join(folder, 'package.json'), '{"name": "clean", "private": true}')
  run('npm', 'install', '--silent', '--offline', '--no-fund', '--no-audit', `./${tarball}`)
  cpSync(join(root, 'examples'), join(folder, 'src'), { recursive: true })
})

after(() => rmSync(folder, { recursive: true }))

test('the examples are typed, and run', () => {
  const config = {
    compilerOptions: {
      target: 'es2022', module: 'nodenext', lib: ['es2022'], strict: true, noUncheckedIndexedAccess: true,
      types: ['node'], typeRoots: [join(root, 'node_modules/@types')], rootDir: 'src', outDir: 'out', skipLibCheck: false,
    },
    include: ['src'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  run(join(root, 'node_modules/.bin/tsc'), '-p', '.')
  const indexed = run('node', 'out/index-folder.mjs', media, 'library', 'car')
  assert.match(indexed, /times.json: not-a-media-file/)
  assert.match(indexed, /subtitles at 1\.\d s: "Hello there/)
  run('node', 'out/search-page.mjs', 'library', 'car', 'found.html')
  assert.match(readFileSync(join(folder, 'found.html'), 'utf8'), /data:image\/webp;base64,UklGR[\s\S]*A red car\./)
  assert.match(run('node', 'out/own-annotator.mjs', join(media, 'cut.mp4'), 'own', 'bright dark light'), /cut at /)
})

test('CommonJS finds it too', () => {
  const code = 'const { open, HeimdexError } = require("heimdex"); console.log(typeof open, HeimdexError.name)'
  assert.equal(run('node', '-e', code), 'function HeimdexError\n')
})

// Both clients: held to the document of the API, and used against a server.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { forest } from '../clips.mjs'
import { repository, startServer } from '../server.mjs'

const run = promisify(execFile)
const clients = join(repository, 'examples/server/clients')
const account = { EMAIL: 'mina@example.org', PASSWORD: 'correct horse battery staple' }
const WAIT_MS = 180_000
let server, clip

before(async () => {
  // Tokens that end at once: both clients renew theirs on the way.
  server = await startServer({ access_token_seconds: 20 })
  clip = forest(server.folder)
})

after(() => server?.stop())

test('the Python client sends what the document knows, and works', async () => {
  const folder = join(clients, 'python')
  const python = (...args) => run('python3', args, { cwd: folder, timeout: WAIT_MS, env: { ...process.env, ...account } })
  assert.match((await python('check.py')).stdout, /^\d+ requests as in the document/)
  const { stdout, stderr } = await python('example.py', server.address, clip, 'jupiter')
  assert.match(stdout, /^A deer in the forest \d+\.\d\d .*Jupiter/m)
  assert.match(stderr, /^indexed/m)
})

test('the TypeScript client has the types of the document, and works', async () => {
  const folder = join(clients, 'typescript')
  const node = (...args) => run(process.execPath, args, { cwd: folder, timeout: WAIT_MS, env: { ...process.env, ...account } })
  await node('generate.mjs', 'check')
  await node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json')
  const { stdout } = await node('dist/example.js', server.address, clip, 'telescope')
  assert.match(stdout, /^indexed/m)
  const [, moment, address] = /^A deer in the forest (\d+\.\d\d) .*telescope.* (http\S+)$/m.exec(stdout) ?? []
  assert.ok(Number(moment) > 9, stdout)
  const part = await fetch(address, { headers: { range: 'bytes=0-99' } })
  assert.equal(part.status, 206)
  assert.equal((await part.arrayBuffer()).byteLength, 100)
})

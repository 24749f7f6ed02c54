// A server of its own for a test: an empty database, an empty folder, a free port.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'

export const repository = fileURLToPath(new URL('../../..', import.meta.url))
const fixtures = join(repository, 'heimdex/tests/fixtures')
const START_MS = 120_000
const SQL_MS = 60_000

/** Starts `HEIMDEX_SERVER`; `settings` are in the names of its file. */
export async function startServer(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'heimdex-e2e-'))
  const name = `heimdex_e2e_${randomBytes(6).toString('hex')}`
  const admin = process.env.DATABASE_URL
  const url = admin.replace(/(\/)([^/?]*)(\?|$)/, `$1${name}$3`)
  sql(admin, `CREATE DATABASE ${name}`)
  const all = {
    listen: '127.0.0.1:0',
    storage: join(folder, 'files'),
    work_dir: join(folder, 'work'),
    text_model: join(fixtures, 'tiny-bert'),
    image_model: join(fixtures, 'tiny-siglip2'),
    registrations_per_hour: 1000,
    logins_per_minute: 1000,
    requests_per_second: 500,
    // Small, so that a small file is sent in several parts.
    part_bytes: 256 * 1024,
    ...settings,
  }
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, DATABASE_URL: url, RUST_LOG: process.env.RUST_LOG ?? 'info' }
  for (const [key, value] of Object.entries(all)) env[`HEIMDEX_SERVER_${key.toUpperCase()}`] = String(value)

  const server = { folder, address: '', stop, kill, start }
  let child
  async function start() {
    if (server.address) env.HEIMDEX_SERVER_LISTEN = server.address.replace('http://', '')
    child = spawn(process.env.HEIMDEX_SERVER, [], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const log = createWriteStream(join(process.env.E2E_OUT ?? folder, `server-${name}.log`), { flags: 'a' })
    child.stderr.pipe(log)
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS)
    try {
      server.address = await Promise.race([
        firstLine(child.stdout),
        once(child, 'exit').then(([code]) => {
          throw new Error(`the server ended with ${code}; see ${log.path}`)
        }),
      ])
    } finally {
      clearTimeout(timer)
    }
  }
  /** Ends the process, by force; what it keeps stays. */
  async function kill() {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
  async function stop() {
    await kill()
    sql(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await rm(folder, { recursive: true, force: true })
  }
  await start()
  return server
}

async function firstLine(stream) {
  for await (const line of createInterface({ input: stream })) if (line.startsWith('http://')) return line.trim()
  throw new Error('the server said no address')
}

function sql(url, statement) {
  // The socket of dev/postgres, or any server that psql reaches.
  const own = url.includes('?host=/')
  const done = own
    ? spawnSync(join(repository, 'dev/postgres'), ['psql', '-qAtX', '-c', statement, 'postgres'], { encoding: 'utf8', timeout: SQL_MS })
    : spawnSync('psql', ['-qAtX', url, '-c', statement], { encoding: 'utf8', timeout: SQL_MS })
  if (done.status !== 0) throw new Error(`${statement}: ${done.stderr}${done.error ?? ''}`)
}

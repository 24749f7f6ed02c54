// A browser and what every test asks of the page: nothing from other hosts, no error that nobody expects.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const out = process.env.E2E_OUT ?? '/tmp/heimdex-e2e'
const WAIT_MS = 60_000
const password = 'correct horse battery staple'
let people = 0

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
    ],
  })
}

/** A reader: a browser context whose requests and errors are noted. */
export async function reader(browser, server, name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options })
  context.setDefaultTimeout(WAIT_MS)
  const problems = []
  const origin = new URL(server.address).origin
  context.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(`${origin}/`) && !/^(blob|data|about):/.test(url)) problems.push(`asked another host: ${url}`)
  })
  context.on('console', (message) => {
    const text = message.text()
    // An answer that is an error is noted by the browser; the tests look at what the page makes of it.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) problems.push(text)
  })
  context.on('weberror', (error) => problems.push(String(error.error())))
  if (process.env.E2E_PAGE) await showInPlace(context, origin, process.env.E2E_PAGE)
  let picture = 0
  const page = await context.newPage()
  const self = {
    context,
    page,
    email: `${name}.${process.pid}.${(people += 1)}@example.org`,
    password,
    /** Keeps a picture of the page. */
    async shot(what, of = page) {
      mkdirSync(out, { recursive: true })
      picture += 1
      await of.screenshot({ path: join(out, `${name}-${String(picture).padStart(2, '0')}-${what}.png`), animations: 'disabled' })
    },
    async register() {
      await page.goto(server.address)
      await page.getByRole('button', { name: 'New here' }).click()
      await page.getByLabel('Email').fill(self.email)
      await page.getByLabel('Password', { exact: true }).fill(password)
      await page.getByRole('button', { name: 'Create an account' }).click()
      await page.getByRole('heading', { name: 'Library' }).waitFor()
    },
    async signIn(on = page) {
      await on.getByLabel('Email').fill(self.email)
      await on.getByLabel('Password', { exact: true }).fill(password)
      await on.getByRole('button', { name: 'Sign in' }).click()
      await on.getByRole('heading', { name: 'Library' }).waitFor()
    },
    async upload(...paths) {
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Upload', exact: true }).click()])
      await chooser.setFiles(paths)
    },
    /** Waits until the library shows a video as ready. */
    async ready(title) {
      await page.locator('.card[data-state=indexed]', { hasText: title }).waitFor()
    },
    /** No violation of the rules of accessibility that is serious or worse. */
    async accessible(what, of = page) {
      await of.evaluate(AXE)
      const { violations } = await of.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
      const bad = violations.filter((found) => ['serious', 'critical'].includes(found.impact))
      const said = bad.map((found) => `${found.id}: ${found.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`)
      assert.deepEqual(said, [], `${what} is accessible`)
    },
    /** What no reader should ever see. */
    nothingWrong() {
      assert.deepEqual(problems, [])
    },
    expected(pattern) {
      for (let i = problems.length - 1; i >= 0; i -= 1) if (pattern.test(problems[i])) problems.splice(i, 1)
    },
  }
  return self
}

/** While the page is worked on: `E2E_PAGE` is a folder that is shown in place of what is built into the server. */
async function showInPlace(context, origin, folder) {
  const kinds = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }
  await context.route((url) => url.origin === origin && /^\/($|assets\/|favicon)/.test(url.pathname), async (route) => {
    const { pathname } = new URL(route.request().url())
    const name = pathname === '/' ? 'index.html' : pathname.slice(1)
    try {
      const policy = (await route.fetch({ url: `${origin}/` })).headers()['content-security-policy']
      await route.fulfill({
        body: readFileSync(join(folder, name)),
        headers: { 'content-type': kinds[name.split('.').pop()], 'content-security-policy': policy },
      })
    } catch {
      // The server is away, or the page went before the answer came.
      await route.abort().catch(() => undefined)
    }
  })
}

/** Until `check` gives something true. */
export async function until(check, what, ms = WAIT_MS) {
  const end = Date.now() + ms
  for (;;) {
    const result = await check()
    if (result) return result
    assert.ok(Date.now() < end, `waited too long: ${what}`)
    await new Promise((go) => setTimeout(go, 50))
  }
}

// Uploads that are stopped, broken and continued.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, reader, until } from '../browser.mjs'
import { forest, kitchen } from '../clips.mjs'
import { startServer } from '../server.mjs'

let server, browser, clip

before(async () => {
  server = await startServer()
  browser = await launch()
  clip = forest(server.folder)
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

const isPart = (url) => new URL(url).pathname.startsWith('/files/')

/** Lets this many parts through and holds the others until `open`. */
async function gate(page, passes) {
  const sent = []
  const held = []
  let opened = false
  await page.route((url) => isPart(url.href), async (route) => {
    if (route.request().method() !== 'PUT') return route.continue()
    if (opened || sent.length < passes) {
      sent.push(route.request().url())
      return route.continue()
    }
    held.push(route)
  })
  return {
    sent,
    held,
    async open() {
      opened = true
      for (const route of held.splice(0)) {
        sent.push(route.request().url())
        await route.continue().catch(() => undefined)
      }
    },
  }
}

const part = (url) => new URL(url).pathname

test('paused and resumed, only what is missing is sent', async () => {
  const mina = await reader(browser, server, 'pause')
  await mina.register()
  const wall = await gate(mina.page, 3)
  await mina.upload(clip)
  await until(() => wall.held.length > 0 && wall.sent.length === 3, 'some parts are there')
  await until(async () => (await mina.page.locator('.upload progress').getAttribute('value')) > 0, 'progress')
  await mina.page.getByRole('button', { name: /^Pause/ }).click()
  await mina.page.getByText('Paused').waitFor()
  await mina.shot('paused')
  await mina.accessible('a paused upload')
  const before = [...wall.sent].map(part)
  wall.sent.length = 0
  wall.held.length = 0
  await wall.open()
  await mina.page.getByRole('button', { name: /^Resume/ }).click()
  await mina.ready('A deer in the forest')
  const later = wall.sent.map(part)
  assert.ok(later.length > 0)
  assert.deepEqual(later.filter((path) => before.includes(path)), [], 'no part was sent twice')
  mina.nothingWrong()
  await mina.context.close()
})

test('the page is closed in the middle, and the same file continues', async () => {
  const mina = await reader(browser, server, 'closed')
  await mina.register()
  const wall = await gate(mina.page, 2)
  await mina.upload(clip)
  await until(() => wall.held.length > 0 && wall.sent.length === 2, 'some parts are there')
  // The parts that went through are answered before the page goes.
  await until(async () => Number(await mina.page.locator('.upload progress').getAttribute('value')) > 0.1, 'progress')
  const before = [...wall.sent].map(part)
  mina.page.on('dialog', (dialog) => dialog.accept())
  await mina.page.reload()
  await mina.page.getByText('Upload interrupted').waitFor()
  await mina.shot('interrupted')
  await mina.accessible('an interrupted upload')
  wall.sent.length = 0
  wall.held.length = 0
  await wall.open()

  const [wrong] = await Promise.all([mina.page.waitForEvent('filechooser'), mina.page.getByRole('button', { name: 'Continue upload' }).click()])
  await wrong.setFiles(kitchen(server.folder))
  await mina.page.getByText(/^This is another file/).waitFor()
  const [right] = await Promise.all([mina.page.waitForEvent('filechooser'), mina.page.getByRole('button', { name: 'Continue upload' }).click()])
  await right.setFiles(clip)
  await mina.ready('A deer in the forest')
  assert.equal(await mina.page.locator('.card').count(), 1)
  const later = wall.sent.map(part)
  assert.deepEqual(later.filter((path) => before.includes(path)), [], 'no part was sent twice')
  mina.nothingWrong()
  await mina.context.close()
})

test('a broken connection, and parts that fail, are tried again', async () => {
  const mina = await reader(browser, server, 'broken')
  await mina.register()
  let failures = 0
  await mina.page.route((url) => isPart(url.href), async (route) => {
    if (route.request().method() === 'PUT' && failures < 3) {
      failures += 1
      return route.abort('connectionreset')
    }
    return route.continue()
  })
  await mina.upload(clip)
  await mina.ready('A deer in the forest')
  assert.equal(failures, 3)
  mina.expected(/ERR_CONNECTION_RESET/)
  mina.nothingWrong()
  await mina.context.close()
})

test('cancelled, nothing of it is left', async () => {
  const mina = await reader(browser, server, 'cancel')
  await mina.register()
  const wall = await gate(mina.page, 1)
  await mina.upload(clip)
  await until(() => wall.held.length > 0, 'it is on its way')
  await mina.page.getByRole('button', { name: /^Cancel/ }).click()
  await mina.page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
  await mina.page.reload()
  await mina.page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
  mina.nothingWrong()
  await mina.context.close()
})

test('the server is killed in the middle; the upload goes on by itself', async () => {
  const mina = await reader(browser, server, 'killed')
  await mina.register()
  const wall = await gate(mina.page, 2)
  await mina.upload(clip)
  await until(() => wall.held.length > 0 && wall.sent.length === 2, 'some parts are there')
  await server.kill()
  await wall.open()
  await mina.page.getByText('Trying again').waitFor()
  await server.start()
  await mina.ready('A deer in the forest')
  mina.expected(/ERR_/)
  mina.nothingWrong()
  await mina.context.close()
})

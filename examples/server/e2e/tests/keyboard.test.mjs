// The same by keyboard alone: no mouse is used after the page is open.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, reader, until } from '../browser.mjs'
import { forest } from '../clips.mjs'
import { startServer } from '../server.mjs'

let server, browser, mina, clip

before(async () => {
  server = await startServer()
  browser = await launch()
  clip = forest(server.folder)
  mina = await reader(browser, server, 'keys')
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

const focused = () => mina.page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute('name') || '')

/** Tab until something of this name has the focus. */
async function tabTo(name) {
  for (let i = 0; i < 60; i += 1) {
    if (name.test(await focused())) return
    await mina.page.keyboard.press('Tab')
  }
  assert.fail(`Tab never came to ${name}`)
}

/** Every key before the page has drawn what the one before did. */
async function typeAtOnce(text) {
  await Promise.all([...text].map((key) => mina.page.keyboard.press(key)))
}

test('from registering to a moment', async () => {
  const { page } = mina
  const { keyboard } = page
  // Listened for from the start: the browser learns of it a moment later.
  const chosen = page.waitForEvent('filechooser')
  await page.goto(server.address)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await tabTo(/^New here/)
  await keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Create an account' }).waitFor()
  await keyboard.press('Shift+Tab')
  for (let i = 0; i < 30 && (await focused()) !== 'email'; i += 1) await keyboard.press('Shift+Tab')
  await keyboard.type(mina.email)
  await keyboard.press('Tab')
  await keyboard.type(mina.password)
  await keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Library' }).waitFor()

  await keyboard.press('u')
  const chooser = await chosen
  await chooser.setFiles(clip)
  await mina.ready('A deer in the forest')

  await keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  await mina.shot('shortcuts')
  await mina.accessible('the shortcuts')
  await keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })

  await keyboard.press('/')
  assert.equal(await focused(), 'Search')
  await typeAtOnce('forest')
  assert.equal(await page.getByRole('textbox', { name: 'Search' }).inputValue(), 'forest')
  await page.locator('.hit mark').first().waitFor()
  await keyboard.press('ArrowDown')
  assert.match(await focused(), /^Play A deer in the forest at/)
  await mina.shot('hit-in-focus')
  await keyboard.press('ArrowUp')
  assert.equal(await focused(), 'Search')
  await keyboard.press('ArrowDown')
  await keyboard.press('Enter')
  await page.locator('video').waitFor()
  const time = () => page.locator('video').evaluate((video) => video.currentTime)
  const paused = () => page.locator('video').evaluate((video) => video.paused)
  await until(async () => (await page.locator('video').evaluate((video) => video.readyState)) >= 2, 'the video is loaded')
  await until(async () => !(await paused()), 'it plays')
  await keyboard.press('k')
  await until(paused, 'it is paused')
  const before = await time()
  await keyboard.press('ArrowRight')
  await until(async () => (await time()) > before + 4, 'five seconds on')
  await keyboard.press(']')
  await page.locator('.scene[aria-current]').waitFor()
  await mina.shot('player')
  await tabTo(/Jupiter/)
  await keyboard.press('Enter')
  await until(async () => (await time()) >= 9.4, 'the line that has the focus is played')

  await keyboard.press('Escape')
  await page.locator('.hit mark').first().waitFor()
  assert.equal(await page.getByRole('textbox', { name: 'Search' }).inputValue(), 'forest')
  await keyboard.press('/')
  await keyboard.press('Escape')
  assert.equal(await page.getByRole('textbox', { name: 'Search' }).inputValue(), '')
  mina.nothingWrong()
})

test('whatever has the focus shows it', async () => {
  const { page } = mina
  await page.goto(`${server.address}/#/library`)
  await page.getByRole('heading', { name: 'Library' }).waitFor()
  for (let i = 0; i < 12; i += 1) {
    await page.keyboard.press('Tab')
    const shown = await page.evaluate(() => {
      const element = document.activeElement
      if (!element || element === document.body) return true
      const box = element.closest('.search-box') ?? element
      const style = getComputedStyle(element)
      return (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || getComputedStyle(box).boxShadow !== 'none'
    })
    assert.ok(shown, `the focus is seen on ${await focused()}`)
  }
})

// On a phone, in the dark.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, reader, until } from '../browser.mjs'
import { forest, kitchen } from '../clips.mjs'
import { startServer } from '../server.mjs'

let server, browser, mina

before(async () => {
  server = await startServer()
  browser = await launch()
  mina = await reader(browser, server, 'phone', {
    viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, colorScheme: 'dark',
  })
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

/** Nothing stands beside the screen, and what is to be touched is large enough for a finger. */
async function fits(what) {
  const width = await mina.page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(width <= 390, `${what} is as wide as the screen, not ${width}`)
  const small = await mina.page.evaluate(() =>
    [...document.querySelectorAll('button, a, input, select')]
      .filter((element) => element.checkVisibility() && !element.closest('.hidden, .skip') && element.tabIndex >= 0)
      .map((element) => ({ box: (element.closest('label') ?? element).getBoundingClientRect(), name: element.outerHTML.slice(0, 80) }))
      .filter(({ box }) => box.width > 0 && (box.width < 24 || box.height < 24))
      .map(({ name }) => name),
  )
  assert.deepEqual(small, [], `what can be touched in ${what}`)
}

test('the whole way with a thumb', async () => {
  const { page } = mina
  await page.goto(server.address)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await mina.shot('sign-in')
  await fits('signing in')
  await mina.accessible('signing in')
  await mina.register()
  await mina.shot('empty')
  await fits('the empty library')
  await mina.upload(forest(server.folder), kitchen(server.folder))
  await page.getByRole('region', { name: 'Uploads in progress' }).waitFor()
  await mina.shot('uploading')
  await mina.ready('A deer in the forest')
  await mina.ready('Kitchen')
  await page.locator('.upload').first().waitFor({ state: 'detached' })
  await mina.shot('library')
  await fits('the library')
  await mina.accessible('the library')

  await page.getByRole('textbox', { name: 'Search' }).fill('jupiter')
  await page.locator('.hit mark').first().waitFor()
  await mina.shot('search')
  await fits('search')
  await mina.accessible('search')
  await page.getByRole('button', { name: 'Filters' }).tap()
  await page.getByRole('button', { name: 'Explain ranking' }).tap()
  await page.locator('.why').first().waitFor()
  await mina.shot('filters')
  await fits('filters')
  await page.getByRole('button', { name: 'Filters' }).tap()
  await page.getByRole('link', { name: /^Play A deer in the forest/ }).first().tap()
  await page.locator('video').waitFor()
  await until(() => page.locator('video').evaluate((video) => video.currentTime > 9), 'the player jumped')
  await page.locator('.line-button.said').waitFor()
  await mina.shot('player')
  await fits('the player')
  await mina.accessible('the player')
  await page.getByRole('link', { name: 'Account', exact: true }).tap()
  await page.getByText(/of 1,000 videos/).waitFor()
  await mina.shot('account')
  await fits('the account')
  await page.getByRole('button', { name: 'Sign out', exact: true }).tap()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  mina.nothingWrong()
})

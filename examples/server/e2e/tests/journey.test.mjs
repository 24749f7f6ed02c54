// A reader's whole way through the page, on a desk.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { launch, reader, until } from '../browser.mjs'
import { broken, forest, frame, kitchen, noVideo } from '../clips.mjs'
import { startServer } from '../server.mjs'

let server, browser, mina, clip, second

before(async () => {
  server = await startServer()
  browser = await launch()
  clip = forest(server.folder)
  second = kitchen(server.folder)
  mina = await reader(browser, server, 'desk')
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

const time = () => mina.page.locator('video').evaluate((video) => video.currentTime)

test('registering, with a password that is too short first', async () => {
  const { page } = mina
  await page.goto(server.address)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await mina.shot('sign-in')
  await mina.accessible('signing in')
  await page.getByLabel('Email').fill(mina.email)
  await page.getByLabel('Password', { exact: true }).fill(mina.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').waitFor()
  await mina.shot('wrong-password')
  await page.getByRole('button', { name: 'New here' }).click()
  await page.getByLabel('Password', { exact: true }).fill('short')
  await page.getByRole('button', { name: 'Create an account' }).click()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Password', { exact: true }).fill(mina.password)
  await page.getByRole('button', { name: 'Create an account' }).click()
  await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
  await mina.shot('empty-library')
  await mina.accessible('an empty library')
})

test('uploading two videos and something else, and watching them become searchable', async () => {
  const { page } = mina
  await mina.upload(clip, second)
  await page.getByRole('region', { name: 'Uploads in progress' }).waitFor()
  await mina.shot('uploading')
  const states = new Set()
  await until(async () => {
    for (const state of await page.locator('.card').evaluateAll((cards) => cards.map((card) => card.dataset.state))) states.add(state)
    return (await page.locator('.card[data-state=indexed]').count()) === 2
  }, 'both videos are indexed', 180_000)
  assert.ok(states.has('processing') || states.has('validating'), `the page showed the work: ${[...states]}`)
  await page.locator('.card[data-state=indexed] img').nth(1).waitFor()
  await until(() => page.locator('.card img').evaluateAll((all) => all.every((one) => one.complete && one.naturalWidth > 0)), 'thumbnails are shown')
  await mina.shot('library')
  await mina.accessible('the library')

  await mina.upload(noVideo(server.folder))
  await until(async () => {
    const refused = await page.locator('.upload.failed').count()
    const failed = await page.locator('.card[data-state=failed]').count()
    return refused + failed > 0
  }, 'what is no video is refused')
  await until(async () => (await page.locator('.card[data-state=uploading]').count()) === 0, 'nothing is left of it')
  await mina.shot('refused')
  if (await page.locator('.upload.failed').count()) {
    await page.getByRole('button', { name: 'Cancel: notes.mp4' }).click()
  }
  await page.locator('.upload').first().waitFor({ state: 'detached' })
})

test('a video that is broken fails alone, and says why', async () => {
  const { page } = mina
  await mina.upload(broken(server.folder, clip))
  const card = page.locator('.card[data-state=failed]', { hasText: 'Broken' })
  await card.waitFor()
  await card.getByRole('button', { name: /^Index again/ }).waitFor()
  await mina.shot('failed')
  await mina.accessible('a failed video')
  await card.getByRole('link').click()
  await page.getByRole('alert').waitFor()
  await page.getByRole('list', { name: 'Stages of indexing' }).waitFor()
  await mina.shot('failed-stages')
  await mina.accessible('the stages of a failed video')
  await page.keyboard.press('Escape')
  await card.getByRole('button', { name: /^Delete/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await card.waitFor({ state: 'detached' })
})

test('searching as one types, with filters and reasons', async () => {
  const { page } = mina
  const box = page.getByRole('textbox', { name: 'Search' })
  await box.pressSequentially('jupiter', { delay: 30 })
  await page.locator('.hit mark', { hasText: 'Jupiter' }).first().waitFor()
  assert.match(page.url(), /#\/search\?q=jupiter$/)
  await until(() => page.locator('.hit img').evaluateAll((all) => all.length > 0 && all.every((one) => one.complete && one.naturalWidth > 0)), 'pictures of hits')
  await mina.shot('search')
  await mina.accessible('search')

  await page.getByRole('button', { name: 'Explain ranking' }).click()
  await page.locator('.why').first().getByRole('rowheader', { name: 'Words said' }).waitFor()
  await page.getByRole('button', { name: 'Filters' }).click()
  await mina.shot('filters-and-reasons')
  await mina.accessible('filters and reasons')

  // Each filter by itself takes the hit away or leaves it.
  const filters = page.getByRole('complementary', { name: 'Filters' })
  await filters.getByRole('combobox', { name: 'Video', exact: true }).selectOption({ label: 'Kitchen' })
  await page.locator('.hit', { hasText: 'Jupiter' }).waitFor({ state: 'detached' })
  await filters.getByRole('combobox', { name: 'Video', exact: true }).selectOption({ label: 'All videos' })
  await page.locator('.hit mark', { hasText: 'Jupiter' }).waitFor()
  await filters.getByRole('combobox', { name: 'Length of the video', exact: true }).selectOption({ label: '10 minutes to an hour' })
  await page.getByRole('heading', { name: 'No moment found' }).waitFor()
  await mina.shot('nothing-found')
  await mina.accessible('nothing found')
  await page.getByRole('button', { name: 'Clear filters' }).first().click()
  await page.locator('.hit mark', { hasText: 'Jupiter' }).waitFor()
  await filters.getByLabel('To', { exact: true }).fill('0:02')
  await filters.getByLabel('To', { exact: true }).press('Tab')
  await page.locator('.hit', { hasText: 'Jupiter' }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Clear filters' }).first().click()

  await box.fill('미나')
  await page.locator('.hit mark', { hasText: '미나가' }).waitFor()
  await mina.shot('korean')
  await box.fill('butter')
  await page.locator('.hit', { hasText: 'onions & garlic in butter' }).waitFor()
})

test('an answer to what was typed before does not replace a newer one', async () => {
  const { page } = mina
  const held = []
  await page.route('**/search', async (route) => {
    const { query } = route.request().postDataJSON()
    if (query === 'carrots') held.push(route)
    else await route.continue()
  })
  const box = page.getByRole('textbox', { name: 'Search' })
  await box.fill('carrots')
  await until(() => held.length > 0, 'the first search was sent')
  await box.fill('onions')
  await page.locator('.hit mark', { hasText: 'onions' }).waitFor()
  await held[0].continue().catch(() => undefined)
  await page.unroute('**/search')
  assert.equal(await page.locator('.hit mark', { hasText: 'carrots' }).count(), 0)
  assert.equal(await box.inputValue(), 'onions')
})

test('playing the moment, with what is said beside it', async () => {
  const { page } = mina
  await page.getByRole('textbox', { name: 'Search' }).fill('jupiter')
  await page.locator('.hit mark', { hasText: 'Jupiter' }).waitFor()
  await page.locator('.hit', { hasText: 'Jupiter' }).getByRole('link', { name: /^Play A deer in the forest at 0:1\d/ }).click()
  await page.locator('video').waitFor()
  const moment = Number(new URLSearchParams(page.url().split('?')[1]).get('t'))
  assert.ok(moment > 9 && moment < 14, `the moment is where the word is: ${moment}`)
  await until(async () => (await time()) >= moment - 0.1, 'the player jumped')
  assert.ok((await time()) < moment + 20)
  await page.locator('.line-button.said', { hasText: 'Jupiter' }).waitFor()
  await until(() => page.locator('.word.now').count(), 'the word that is said is marked')
  await until(() => page.locator('.scene img').evaluateAll((all) => all.length > 0 && all.slice(0, 3).every((one) => one.complete && one.naturalWidth > 0)), 'pictures of scenes')
  await mina.shot('player')
  await mina.accessible('the player')
  await page.locator('video').evaluate((video) => video.pause())
  await page.getByRole('button', { name: /A deer stands/ }).click()
  await until(async () => (await time()) >= 0.5 && (await time()) < 4.5, 'a line that is clicked is played')
  await page.locator('video').evaluate((video) => video.pause())
  const ranges = []
  page.on('response', (response) => {
    if (response.request().resourceType() === 'media') ranges.push(response.status())
  })
  await page.getByRole('button', { name: /We fry onions/ }).click()
  await page.locator('.line-button.said', { hasText: 'We fry onions & garlic in butter' }).waitFor()
  assert.deepEqual(ranges.filter((status) => status >= 400), [])
  const captions = await page.locator('video').evaluate((video) => [...video.textTracks].map((track) => track.kind))
  assert.deepEqual(captions, ['captions'])
})

test('what is like a scene, and what looks like a picture', async () => {
  const { page } = mina
  await page.getByRole('link', { name: 'More like this' }).click()
  await page.getByText(/^Like the scene at A deer in the forest/).waitFor()
  await until(async () => (await page.locator('.hit').count()) > 0 || (await page.getByRole('heading', { name: 'No moment found' }).count()) > 0, 'an answer')
  await mina.shot('like-a-scene')

  const picture = frame(clip, 8, join(server.folder, 'frame.png'))
  await page.goto(`${server.address}/#/search`)
  await page.getByRole('heading', { name: 'What are you looking for?' }).waitFor()
  await mina.shot('search-start')
  const dropped = await page.evaluateHandle((base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const transfer = new DataTransfer()
    transfer.items.add(new File([bytes], 'frame.png', { type: 'image/png' }))
    return transfer
  }, readFileSync(picture).toString('base64'))
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: dropped })
  await page.locator('.drop-zone').waitFor()
  await mina.shot('dropping')
  await page.dispatchEvent('body', 'drop', { dataTransfer: dropped })
  await page.locator('.picture-chip').waitFor()
  await page.locator('.hit', { hasText: 'A deer in the forest' }).first().waitFor()
  await mina.shot('search-by-picture')
  await mina.accessible('search by picture')
  await page.getByRole('button', { name: 'Remove picture' }).click()
  await page.locator('.picture-chip').waitFor({ state: 'detached' })
})

test('changing a title, and finding it by the new one', async () => {
  const { page } = mina
  await page.goto(`${server.address}/#/library`)
  await page.getByRole('link', { name: /Kitchen$/ }).click()
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Title').fill('Soup & <b>bread</b>')
  await page.getByLabel('Description').fill('With a marmalade of oranges.')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'Soup & <b>bread</b>' }).waitFor()
  await mina.shot('edited')
  await page.getByRole('textbox', { name: 'Search' }).fill('marmalade')
  await page.locator('.hit', { hasText: 'Soup & <b>bread</b>' }).first().waitFor()
})

test('people, the account, the shortcuts, dark', async () => {
  const { page } = mina
  await page.getByRole('link', { name: 'People' }).click()
  await page.getByRole('heading', { name: 'People are not available here yet' }).waitFor()
  await mina.shot('people')
  await mina.accessible('people')
  await page.getByRole('link', { name: 'Account', exact: true }).click()
  await page.getByText(/of 1,000 videos/).waitFor()
  await mina.shot('account')
  await mina.accessible('the account')
  await page.getByLabel('Dark').check()
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  assert.equal(await ground(), 'rgb(20, 21, 23)')
  await mina.shot('account-dark')
  await mina.accessible('the account in the dark')
  await page.reload()
  await page.getByText(mina.email).waitFor()
  assert.equal(await ground(), 'rgb(20, 21, 23)', 'the choice is kept')
  await page.getByLabel('As the device').check()
  await page.keyboard.press('Escape')
})

test('a video of nobody, and the server away', async () => {
  const { page } = mina
  await page.goto(`${server.address}/#/videos/00000000-0000-4000-8000-000000000000`)
  await page.getByRole('heading', { name: 'This video is not here' }).waitFor()
  await mina.shot('no-such-video')
  await mina.context.setOffline(true)
  await page.getByText('You are offline. What is shown may be old.').waitFor()
  await page.getByRole('textbox', { name: 'Search' }).fill('deer')
  await page.getByRole('alert').waitFor()
  await mina.shot('offline')
  await mina.accessible('being offline')
  await mina.context.setOffline(false)
  await page.locator('.hit', { hasText: 'deer' }).first().waitFor()
})

test('deleting a video, after being asked', async () => {
  const { page } = mina
  await page.goto(`${server.address}/#/library`)
  await page.getByRole('link', { name: /Soup/ }).click()
  await page.getByRole('button', { name: /^Delete/ }).click()
  const asked = page.getByRole('dialog', { name: 'Delete this video?' })
  await asked.waitFor()
  await mina.shot('asked')
  await mina.accessible('being asked')
  await page.keyboard.press('Escape')
  await asked.waitFor({ state: 'detached' })
  await page.getByRole('button', { name: /^Delete/ }).click()
  await asked.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('heading', { name: 'Library' }).waitFor()
  await page.locator('.card', { hasText: 'Soup' }).waitFor({ state: 'detached' })
})

test('signing out leaves nothing behind', async () => {
  const { page } = mina
  await page.getByRole('link', { name: 'Account', exact: true }).click()
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }))
  assert.ok(!kept.includes('heimdex.session') && !kept.includes('heimdex.access'), kept)
  await page.reload()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await mina.shot('signed-out')
  mina.expected(/ERR_INTERNET_DISCONNECTED/)
  mina.nothingWrong()
})

// Tokens that are used once, over several tabs of one reader.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, reader, until } from '../browser.mjs'
import { startServer } from '../server.mjs'

let server, browser

before(async () => {
  server = await startServer()
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

test('tabs that renew the session at once do not end it', async () => {
  const mina = await reader(browser, server, 'tabs')
  await mina.page.clock.install()
  await mina.register()
  const tabs = [mina.page]
  for (let i = 0; i < 3; i += 1) {
    const tab = await mina.context.newPage()
    await tab.clock.install()
    await tab.goto(server.address)
    await tab.getByRole('heading', { name: 'Library' }).waitFor()
    tabs.push(tab)
  }
  const renewed = []
  mina.context.on('response', (response) => {
    if (response.url().endsWith('/auth/refresh')) renewed.push(response.status())
  })
  for (let round = 1; round <= 3; round += 1) {
    // For the page a quarter of an hour goes by: every tab wants a new token for what it asks for next.
    await Promise.all(tabs.map((tab) => tab.clock.fastForward('15:00')))
    await Promise.all(tabs.map((tab) => tab.goto(`${server.address}/#/account`)))
    await Promise.all(tabs.map((tab) => tab.getByText(/of 1,000 videos/).waitFor()))
    await Promise.all(tabs.map((tab) => tab.goto(`${server.address}/#/library`)))
    await Promise.all(tabs.map((tab) => tab.getByRole('heading', { name: 'Library' }).waitFor()))
    assert.ok(renewed.length >= round, 'the session was renewed')
  }
  assert.deepEqual(renewed.filter((status) => status !== 200), [], 'no token was used twice')
  mina.nothingWrong()
  await mina.context.close()
})

test('a page that is loaded again and again in a row stays signed in', async () => {
  const mina = await reader(browser, server, 'again')
  await mina.register()
  // Each load begins before the one before has ended. Not by `reload`, which fails while pages are exchanged.
  for (let i = 0; i < 5; i += 1) await mina.page.goto(`${server.address}/?${i}`, { waitUntil: 'commit' })
  await mina.page.reload()
  await mina.page.getByRole('heading', { name: 'Library' }).waitFor()
  await mina.context.close()
})

test('signing out in one tab signs out all', async () => {
  const mina = await reader(browser, server, 'out')
  await mina.register()
  const other = await mina.context.newPage()
  await other.goto(server.address)
  await other.getByRole('heading', { name: 'Library' }).waitFor()
  await mina.page.getByRole('link', { name: 'Account', exact: true }).click()
  await mina.page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await mina.page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await other.getByRole('heading', { name: 'Sign in' }).waitFor()
  await mina.context.close()
})

test('signing out on all devices ends the session of another', async () => {
  const mina = await reader(browser, server, 'everywhere')
  await mina.register()
  const phone = await reader(browser, server, 'elsewhere')
  phone.email = mina.email
  await phone.page.goto(server.address)
  await phone.signIn()
  await mina.page.getByRole('link', { name: 'Account', exact: true }).click()
  await mina.page.getByRole('button', { name: 'Sign out on all devices' }).click()
  await mina.page.getByRole('heading', { name: 'Sign in' }).waitFor()
  // Its access token runs out by itself; here it is gone at once.
  await phone.page.evaluate(() => sessionStorage.removeItem('heimdex.access'))
  await phone.page.reload()
  await phone.page.getByText('Your session ended. Sign in again.').waitFor()
  await mina.context.close()
  await phone.context.close()
})

test('a session for this tab alone ends with the browser, and a new tab joins it', async () => {
  const mina = await reader(browser, server, 'stay')
  await mina.register()
  await mina.page.getByRole('link', { name: 'Account', exact: true }).click()
  await mina.page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await mina.page.getByLabel('Stay signed in').uncheck()
  await mina.signIn()
  assert.equal(await mina.page.evaluate(() => localStorage.getItem('heimdex.session')), null)
  const other = await mina.context.newPage()
  await other.goto(server.address)
  await other.getByRole('heading', { name: 'Library' }).waitFor()
  await mina.page.reload()
  await mina.page.getByRole('heading', { name: 'Library' }).waitFor()
  // What a browser that is closed leaves: local storage alone.
  const kept = await mina.context.storageState()
  const again = await reader(browser, server, 'again', { storageState: kept })
  await again.page.goto(server.address)
  await again.page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await again.context.close()
  await mina.context.close()
})

test('a token that was stolen and used ends the session, and the page says so', async () => {
  const strict = await startServer({ refresh_grace_seconds: 0 })
  const mina = await reader(browser, strict, 'stolen')
  await mina.register()
  await mina.page.getByRole('link', { name: 'Account', exact: true }).waitFor()
  await mina.page.evaluate(() => sessionStorage.removeItem('heimdex.access'))
  await mina.page.goto('about:blank')
  const context = await mina.context.storageState()
  const stolen = context.origins[0].localStorage.find((entry) => entry.name === 'heimdex.session').value
  const used = await fetch(`${strict.address}/auth/refresh`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ refresh_token: stolen }),
  })
  assert.equal(used.status, 200)
  const thief = await used.json()
  await mina.page.goto(strict.address)
  await mina.page.getByText('Your session ended. Sign in again.').waitFor()
  await mina.shot('session-ended')
  const after = await fetch(`${strict.address}/auth/refresh`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ refresh_token: thief.refresh_token }),
  })
  assert.equal(after.status, 401, 'the thief is out too')
  await mina.signIn()
  await mina.context.close()
  await strict.stop()
})

test('the page comes back when the server does', async () => {
  const mina = await reader(browser, server, 'away')
  await mina.register()
  await server.kill()
  await mina.page.getByRole('textbox', { name: 'Search' }).fill('rain')
  await mina.page.getByRole('alert').waitFor()
  await mina.shot('server-away')
  await server.start()
  await until(async () => {
    const again = mina.page.getByRole('button', { name: 'Try again' })
    if (await again.count()) await again.click().catch(() => undefined)
    return mina.page.getByRole('heading', { name: 'No moment found' }).count()
  }, 'the search works again')

  // Opened while the server is away, the page keeps the session and takes it up later.
  await mina.page.route('**/auth/refresh', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail": "try again in a moment"}' }))
  await mina.page.evaluate(() => sessionStorage.removeItem('heimdex.access'))
  await mina.page.reload()
  await mina.page.getByRole('heading', { name: 'Something went wrong' }).waitFor()
  await mina.page.unroute('**/auth/refresh')
  await mina.page.getByRole('button', { name: 'Try again' }).click()
  await mina.page.getByRole('link', { name: 'Account', exact: true }).waitFor()
  mina.expected(/ERR_/)
  mina.nothingWrong()
  await mina.context.close()
})

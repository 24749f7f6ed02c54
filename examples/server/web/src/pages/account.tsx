// Who is signed in, what they use, and how the page looks.

import { useEffect, useState } from 'preact/hooks'
import { me } from '../api/client.ts'
import { isAbort, sentence } from '../api/problem.ts'
import { end, user } from '../api/session.ts'
import { bytes } from '../format.ts'
import { Bar, Broken, PageTitle } from '../parts/common.tsx'
import { Icon } from '../parts/icons.tsx'
import { KeyList } from '../parts/keys.tsx'
import { say } from '../parts/notices.tsx'
import { address, replace } from '../route.ts'
import { text } from '../strings.ts'
import { theme, type Theme } from '../theme.ts'
import type { Quota } from '../api/types.ts'

export function Account() {
  const [quota, setQuota] = useState<Quota | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  useEffect(() => {
    me().then((answer) => setQuota(answer.quota), (error: unknown) => {
      if (!isAbort(error)) setFailure(error)
    })
  }, [])
  const leave = async (everywhere: boolean) => {
    try {
      await end(everywhere)
      // Whoever signs in next begins at the beginning.
      replace(address('library'))
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <main id="main" class="page narrow">
      <header class="page-head">
        <PageTitle>{text.account.title}</PageTitle>
      </header>
      <section class="panel">
        <p class="account-line"><Icon name="user" /> <strong>{user.value?.email ?? user.value?.id}</strong></p>
        {failure !== null && <Broken error={failure} />}
        {quota && (
          <>
            <div>
              <p class="small">{text.account.videos(quota.videos, quota.max_videos)}</p>
              <Bar fraction={quota.videos / Math.max(1, quota.max_videos)} label={text.account.videos(quota.videos, quota.max_videos)} />
            </div>
            <div>
              <p class="small">{text.account.space(bytes(quota.bytes), bytes(quota.max_bytes))}</p>
              <Bar fraction={quota.bytes / Math.max(1, quota.max_bytes)} label={text.account.space(bytes(quota.bytes), bytes(quota.max_bytes))} />
            </div>
          </>
        )}
        <div class="actions">
          <button type="button" class="button" onClick={() => void leave(false)}>{text.account.out}</button>
          <button type="button" class="button" onClick={() => void leave(true)}>{text.account.outEverywhere}</button>
        </div>
      </section>
      <section class="panel">
        <fieldset class="choices">
          <legend>{text.account.theme}</legend>
          {(['system', 'light', 'dark'] as Theme[]).map((value) => (
            <label key={value} class="choice">
              <input type="radio" name="theme" checked={theme.value === value} onChange={() => { theme.value = value }} />
              <span>{text.account[value]}</span>
            </label>
          ))}
        </fieldset>
      </section>
      <section class="panel">
        <h2 class="section-title">{text.account.keys}</h2>
        <KeyList />
      </section>
    </main>
  )
}

// Signing in and making an account.

import { useEffect, useState } from 'preact/hooks'
import { authConfig, login, register } from '../api/client.ts'
import { Failure, sentence } from '../api/problem.ts'
import { begin, beginWithToken, endedBecause } from '../api/session.ts'
import { PageTitle } from '../parts/common.tsx'
import { Icon } from '../parts/icons.tsx'
import { text } from '../strings.ts'

export function Sign() {
  const [isNew, setNew] = useState(false)
  const [mode, setMode] = useState<'local' | 'external'>('local')
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [stay, setStay] = useState(true)
  const [shown, setShown] = useState(false)
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)

  useEffect(() => {
    authConfig().then((config) => setMode(config.mode), setError)
  }, [])

  const submit = async (event: Event) => {
    event.preventDefault()
    setWorking(true)
    setError(null)
    try {
      const tokens = await (isNew ? register : login)(email.trim(), password)
      begin(tokens, stay)
    } catch (problem) {
      setError(problem)
      setWorking(false)
    }
  }

  const wrong = error instanceof Failure ? error.field : undefined
  const ended = endedBecause.value
  return (
    <main class="sign" id="main">
      <div class="sign-box">
        <div class="brand big">
          <img src="/favicon.svg" alt="" width="40" height="40" />
          <span>{text.name}</span>
        </div>
        <p class="quiet">{text.tagline}</p>
        {mode === 'external' ? (
          <>
            <PageTitle>{text.sign.in}</PageTitle>
            <Token />
          </>
        ) : (
          <form onSubmit={submit}>
            <PageTitle>{isNew ? text.sign.up : text.sign.in}</PageTitle>
            <p class="quiet">{isNew ? text.sign.upLead : text.sign.inLead}</p>
            {ended && error === null && <p class="note" role="status">{ended}</p>}
            <label class="field">
              <span>{text.sign.email}</span>
              <input
                type="email"
                name="email"
                autoComplete={isNew ? 'email' : 'username'}
                required
                maxLength={254}
                value={email}
                aria-invalid={wrong === 'email'}
                onInput={(event) => setEmail(event.currentTarget.value)}
              />
            </label>
            <label class="field">
              <span>{text.sign.password}</span>
              <span class="with-button">
                <input
                  // Preact knows the types of inputs one by one.
                  {...({ type: shown ? 'text' : 'password' } as { type: 'password' })}
                  name="password"
                  autoComplete={isNew ? 'new-password' : 'current-password'}
                  required
                  maxLength={1024}
                  value={password}
                  aria-invalid={wrong === 'password'}
                  aria-describedby={isNew ? 'password-hint' : undefined}
                  onInput={(event) => setPassword(event.currentTarget.value)}
                />
                <button type="button" class="icon-button" aria-label={shown ? text.sign.hide : text.sign.show} aria-pressed={shown} onClick={() => setShown(!shown)}>
                  <Icon name="eye" />
                </button>
              </span>
            </label>
            {isNew && <p id="password-hint" class="quiet small">{text.sign.passwordHint}</p>}
            <label class="check">
              <input type="checkbox" checked={stay} onChange={(event) => setStay(event.currentTarget.checked)} />
              <span>{text.sign.stay}</span>
            </label>
            {error !== null && <p class="note bad" role="alert">{sentence(error)}</p>}
            <button type="submit" class="button primary wide" disabled={working}>
              {working ? text.sign.working : isNew ? text.sign.up : text.sign.in}
            </button>
            <button
              type="button"
              class="link"
              onClick={() => {
                setNew(!isNew)
                setError(null)
              }}
            >
              {isNew ? text.sign.toIn : text.sign.toUp}
            </button>
          </form>
        )}
      </div>
    </main>
  )
}

/** Where accounts are kept elsewhere, a token from there signs in. */
function Token() {
  const [token, setToken] = useState('')
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const submit = async (event: Event) => {
    event.preventDefault()
    setWorking(true)
    setError(null)
    try {
      await beginWithToken(token.trim())
    } catch (problem) {
      setError(problem)
      setWorking(false)
    }
  }
  return (
    <form onSubmit={submit}>
      <p>{text.sign.external}</p>
      <label class="field">
        <span>{text.sign.token}</span>
        <textarea rows={4} required maxLength={8192} spellcheck={false} value={token} onInput={(event) => setToken(event.currentTarget.value)} />
      </label>
      {error !== null && <p class="note bad" role="alert">{sentence(error)}</p>}
      <button type="submit" class="button primary wide" disabled={working}>
        {working ? text.sign.working : text.sign.useToken}
      </button>
    </form>
  )
}

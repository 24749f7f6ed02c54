// The frame of the page: who may see what, the bar on top, the keys that work everywhere.

import { useEffect, useLayoutEffect } from 'preact/hooks'
import { reachable } from './api/client.ts'
import { sessionState, start, startFailure, user } from './api/session.ts'
import * as library from './library.ts'
import { Broken } from './parts/common.tsx'
import { Icon } from './parts/icons.tsx'
import { Keys, keysShown } from './parts/keys.tsx'
import { Notices } from './parts/notices.tsx'
import { chooseVideos, DropZone } from './parts/picker.tsx'
import { SearchBox } from './parts/search-box.tsx'
import { Uploads } from './parts/uploads.tsx'
import { Account } from './pages/account.tsx'
import { Library } from './pages/library.tsx'
import { People } from './pages/people.tsx'
import { Player } from './pages/player.tsx'
import { Search } from './pages/search.tsx'
import { Sign } from './pages/sign.tsx'
import { dropPicture, usePicture } from './picture.ts'
import { online } from './online.ts'
import { address, go, route } from './route.ts'
import { searchAgain, searchFailure, startSearching } from './search.ts'
import { text } from './strings.ts'
import { askForLimits, stopAll } from './upload/queue.ts'

export function App() {
  switch (sessionState.value) {
    case 'starting':
      return startFailure.value ? (
        <main id="main" class="page">
          <Broken error={startFailure.value} onRetry={() => void start()} />
        </main>
      ) : (
        <p class="hidden" role="status">{text.loading}</p>
      )
    case 'out':
      return (
        <>
          <Sign />
          <Notices />
        </>
      )
    case 'in':
      // Another user begins with nothing of the one before.
      return <Inside key={user.value?.id} />
  }
}

function Inside() {
  useEffect(() => {
    library.open()
    void askForLimits()
    const stopSearching = startSearching()
    return () => {
      stopSearching()
      library.close()
      stopAll()
      dropPicture()
    }
  }, [])
  // The keys work from the moment that the page is seen.
  useLayoutEffect(() => {
    addEventListener('keydown', onKey)
    addEventListener('paste', onPaste)
    addEventListener('online', onOnline)
    return () => {
      removeEventListener('keydown', onKey)
      removeEventListener('paste', onPaste)
      removeEventListener('online', onOnline)
    }
  }, [])
  const { name, id } = route.value
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>('main h1')?.focus() }}>
        {text.skip}
      </a>
      <header class="top">
        <a class="brand" href={address('library')} aria-label={`${text.name}: ${text.nav.library}`}>
          <img src="/favicon.svg" alt="" width="28" height="28" />
          <span>{text.name}</span>
        </a>
        <SearchBox />
        <nav aria-label={text.nav.label}>
          <NavLink to="library" label={text.nav.library} icon="library" current={name === 'library'} />
          <NavLink to="people" label={text.nav.people} icon="people" current={name === 'people'} />
          <NavLink to="account" label={text.nav.account} icon="user" current={name === 'account'} />
          <button type="button" class="button primary" aria-label={text.nav.upload} onClick={chooseVideos}>
            <Icon name="upload" /> <span>{text.nav.upload}</span>
          </button>
        </nav>
      </header>
      {(!online.value || !reachable.value) && (
        <p class="offline" role="status">{online.value ? text.errors.banner : text.errors.bannerOffline}</p>
      )}
      {name === 'search' ? (
        <Search />
      ) : name === 'videos' && id ? (
        <Player key={id} id={id} />
      ) : name === 'people' ? (
        <People />
      ) : name === 'account' ? (
        <Account />
      ) : (
        <Library />
      )}
      <Uploads />
      <Notices />
      <Keys />
      <DropZone onPicture={usePicture} />
    </>
  )
}

function NavLink(props: { to: string; label: string; icon: 'library' | 'people' | 'user'; current: boolean }) {
  return (
    <a class="nav-link" href={address(props.to)} aria-current={props.current ? 'page' : undefined} aria-label={props.label}>
      <Icon name={props.icon} /> <span>{props.label}</span>
    </a>
  )
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (target.closest('input:not([type=checkbox], [type=radio]), textarea, select')) return
  if (document.querySelector('dialog[open]')) return
  switch (event.key) {
    case '/': {
      const box = document.getElementById('search-box') as HTMLInputElement | null
      box?.focus()
      box?.select()
      break
    }
    case 'u':
      chooseVideos()
      break
    case '?':
      keysShown.value = true
      break
    case 'Escape':
      if (route.peek().name === 'library') return
      if (history.length > 1) history.back()
      else go(address('library'))
      break
    default:
      return
  }
  event.preventDefault()
}

/** What failed without a connection is asked for again. */
function onOnline(): void {
  if (searchFailure.peek()) searchAgain()
  if (library.failure.peek()) void library.load()
}

function onPaste(event: ClipboardEvent): void {
  const target = event.target as HTMLElement
  if (target.id === 'search-box') return
  const file = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith('image/'))
  if (!file) return
  event.preventDefault()
  void usePicture(file)
}

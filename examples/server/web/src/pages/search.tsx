// Moments that were found, as the reader types.

import { useEffect, useRef, useState } from 'preact/hooks'
import { Failure } from '../api/problem.ts'
import { clock, languageName, parseClock } from '../format.ts'
import { excerpt, highlight } from '../highlight.ts'
import * as library from '../library.ts'
import { Broken, Empty, PageTitle, Skeletons, Thumbnail } from '../parts/common.tsx'
import { Icon } from '../parts/icons.tsx'
import { dropPicture } from '../picture.ts'
import { address, go } from '../route.ts'
import {
  addressOf, ask, asked, explain, filterCount, found, isEmpty, more, picture, searchAgain, searchFailure, searching,
} from '../search.ts'
import { text } from '../strings.ts'
import type { Hit } from '../api/types.ts'

const EXCERPT = 180

export function momentAddress(hit: Hit): string {
  return address(`videos/${hit.scene.video}`, { t: (hit.moment_us / 1e6).toFixed(3), q: asked.peek().query || undefined })
}

export function Search() {
  const [filtersShown, showFilters] = useState(filterCount(asked.value) > 0)
  const of = asked.value
  const page = found.value
  const failure = searchFailure.value
  const empty = isEmpty(of)
  const likeHit = of.like
  return (
    <main id="main" class="page search-page">
      <header class="page-head">
        <PageTitle hidden>{of.query ? `${of.query} · ${text.search.title}` : text.search.title}</PageTitle>
        <div class="chips">
          {picture.value && (
            <span class="chip picture-chip">
              <img src={picture.value.url} alt="" />
              {text.search.image}
              <button type="button" class="icon-button" aria-label={text.search.removeImage} onClick={dropPicture}>
                <Icon name="close" />
              </button>
            </span>
          )}
          {likeHit && (
            <span class="chip">
              <Icon name="like" />
              {text.search.like(`${library.find(likeHit.video)?.title ?? ''} #${likeHit.ordinal + 1}`.trim())}
              <button type="button" class="icon-button" aria-label={text.search.removeLike} onClick={() => ask({ like: null })}>
                <Icon name="close" />
              </button>
            </span>
          )}
          {of.tags.map((tag) => (
            <span key={tag} class="chip">
              {tag}
              <button
                type="button"
                class="icon-button"
                aria-label={text.filters.removeTag(tag)}
                onClick={() => ask({ tags: of.tags.filter((other) => other !== tag) })}
              >
                <Icon name="close" />
              </button>
            </span>
          ))}
        </div>
        <span class="result-count quiet" role="status" aria-live="polite">
          {empty ? '' : searching.value && !page ? text.search.searching : page && !failure ? text.search.found(page.total) : ''}
        </span>
        <div class="actions">
          <button
            type="button"
            class="button small"
            aria-pressed={explain.value}
            onClick={() => {
              explain.value = !explain.value
            }}
          >
            <Icon name="bars" /> {text.search.explain}
          </button>
          <button
            type="button"
            class="button small"
            aria-expanded={filtersShown}
            aria-controls="filters"
            onClick={() => showFilters(!filtersShown)}
          >
            <Icon name="filter" /> {text.filters.show(filterCount(of))}
          </button>
        </div>
      </header>
      <div class={filtersShown ? 'with-filters' : ''}>
        {filtersShown && <Filters />}
        <div>
          {empty ? (
            <Empty icon="search" title={text.search.start}>
              <p>{text.search.startLead}</p>
            </Empty>
          ) : failure ? (
            <Broken error={failure} onRetry={failure instanceof Failure && !failure.passing ? undefined : searchAgain} />
          ) : !page ? (
            <Skeletons count={4} class="hits" />
          ) : page.hits.length === 0 ? (
            <Empty icon="search" title={text.search.none}>
              <p>{library.videos.value?.length === 0 ? text.search.noneInEmpty : text.search.noneLead}</p>
              {filterCount(of) > 0 && <ClearFilters />}
            </Empty>
          ) : (
            <Hits hits={page.hits} />
          )}
          {page?.next && !failure && !empty && (
            <button type="button" class="button centered" disabled={searching.value} onClick={() => void more()}>
              {text.more}
            </button>
          )}
        </div>
      </div>
    </main>
  )
}

function Hits({ hits }: { hits: Hit[] }) {
  const list = useRef<HTMLOListElement>(null)
  const walk = (event: KeyboardEvent) => {
    const links = [...(list.current?.querySelectorAll<HTMLElement>('a.hit-link') ?? [])]
    const at = links.indexOf(document.activeElement as HTMLElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
    if (to === undefined || at < 0) return
    event.preventDefault()
    if (to < 0) document.getElementById('search-box')?.focus()
    else links[Math.min(to, links.length - 1)]?.focus()
  }
  return (
    <ol ref={list} class={`hits${searching.value ? ' stale' : ''}`} aria-label={text.search.results} aria-busy={searching.value} onKeyDown={walk}>
      {hits.map((hit) => (
        <HitRow key={`${hit.scene.video}:${hit.scene.ordinal}`} hit={hit} />
      ))}
    </ol>
  )
}

function HitRow({ hit }: { hit: Hit }) {
  const pieces = excerpt(highlight(hit.text.replace(/\s+/g, ' '), hit.matched_words), EXCERPT)
  const title = hit.video.title || text.library.untitled
  return (
    <li class="hit">
      <a class="hit-link" href={momentAddress(hit)} aria-label={text.search.play(title, clock(hit.moment_us))}>
        <Thumbnail url={hit.thumbnail_url} />
        <span class="badge">
          <Icon name="play" /> {clock(hit.moment_us)}
        </span>
      </a>
      <div class="hit-body">
        <a class="hit-title" href={momentAddress(hit)} tabIndex={-1} aria-hidden="true">{title}</a>
        <span class="quiet small">
          {clock(hit.start_us)}–{clock(hit.end_us)}
        </span>
        <p class="hit-text">
          {hit.text ? pieces.map((piece, i) => (piece.marked ? <mark key={i}>{piece.text}</mark> : piece.text)) : <span class="quiet">{text.search.silent}</span>}
        </p>
        <div class="chips">
          {hit.tags?.slice(0, 4).map((tag) => (
            <button key={tag.label} type="button" class="chip" onClick={() => ask({ tags: [...new Set([...asked.peek().tags, tag.label])] })}>
              {tag.label}
            </button>
          ))}
          <button
            type="button"
            class="chip subtle"
            onClick={() => {
              dropPicture()
              go(addressOf({ like: hit.scene }))
            }}
          >
            <Icon name="like" /> {text.search.moreLike}
          </button>
        </div>
        {explain.value && hit.channels && hit.channels.length > 0 && <Why hit={hit} />}
      </div>
    </li>
  )
}

/** Rank and score of a hit in each channel that found it. */
function Why({ hit }: { hit: Hit }) {
  return (
    <table class="why">
      <caption class="hidden">{text.search.why}</caption>
      <thead>
        <tr>
          <th scope="col">{text.search.channel}</th>
          <th scope="col">{text.search.rank}</th>
          <th scope="col">{text.search.score}</th>
        </tr>
      </thead>
      <tbody>
        {hit.channels?.map((channel) => (
          <tr key={channel.channel}>
            <th scope="row">{text.channels[channel.channel] ?? channel.channel}</th>
            <td>{channel.rank}</td>
            <td>{channel.score.toPrecision(3)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">{text.search.total}</th>
          <td />
          <td>{hit.score.toPrecision(3)}</td>
        </tr>
      </tfoot>
    </table>
  )
}

function Filters() {
  const of = asked.value
  const videos = (library.videos.value ?? []).filter((video) => video.state === 'indexed' || video.id === of.video)
  const languages = [...new Set(videos.map((video) => video.language).filter((code): code is string => !!code))].sort()
  if (of.language && !languages.includes(of.language)) languages.push(of.language)
  const known = [...new Set((found.value?.hits ?? []).flatMap((hit) => hit.tags?.map((tag) => tag.label) ?? []))].sort()
  return (
    <aside id="filters" class="filters" aria-label={text.filters.title}>
      <label class="field">
        <span>{text.filters.video}</span>
        <select value={of.video} onChange={(event) => ask({ video: event.currentTarget.value })}>
          <option value="">{text.filters.anyVideo}</option>
          {videos.map((video) => (
            <option key={video.id} value={video.id}>
              {video.title || text.library.untitled}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>{text.filters.language}</span>
        <select value={of.language} onChange={(event) => ask({ language: event.currentTarget.value })}>
          <option value="">{text.filters.anyLanguage}</option>
          {languages.map((code) => (
            <option key={code} value={code}>
              {languageName(code)}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>{text.filters.length}</span>
        <select value={of.length} onChange={(event) => ask({ length: event.currentTarget.value })}>
          <option value="">{text.filters.anyLength}</option>
          {Object.entries(text.filters.lengths).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <fieldset class="field">
        <legend>{text.filters.within}</legend>
        <div class="pair">
          <TimeField label={text.filters.from} value={of.from} onValue={(from) => ask({ from })} />
          <TimeField label={text.filters.to} value={of.to} onValue={(to) => ask({ to })} />
        </div>
      </fieldset>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          const input = event.currentTarget.elements.namedItem('tag') as HTMLInputElement
          const tag = input.value.trim().replace(/,/g, ' ')
          if (tag) ask({ tags: [...new Set([...of.tags, tag])] })
          input.value = ''
        }}
      >
        <label for="tag">{text.filters.tags}</label>
        <input id="tag" name="tag" list="known-tags" placeholder={text.filters.addTag} maxLength={100} autoComplete="off" />
        <datalist id="known-tags">
          {known.map((tag) => (
            <option key={tag} value={tag} />
          ))}
        </datalist>
      </form>
      <label class="check">
        <input type="checkbox" checked={of.perVideo} onChange={(event) => ask({ perVideo: event.currentTarget.checked })} />
        <span>{text.filters.perVideo}</span>
      </label>
      {filterCount(of) > 0 && <ClearFilters />}
    </aside>
  )
}

function TimeField(props: { label: string; value: string; onValue: (value: string) => void }) {
  const [wrong, setWrong] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = props.value
  }, [props.value])
  return (
    <label>
      <span class="hidden">{props.label}</span>
      <input
        ref={input}
        inputMode="numeric"
        placeholder={props.label}
        defaultValue={props.value}
        aria-invalid={wrong}
        title={wrong ? text.filters.timeWrong : text.filters.timeHint}
        onChange={(event) => {
          const value = event.currentTarget.value.trim()
          const isTime = value === '' || parseClock(value) !== undefined
          setWrong(!isTime)
          if (isTime) props.onValue(value)
        }}
      />
      {wrong && <span class="bad-text small" role="alert">{text.filters.timeWrong}</span>}
    </label>
  )
}

function ClearFilters() {
  return (
    <button
      type="button"
      class="button small"
      onClick={() => ask({ video: '', tags: [], language: '', length: '', from: '', to: '', perVideo: false })}
    >
      {text.filters.clear}
    </button>
  )
}

// A video at a moment, with its scenes below and what is said beside it.

import { useEffect, useRef, useState } from 'preact/hooks'
import * as api from '../api/client.ts'
import { Failure, isAbort, sentence } from '../api/problem.ts'
import { bytes, clock, date, languageName, percent } from '../format.ts'
import * as library from '../library.ts'
import { Bar, Broken, Empty, PageTitle, Thumbnail } from '../parts/common.tsx'
import { Icon } from '../parts/icons.tsx'
import { say } from '../parts/notices.tsx'
import { Transcript } from '../parts/transcript.tsx'
import { address, go, route } from '../route.ts'
import { addressOf } from '../search.ts'
import { text } from '../strings.ts'
import { Remove } from './library.tsx'
import type { Scene, Segment, Transcript as Said, Video } from '../api/types.ts'

/** An address is asked for again at most this often when playing breaks. */
const ADDRESS_TRIES = 3

export function Player({ id }: { id: string }) {
  const [loaded, setLoaded] = useState<Video | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const [scenes, setScenes] = useState<Scene[] | null>(null)
  const [said, setSaid] = useState<Said | null>(null)
  const [attempt, setAttempt] = useState(0)
  // What the library hears of this video is newer than what was loaded.
  const video = library.find(id) ?? loaded
  const state = video?.state

  useEffect(() => {
    const stop = new AbortController()
    setFailure(null)
    api.video(id, stop.signal).then(
      (video) => {
        setLoaded(video)
        if (library.find(id)) library.put(video)
      },
      (error: unknown) => {
        if (!isAbort(error)) setFailure(error)
      },
    )
    return () => stop.abort()
  }, [id, attempt])

  useEffect(() => {
    if (!state || state === 'uploading' || state === 'deleted') return
    const stop = new AbortController()
    const quietly = (error: unknown) => {
      // While a video is indexed there may be nothing of it yet.
      if (!isAbort(error) && state === 'indexed') say(sentence(error), 'bad')
    }
    api.scenes(id, stop.signal).then(setScenes, quietly)
    api.transcript(id, stop.signal).then(setSaid, quietly)
    return () => stop.abort()
  }, [id, state === 'indexed', state === undefined])

  if (failure && !video) {
    const isGone = failure instanceof Failure && (failure.status === 404 || failure.status === 400 || failure.status === 422)
    return (
      <main id="main" class="page">
        <PageTitle hidden>{text.errors.title}</PageTitle>
        {isGone ? (
          <Empty icon="film" title={text.player.gone}>
            <p>{text.player.goneLead}</p>
            <a class="button" href={address('library')}>{text.nav.library}</a>
          </Empty>
        ) : (
          <Broken error={failure} onRetry={() => setAttempt(attempt + 1)} />
        )}
      </main>
    )
  }
  if (!video) {
    return (
      <main id="main" class="page" aria-busy="true">
        <PageTitle hidden>{text.loading}</PageTitle>
        <div class="skeleton"><span class="thumbnail" /><span class="line" /></div>
      </main>
    )
  }
  return <Stage key={id} video={video} scenes={scenes ?? []} said={said} />
}

function Stage(props: { video: Video; scenes: Scene[]; said: Said | null }) {
  const { video, scenes, said } = props
  const segments = said?.segments ?? null
  const element = useRef<HTMLVideoElement>(null)
  const [source, setSource] = useState<string | null>(null)
  const [broken, setBroken] = useState<string | null>(null)
  const [now, setNow] = useState(0)
  const tries = useRef(0)
  const wanted = useRef<number | null>(null)
  const moment = route.value.query.get('t')
  const hasFile = video.state !== 'uploading'

  const load = async (signal?: AbortSignal) => {
    try {
      setSource((await api.playback(video.id, signal)).url)
      setBroken(null)
    } catch (error) {
      if (!isAbort(error)) setBroken(sentence(error))
    }
  }

  useEffect(() => {
    if (!hasFile) return
    const stop = new AbortController()
    void load(stop.signal)
    return () => stop.abort()
  }, [video.id, hasFile])

  const seek = (micros: number, play: boolean) => {
    const player = element.current
    setNow(micros)
    if (!player || player.readyState < HTMLMediaElement.HAVE_METADATA) {
      wanted.current = micros
      return
    }
    player.currentTime = micros / 1e6
    // A browser may refuse to play before the reader has touched the page.
    if (play) void player.play().catch(() => undefined)
  }

  useEffect(() => {
    const seconds = Number(moment)
    if (moment !== null && Number.isFinite(seconds) && seconds >= 0) seek(Math.round(seconds * 1e6), true)
  }, [moment, video.id])

  // The words that are being said move on more often than `timeupdate` tells.
  useEffect(() => {
    let frame = 0
    const tick = () => {
      const player = element.current
      if (player && !player.paused) setNow(player.currentTime * 1e6)
      frame = requestAnimationFrame(tick)
    }
    frame = requestAnimationFrame(tick)
    return () => cancelAnimationFrame(frame)
  }, [])

  useCaptions(element, segments, source)

  const current = scenes.findIndex((scene) => scene.start_us <= now && now < scene.end_us)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const player = element.current
      const target = event.target as HTMLElement
      if (!player || event.ctrlKey || event.metaKey || event.altKey || target.closest('input, textarea, select, dialog')) return
      const step = (seconds: number) => seek(Math.max(0, player.currentTime + seconds) * 1e6, false)
      const scene = (by: number) => {
        const to = scenes[Math.min(Math.max(0, current + by), scenes.length - 1)]
        if (to) seek(to.start_us, false)
      }
      const onButton = target.closest('button, a, [role=tab]') !== null
      switch (event.key) {
        case ' ':
          if (onButton || target === player) return
          if (player.paused) void player.play().catch(() => undefined)
          else player.pause()
          break
        case 'k':
          if (player.paused) void player.play().catch(() => undefined)
          else player.pause()
          break
        case 'ArrowLeft':
        case 'j':
          step(event.key === 'j' ? -10 : -5)
          break
        case 'ArrowRight':
        case 'l':
          step(event.key === 'l' ? 10 : 5)
          break
        case '[':
          scene(-1)
          break
        case ']':
          scene(1)
          break
        default:
          return
      }
      event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [scenes, current])

  const title = video.title || text.library.untitled
  const works = library.isWorking(video)
  return (
    <main id="main" class="page player-page">
      <div class="player-main">
        <div class="player-frame">
          {hasFile && !broken ? (
            <video
              ref={element}
              src={source ?? undefined}
              controls
              playsInline
              preload="metadata"
              poster={source ? undefined : (video.thumbnail_url ?? undefined)}
              aria-label={title}
              onLoadedMetadata={(event) => {
                tries.current = 0
                if (wanted.current !== null) {
                  event.currentTarget.currentTime = wanted.current / 1e6
                  wanted.current = null
                  void event.currentTarget.play().catch(() => undefined)
                }
              }}
              onTimeUpdate={(event) => setNow(event.currentTarget.currentTime * 1e6)}
              onSeeking={(event) => setNow(event.currentTarget.currentTime * 1e6)}
              onError={(event) => {
                if (!source) return
                const code = event.currentTarget.error?.code
                // The address ends after a while; then the network, not the file, is at fault.
                if (tries.current < ADDRESS_TRIES) {
                  tries.current += 1
                  wanted.current ??= event.currentTarget.currentTime * 1e6
                  void load()
                } else {
                  setBroken(code === MediaError.MEDIA_ERR_NETWORK ? text.errors.network : text.player.notPlayable)
                }
              }}
            />
          ) : (
            <div class="player-broken">
              <Icon name="film" />
              <p>{broken ?? text.library.interruptedLead}</p>
            </div>
          )}
        </div>
        {works && (
          <div class="working" role="status">
            <div class="spread">
              <span>{library.stageText(video)}</span>
              <span class="quiet">{library.progressOf(video) === undefined ? '' : percent(library.progressOf(video) ?? 0)}</span>
            </div>
            <Bar fraction={library.progressOf(video)} label={text.player.notReady} />
          </div>
        )}
        {(works || video.state === 'failed') && video.stages.length > 0 && <Stages video={video} />}
        {video.state === 'failed' && <p class="note bad" role="alert">{library.reason(video)}</p>}
        <About video={video} />
        {scenes.length > 0 && (
          <Scenes scenes={scenes} current={current} onSeek={(micros) => seek(micros, true)} video={video.id} />
        )}
      </div>
      <Transcript
        said={said}
        now={now}
        pending={video.state !== 'indexed' && video.state !== 'failed'}
        onSeek={(micros) => seek(micros, true)}
      />
    </main>
  )
}

/** What was done so far, stage by stage. */
function Stages({ video }: { video: Video }) {
  return (
    <ol class="stages" aria-label={text.player.stages}>
      {video.stages.map((stage) => (
        <li key={stage.stage} class={stage.state}>
          <Icon name={stage.state === 'completed' ? 'check' : stage.state === 'running' ? 'play' : 'warn'} />
          <span>{text.stages[stage.stage] ?? stage.stage}</span>
          <span class="quiet">
            {stage.state === 'running' && stage.fraction > 0 ? percent(stage.fraction) : text.stageStates[stage.state]}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Scenes(props: { scenes: Scene[]; current: number; onSeek: (micros: number) => void; video: string }) {
  const strip = useRef<HTMLOListElement>(null)
  useEffect(() => {
    const item = strip.current?.children[props.current] as HTMLElement | undefined
    if (!strip.current || !item) return
    const left = item.offsetLeft - strip.current.offsetLeft
    if (left < strip.current.scrollLeft || left + item.offsetWidth > strip.current.scrollLeft + strip.current.clientWidth) {
      strip.current.scrollTo({ left: left - item.offsetWidth, behavior: 'smooth' })
    }
  }, [props.current])
  const scene = props.scenes[props.current]
  return (
    <section aria-label={text.player.scenes}>
      <h2 class="section-title">{text.player.scenes}</h2>
      <ol class="scenes" ref={strip}>
        {props.scenes.map((scene, i) => (
          <li key={scene.ordinal}>
            <button
              type="button"
              class="scene"
              aria-label={text.player.scene(scene.ordinal + 1, clock(scene.start_us))}
              aria-current={i === props.current ? 'true' : undefined}
              onClick={() => props.onSeek(scene.start_us)}
            >
              <Thumbnail url={scene.thumbnail_url} />
              <span class="badge">{clock(scene.start_us)}</span>
            </button>
          </li>
        ))}
      </ol>
      {scene && (
        <div class="chips">
          <a class="chip subtle" href={addressOf({ like: { video: props.video, ordinal: scene.ordinal } })}>
            <Icon name="like" /> {text.search.moreLike}
          </a>
          {scene.tags?.slice(0, 8).map((tag) => (
            <a key={tag.label} class="chip" href={addressOf({ query: tag.label })}>
              {tag.label}
            </a>
          ))}
        </div>
      )}
    </section>
  )
}

function About({ video }: { video: Video }) {
  const [editing, setEditing] = useState(false)
  const [title, setTitle] = useState(video.title)
  const [description, setDescription] = useState(video.description)
  const [working, setWorking] = useState(false)

  const save = async (event: Event) => {
    event.preventDefault()
    setWorking(true)
    try {
      library.put(await api.editVideo(video.id, { title: title.trim(), description: description.trim() }))
      setEditing(false)
      say(text.player.saved)
    } catch (error) {
      say(sentence(error), 'bad')
    } finally {
      setWorking(false)
    }
  }

  if (editing) {
    return (
      <form class="about" onSubmit={save}>
        <label class="field">
          <span>{text.player.titleField}</span>
          <input value={title} maxLength={500} required onInput={(event) => setTitle(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>{text.player.description}</span>
          <textarea rows={4} maxLength={10000} value={description} onInput={(event) => setDescription(event.currentTarget.value)} />
        </label>
        <div class="actions">
          <button type="submit" class="button primary small" disabled={working}>{text.save}</button>
          <button type="button" class="button small" onClick={() => setEditing(false)}>{text.cancel}</button>
        </div>
      </form>
    )
  }
  const facts = [
    video.duration_us > 0 ? clock(video.duration_us) : '',
    video.language ? languageName(video.language) : '',
    video.bytes ? bytes(video.bytes) : '',
    video.uploaded_at ? text.player.uploaded(date(video.uploaded_at)) : '',
  ].filter(Boolean)
  return (
    <section class="about">
      <PageTitle>{video.title || text.library.untitled}</PageTitle>
      <p class="quiet small">{facts.join(' · ')}</p>
      {video.description && <p class="description">{video.description}</p>}
      {video.warnings.length > 0 && (
        <details>
          <summary>{text.player.warnings}</summary>
          <ul>{video.warnings.map((line) => <li key={line}>{line}</li>)}</ul>
        </details>
      )}
      <div class="actions">
        <button
          type="button"
          class="button small"
          onClick={() => {
            setTitle(video.title)
            setDescription(video.description)
            setEditing(true)
          }}
        >
          <Icon name="edit" /> {text.library.edit}
        </button>
        <Remove video={video} onRemoved={() => go(address('library'))} />
      </div>
    </section>
  )
}

/** Gives the player's own captions the transcript. */
function useCaptions(element: { current: HTMLVideoElement | null }, segments: Segment[] | null, source: string | null): void {
  const track = useRef<TextTrack | null>(null)
  useEffect(() => {
    const player = element.current
    if (!player || !segments || segments.length === 0 || !source) return
    if (!track.current || ![...player.textTracks].includes(track.current)) {
      track.current = player.addTextTrack('captions', text.player.captions)
      track.current.mode = 'disabled'
    }
    // Cues can only be changed while the track is not disabled.
    const mode = track.current.mode
    track.current.mode = 'hidden'
    for (const cue of [...(track.current.cues ?? [])]) track.current.removeCue(cue)
    for (const segment of segments) {
      if (segment.end_us > segment.start_us) {
        track.current.addCue(new VTTCue(segment.start_us / 1e6, segment.end_us / 1e6, escaped(segment.text)))
      }
    }
    track.current.mode = mode
  }, [segments, source])
}

/** Text in which WebVTT finds no markup. */
function escaped(line: string): string {
  return line.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

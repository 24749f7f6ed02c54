// What is said, line by line, following the player.

import { Component } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { clock } from '../format.ts'
import { text } from '../strings.ts'
import type { Segment, Transcript as Said } from '../api/types.ts'

/** After the reader scrolls by hand, the list stays where it is for this long. */
const HANDS_OFF_MS = 5000

export function Transcript(props: { said: Said | null; now: number; pending: boolean; onSeek: (micros: number) => void }) {
  const { said, now } = props
  const segments = said?.segments ?? null
  const box = useRef<HTMLDivElement>(null)
  const touched = useRef(0)
  const [follow, setFollow] = useState(true)
  const current = segments ? lastBefore(segments, now) : -1
  // "Nothing is said" is another thing than "nobody listened".
  const nothing = props.pending
    ? text.player.transcriptLater
    : said?.source
      ? text.player.noTranscript
      : text.player.neverListened
  const isSaid = current >= 0 && now < (segments?.[current]?.end_us ?? 0)

  useEffect(() => {
    const list = box.current
    const line = list?.querySelector<HTMLElement>(`[data-line="${current}"]`)
    if (!list || !line || !follow || Date.now() - touched.current < HANDS_OFF_MS) return
    const top = line.offsetTop - list.offsetTop
    list.scrollTo({ top: top - list.clientHeight / 3, behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' })
  }, [current, follow])

  const touch = () => {
    touched.current = Date.now()
  }
  return (
    <section class="transcript" aria-label={text.player.transcript}>
      <header class="spread">
        <h2 class="section-title">{text.player.transcript}</h2>
        {segments && segments.length > 0 && (
          <label class="check small">
            <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
            <span>{text.player.follow}</span>
          </label>
        )}
      </header>
      <div class="lines" ref={box} onWheel={touch} onTouchMove={touch} tabIndex={0} role="group" aria-label={text.player.transcript}>
        {!segments && <p class="quiet pad">{props.pending ? text.player.transcriptLater : text.loading}</p>}
        {segments?.length === 0 && <p class="quiet pad">{nothing}</p>}
        {segments?.map((segment, i) => (
          <Line key={i} index={i} segment={segment} now={i === current && isSaid ? now : -1} onSeek={props.onSeek} />
        ))}
      </div>
    </section>
  )
}

interface LineProps {
  index: number
  segment: Segment
  /** The moment, for the line that is said at it; -1 for all others. */
  now: number
  onSeek: (micros: number) => void
}

/** A line is drawn again only when it is the one that is said: a film has thousands. */
class Line extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    return next.now !== this.props.now || next.segment !== this.props.segment || next.index !== this.props.index
  }

  override render({ index, segment, now, onSeek }: LineProps) {
    const said = now >= 0
    return (
      <button
        type="button"
        class={`line-button${said ? ' said' : ''}`}
        data-line={index}
        aria-current={said ? 'true' : undefined}
        onClick={() => onSeek(segment.start_us)}
      >
        <span class="time">{clock(segment.start_us)}</span>{' '}
        <span class="words">
          {segment.speaker && <strong>{segment.speaker} </strong>}
          {said && segment.words.length > 0
            ? segment.words.map((word, i) => (
                <span key={i} class={word.start_us <= now && now < word.end_us ? 'word now' : 'word'}>
                  {word.text}
                  {glue(segment.text, word.text, segment.words[i + 1]?.text)}
                </span>
              ))
            : segment.text}
        </span>
      </button>
    )
  }
}

/** What stands between two words: nothing where the line is written without spaces. */
function glue(line: string, word: string, next: string | undefined): string {
  return next !== undefined && line.includes(word + next) ? '' : ' '
}

/** The last segment that begins at or before `micros`; -1 before the first. */
export function lastBefore(segments: { start_us: number }[], micros: number): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((segments[middle]?.start_us ?? Infinity) <= micros) low = middle + 1
    else high = middle
  }
  return low - 1
}

// Small pieces that several pages share.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Failure, sentence } from '../api/problem.ts'
import { text } from '../strings.ts'
import { Icon, type IconName } from './icons.tsx'

/** Nothing to show, and why. */
export function Empty(props: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={props.icon} />
      <h2>{props.title}</h2>
      {props.children}
    </div>
  )
}

/** An error in place of what was to be shown. */
export function Broken(props: { error: unknown; onRetry?: () => void }) {
  const { error } = props
  return (
    <div class="empty broken" role="alert">
      <Icon name="warn" />
      <h2>{error instanceof Failure && error.status === 0 ? text.errors.noConnection : text.errors.title}</h2>
      <p>{sentence(error)}</p>
      {error instanceof Failure && error.requestId && <p class="quiet small">{text.errors.request(error.requestId)}</p>}
      {props.onRetry && (
        <button type="button" class="button" onClick={props.onRetry}>
          {text.retry}
        </button>
      )}
    </div>
  )
}

/** A picture of a video or scene, or a quiet field while there is none. */
export function Thumbnail(props: { url: string | null | undefined; label?: string }) {
  const [broken, setBroken] = useState<string | null>(null)
  const url = props.url && props.url !== broken ? props.url : null
  return (
    <span class="thumbnail">
      {url ? (
        <img src={url} alt={props.label ?? ''} loading="lazy" decoding="async" onError={() => setBroken(url)} />
      ) : (
        <Icon name="film" />
      )}
    </span>
  )
}

export function Bar(props: { fraction: number | undefined; label: string }) {
  // Without a value the bar moves by itself.
  return props.fraction === undefined ? (
    <progress class="bar" aria-label={props.label} />
  ) : (
    <progress class="bar" aria-label={props.label} max={1} value={Math.min(1, Math.max(0, props.fraction))} />
  )
}

/** A window over the page; Escape and a click beside it close it. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    box.current?.showModal()
  }, [])
  return (
    <dialog
      ref={box}
      aria-label={props.title}
      onClose={props.onClose}
      onClick={(event) => {
        if (event.target === box.current) box.current?.close()
      }}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2>{props.title}</h2>
          <button type="button" class="icon-button" aria-label={text.close} onClick={() => box.current?.close()}>
            <Icon name="close" />
          </button>
        </div>
        {props.children}
      </div>
    </dialog>
  )
}

/** The heading of a page. It takes the focus, so that readers by ear are told where they are. */
export function PageTitle(props: { children: string; hidden?: boolean }) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = props.children === text.name ? text.name : `${props.children} · ${text.name}`
  }, [props.children])
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest('main')) heading.current?.focus({ preventScroll: true })
  }, [])
  return (
    <h1 ref={heading} tabIndex={-1} class={props.hidden ? 'hidden' : ''}>
      {props.children}
    </h1>
  )
}

/** Cards in the shape of what is on its way. */
export function Skeletons(props: { count: number; class: string }) {
  return (
    <div class={props.class} aria-hidden="true">
      {Array.from({ length: props.count }, (_, i) => (
        <div key={i} class="skeleton">
          <span class="thumbnail" />
          <span class="line" />
          <span class="line short" />
        </div>
      ))}
    </div>
  )
}

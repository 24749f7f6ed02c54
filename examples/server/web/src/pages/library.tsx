// The videos, with what is being done to each.

import { useState } from 'preact/hooks'
import { cancelVideo, deleteVideo, retryVideo } from '../api/client.ts'
import { sentence } from '../api/problem.ts'
import { clock, percent } from '../format.ts'
import * as library from '../library.ts'
import { Bar, Broken, Dialog, Empty, PageTitle, Skeletons, Thumbnail } from '../parts/common.tsx'
import { Icon } from '../parts/icons.tsx'
import { say } from '../parts/notices.tsx'
import { choose, chooseVideos, VIDEOS } from '../parts/picker.tsx'
import { address } from '../route.ts'
import { text } from '../strings.ts'
import { goOn, uploadOf } from '../upload/queue.ts'
import type { Video } from '../api/types.ts'

export function Library() {
  const videos = library.videos.value
  const failure = library.failure.value
  return (
    <main id="main" class="page">
      <header class="page-head">
        <PageTitle>{text.library.title}</PageTitle>
        {videos && videos.length > 0 && <span class="quiet">{text.library.count(library.total.value)}</span>}
      </header>
      {!videos && !failure && <Skeletons count={8} class="grid" />}
      {!videos && failure !== null && <Broken error={failure} onRetry={() => void library.load()} />}
      {videos?.length === 0 && (
        <Empty icon="upload" title={text.library.empty}>
          <p>{text.library.emptyLead}</p>
          <button type="button" class="button primary" onClick={chooseVideos}>
            {text.library.choose}
          </button>
        </Empty>
      )}
      {videos && videos.length > 0 && (
        <ul class="grid">
          {videos.map((video) => (
            <Card key={video.id} video={video} />
          ))}
        </ul>
      )}
      {library.next.value && (
        <button type="button" class="button centered" disabled={library.loading.value} onClick={() => void library.loadMore()}>
          {text.more}
        </button>
      )}
    </main>
  )
}

function Card({ video }: { video: Video }) {
  const title = video.title || text.library.untitled
  const upload = uploadOf(video.id)
  const works = library.isWorking(video)
  const progress = library.progressOf(video)
  return (
    <li class={`card ${video.state}`} data-video={video.id} data-state={video.state}>
      <a href={address(`videos/${video.id}`)}>
        <Thumbnail url={video.thumbnail_url} />
        {video.duration_us > 0 && <span class="badge">{clock(video.duration_us)}</span>}{' '}
        <span class="card-title">{title}</span>
      </a>
      <div class="card-foot">
        {video.state === 'indexed' && <span class="quiet small">{meta(video)}</span>}
        {works && (
          <>
            <div class="spread small">
              <span class="stage">{library.stageText(video)}</span>
              <span class="quiet">{progress === undefined ? '' : percent(progress)}</span>
            </div>
            <Bar fraction={progress} label={`${title}: ${library.stageText(video)}`} />
            <Action icon="stop" label={text.library.stop} video={video} act={cancelVideo} />
          </>
        )}
        {video.state === 'uploading' && upload && (
          <>
            <span class="small stage">{text.states['uploading']}</span>
            <Bar fraction={upload.fraction} label={title} />
          </>
        )}
        {video.state === 'uploading' && !upload && (
          <>
            <span class="small">{text.library.interrupted}</span>
            <span class="quiet small">{text.library.interruptedLead}</span>
            <div class="actions">
              <button type="button" class="button small" onClick={() => choose(VIDEOS, false, (files) => files[0] && goOn(video, files[0]))}>
                {text.library.goOn}
              </button>
              <Remove video={video} />
            </div>
          </>
        )}
        {video.state === 'failed' && (
          <>
            <span class="small bad-text">
              <Icon name="warn" /> {library.reason(video)}
            </span>
            <div class="actions">
              <Action icon="again" label={text.library.again} video={video} act={retryVideo} />
              <Remove video={video} />
            </div>
          </>
        )}
      </div>
    </li>
  )
}

function meta(video: Video): string {
  return video.description || text.library.ready
}

function Action(props: { icon: 'stop' | 'again'; label: string; video: Video; act: (id: string) => Promise<unknown> }) {
  const [working, setWorking] = useState(false)
  const run = async () => {
    setWorking(true)
    try {
      await props.act(props.video.id)
      await library.refresh(props.video.id)
    } catch (error) {
      say(sentence(error), 'bad')
    } finally {
      setWorking(false)
    }
  }
  return (
    <button type="button" class="button small" disabled={working} onClick={run} aria-label={`${props.label}: ${props.video.title}`}>
      <Icon name={props.icon} /> {props.label}
    </button>
  )
}

/** Deletes a video after asking. */
export function Remove(props: { video: Video; onRemoved?: () => void; label?: string }) {
  const [asking, setAsking] = useState(false)
  const title = props.video.title || text.library.untitled
  const run = async () => {
    setAsking(false)
    try {
      await deleteVideo(props.video.id)
      library.forget(props.video.id)
      say(text.player.removed(title))
      props.onRemoved?.()
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <>
      <button type="button" class="button small" aria-label={`${text.library.remove}: ${title}`} onClick={() => setAsking(true)}>
        <Icon name="trash" /> {text.library.remove}
      </button>
      {asking && (
        <Dialog title={text.player.removeTitle} onClose={() => setAsking(false)}>
          <p>{text.player.removeLead(title)}</p>
          <div class="actions end">
            <button type="button" class="button" onClick={() => setAsking(false)}>
              {text.cancel}
            </button>
            <button type="button" class="button danger" onClick={run}>
              {text.player.remove}
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}

// What calls give: the JSON that every language gives alike. Times are whole microseconds.

/** From where to where; `end_us` is the first moment after. */
export interface Span {
  start_us: number
  end_us: number
}

/** A word of a transcript. */
export interface Word extends Span {
  text: string
  /** How sure speech recognition was. */
  probability?: number | null
}

/** A word for what a scene shows. */
export interface Tag {
  label: string
  /** Other names that it is found by. */
  names?: string[]
  /** How sure it is, 0 to 1. */
  score: number
}

/** A scene: the n-th of its video, from 0. */
export interface SceneId {
  video: string
  ordinal: number
}

/** What a channel says of a hit. */
export interface ChannelScore {
  channel: string
  rank: number
  score: number
}

/** The video of a hit. */
export interface HitVideo {
  title: string
  source: string
  duration_us: number
}

/** A scene that was found. */
export interface Hit extends Span {
  scene: SceneId
  video: HitVideo
  /** Where to seek to. */
  moment_us: number
  /** What is said in the scene. */
  text: string
  matched_words: Word[]
  tags?: Tag[]
  /** Key of the picture nearest to the moment, for `Library.thumbnail`. */
  thumbnail: string | null
  /** The fused score; only comparable within one search. */
  score: number
  /** Filled by `explain`. */
  channels?: ChannelScore[]
}

/** A page of hits, best first. */
export interface SearchPage {
  hits: Hit[]
  /** Scenes found in all, under the same filters. */
  total: number
  /** Give this as `cursor` for the next page; `null` on the last. */
  next: string | null
}

/** An unbroken run of frames. */
export type Shot = Span

/** A frame that stands for a part of a shot. */
export interface Keyframe {
  time_us: number
  shot: number
  quality: number
  thumbnail: string | null
  picture?: string | null
}

/** A cue of subtitles, or a phrase. */
export interface Segment extends Span {
  text: string
  words?: Word[]
  speaker?: string | null
  language?: string | null
  no_speech_probability?: number | null
}

/** What is searched: a shot, or a part of a long one. */
export interface Scene extends Span {
  ordinal: number
  shot: number
  speech: string
  words: Word[]
  texts?: Record<string, string>
  tags?: Tag[]
}

/** The facts of a media file. */
export interface MediaInfo {
  container: string
  size_bytes: number
  start: number
  declared_duration: number | null
  bit_rate: number | null
  streams: Array<{ type: string; [fact: string]: unknown }>
  chapters: Array<Record<string, unknown>>
  tags: Record<string, string>
}

/** A video of a library. */
export interface Video {
  id: string
  source: string
  title: string
  description: string
  fingerprint: string
  duration_us: number
  media: MediaInfo
  language: string | null
  created_at: string | null
  warnings: string[]
  settings: Record<string, string>
  state: string
}

/** All that the index holds of a video, but the vectors. */
export interface IndexedVideo {
  video: Video
  shots: Shot[]
  keyframes: Keyframe[]
  transcript: unknown
  segments: Segment[]
  scenes: Scene[]
  spaces: Array<Record<string, unknown>>
}

/** How a stage of indexing went. */
export interface StageRecord {
  stage: string
  state: string
  started_us: number | null
  ended_us: number | null
  reused: boolean
  error_kind: string | null
  error: string | null
}

/** What indexing a video did. */
export interface IndexReport {
  id: string
  title: string
  outcome: 'indexed' | 'up_to_date'
  duration_us: number
  shots: number
  keyframes: number
  scenes: number
  segments: number | null
  /** What a speech model gave and was not believed, by reason. */
  dropped?: Record<string, number>
  warnings: string[]
  stages: StageRecord[]
  seconds: number
}

/** How far the work on one video is. Never goes backwards. */
export interface Progress {
  stage: string
  stage_fraction: number
  fraction: number
}

/** How far a file of a model is. */
export interface PullProgress {
  model: string
  file: string
  bytes: number
  total: number
}

/** A known model, and what is on this machine of it. */
export interface ListedModel {
  model: { name: string; repo: string; [fact: string]: unknown }
  path: string | null
  bytes: number
  problem: string | null
}

/** All that is said in a track. */
export interface Transcript {
  /** Where it comes from, and what a model gave that was not believed. */
  source: { kind: 'file' | 'embedded' | 'speech'; [fact: string]: unknown }
  language: string | null
  /** In order of start. */
  segments: Segment[]
}

/** What the sound of a file gave. */
export interface Transcribed {
  /** What is said; empty without any speech. */
  transcript: Transcript
  media: MediaInfo
  /** What was missing or damaged. */
  warnings: string[]
}

/** How far a switch of models is. */
export interface SwitchProgress {
  /** Title of the video in work. */
  title: string
  /** Videos that are done, of `videos`. */
  done: number
  videos: number
  /** How far the whole is, 0 to 1; never goes backwards. */
  fraction: number
}

/** What a switch of models did. */
export interface SwitchReport {
  /** Videos that the new models looked at. */
  videos: number
  /** Videos that an earlier, interrupted switch to the same models had done. */
  kept: number
}

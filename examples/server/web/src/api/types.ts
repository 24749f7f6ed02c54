// What the server sends and takes, in its own names.

export interface User {
  id: string
  email: string | null
  created_at: string
}

export interface SessionTokens {
  user: User
  access_token: string
  refresh_token: string
  /** Seconds until the access token ends. */
  expires_in: number
}

export interface Quota {
  videos: number
  bytes: number
  max_videos: number
  max_bytes: number
}

export interface Me {
  user: User
  quota: Quota
}

export interface AuthConfig {
  mode: 'local' | 'external'
  max_upload_bytes: number
}

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: string
  field?: string
  request_id?: string
}

export type VideoState = 'uploading' | 'validating' | 'processing' | 'indexed' | 'failed' | 'deleted'
export type StageState = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled'

export interface Stage {
  stage: string
  state: StageState
  started_us: number | null
  ended_us: number | null
  reused: boolean
  error_kind: string | null
  error: string | null
  /** How much of it is done, 0 to 1. */
  fraction: number
}

export interface Progress {
  stage: string
  stage_fraction: number
  fraction: number
}

/** The part of a video that changes while it is worked on. */
export interface VideoStatus {
  id: string
  state: VideoState
  searchable: boolean
  progress: Progress | null
  stages: Stage[]
  job: { state: 'queued' | 'running' | 'done' | 'dead' | 'cancelled'; failures: number } | null
  error: { kind: string | null; message: string } | null
}

export interface Video extends VideoStatus {
  title: string
  description: string
  name: string
  content_type: string
  bytes: number
  uploaded_at: string
  duration_us: number
  language: string | null
  created_at: string | null
  warnings: string[]
  thumbnail_url: string | null
}

export interface VideoList {
  videos: Video[]
  next: string | null
  total: number
}

/** The request that sends a part of a file. */
export interface PartRequest {
  number: number
  bytes: number
  url: string
  method: string
  headers: Record<string, string>
  expires_at: string
}

export interface UploadPlan {
  video_id: string
  part_bytes: number
  parts: PartRequest[]
}

export interface UploadState {
  video_id: string
  bytes: number
  part_bytes: number
  /** All is there and was accepted. */
  completed: boolean
  parts: { number: number; bytes: number; done: boolean; etag?: string; request?: PartRequest }[]
}

export interface Playback {
  url: string
  expires_at: string
}

export interface Word {
  text: string
  start_us: number
  end_us: number
  probability?: number
}

export interface Tag {
  label: string
  names?: string[]
  score: number
}

export interface SceneId {
  video: string
  ordinal: number
}

export interface Scene {
  id: SceneId
  ordinal: number
  start_us: number
  end_us: number
  shot: number
  speech: string
  words: Word[]
  tags: Tag[]
  thumbnail_url: string | null
}

export interface SceneList {
  scenes: Scene[]
  next: number | null
}

export interface Segment {
  start_us: number
  end_us: number
  text: string
  words: Word[]
  speaker?: string
  language?: string
}

export interface Transcript {
  /** Null when nothing looked for words. */
  source: unknown
  language: string | null
  segments: Segment[]
}

export interface Filter {
  videos?: string[]
  within?: { start_us: number; end_us: number } | null
  min_duration_us?: number | null
  max_duration_us?: number | null
  created_from?: string | null
  created_before?: string | null
  languages?: string[]
  tags?: string[]
}

export interface SearchRequest {
  query?: string
  filter?: Filter
  limit?: number
  cursor?: string | null
  per_video?: number | null
  like?: SceneId | null
  image?: string | null
  explain?: boolean
}

export interface ChannelScore {
  channel: string
  rank: number
  score: number
}

export interface Hit {
  scene: SceneId
  video: { title: string; source: string; duration_us: number }
  start_us: number
  end_us: number
  moment_us: number
  text: string
  matched_words: Word[]
  tags?: Tag[]
  score: number
  channels?: ChannelScore[]
  thumbnail_url: string | null
  playback: Playback & { moment_us: number }
}

export interface SearchPage {
  hits: Hit[]
  total: number
  next: string | null
}

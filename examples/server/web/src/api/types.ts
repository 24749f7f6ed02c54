// What the server sends and takes, in its own names.

export interface User {
  id: string
  email: string
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

export interface Me extends User {
  quota: Quota
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
  progress?: number | null
  error?: string | null
  reused?: boolean
}

export interface Video {
  id: string
  title: string
  description: string
  duration_us: number
  language: string | null
  created_at: string | null
  uploaded_at?: string
  bytes?: number
  name?: string
  warnings: string[]
  state: VideoState
  stages: Stage[]
  progress?: number | null
  error?: string | null
  thumbnail_url?: string | null
}

/** The part of a video that changes while it is worked on. */
export type VideoStatus = Pick<Video, 'id' | 'state' | 'stages'> & Partial<Video>

export interface VideoList {
  videos: Video[]
  next: string | null
  total: number
}

export interface UploadPart {
  number: number
  bytes?: number
  etag?: string | null
  url?: string | null
  method?: string
  headers?: Record<string, string>
  expires_at?: string
}

export interface Upload {
  video_id: string
  part_bytes: number
  parts: UploadPart[]
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
  ordinal: number
  start_us: number
  end_us: number
  shot: number
  speech: string
  words: Word[]
  tags?: Tag[]
  thumbnail_url?: string | null
}

export interface Segment {
  start_us: number
  end_us: number
  text: string
  words: Word[]
  speaker?: string
  language?: string
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
  thumbnail_url?: string | null
}

export interface SearchPage {
  hits: Hit[]
  total: number
  next: string | null
}

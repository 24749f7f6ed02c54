-- Videos to index. A job is written in the transaction that lists its video.
CREATE TABLE jobs (
    library_id   uuid NOT NULL REFERENCES libraries ON DELETE CASCADE,
    job_id       bigint GENERATED ALWAYS AS IDENTITY,
    video_id     uuid NOT NULL,
    -- What to index and how, as JSON.
    task         text NOT NULL,
    -- queued, running, done, dead or cancelled.
    state        text NOT NULL DEFAULT 'queued',
    -- How often it failed, and how often its worker was lost.
    failures     integer NOT NULL DEFAULT 0,
    losses       integer NOT NULL DEFAULT 0,
    -- Not before this.
    run_at       timestamptz NOT NULL DEFAULT now(),
    -- Who has it, by which hold, and until when without a word.
    worker       text,
    hold         uuid,
    leased_until timestamptz,
    -- Somebody asked for its end.
    cancelled    boolean NOT NULL DEFAULT false,
    error_kind   text,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (library_id, job_id)
);

-- A video is asked for once at a time.
CREATE UNIQUE INDEX jobs_open ON jobs (library_id, video_id) WHERE state IN ('queued', 'running');

CREATE INDEX jobs_to_take ON jobs (run_at, job_id) WHERE state IN ('queued', 'running');

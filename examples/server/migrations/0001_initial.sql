-- What the server keeps beside the index, in a schema of its own. A user's id is also the id of their
-- library in the schema `heimdex`.

CREATE TABLE server.users (
    user_id    uuid PRIMARY KEY,
    -- Lower case. Null for accounts of another issuer that name none.
    email      text UNIQUE,
    -- Who an outside issuer says this is: ISSUER SUBJECT.
    subject    text UNIQUE,
    -- argon2id, in PHC form. Null for accounts of another issuer.
    password   text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A sign-in and all tokens that follow from it: the family that is revoked when one is used twice.
CREATE TABLE server.sessions (
    session_id uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES server.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE INDEX sessions_of_user ON server.sessions (user_id);

CREATE TABLE server.refresh_tokens (
    -- BLAKE3 of the token; the token itself is kept nowhere.
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES server.sessions ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX refresh_tokens_of_session ON server.refresh_tokens (session_id);

-- What people brought, from the first word about it on. The index of it is in `heimdex.videos`, under
-- the same id, from its completion on.
CREATE TABLE server.videos (
    user_id      uuid NOT NULL REFERENCES server.users ON DELETE CASCADE,
    video_id     uuid NOT NULL UNIQUE,
    -- What the index calls it.
    source       text NOT NULL,
    name         text NOT NULL,
    content_type text NOT NULL,
    bytes        bigint NOT NULL,
    part_bytes   bigint NOT NULL,
    -- The upload's name in the bucket, where it has several parts.
    multipart    text,
    title        text NOT NULL,
    description  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- When all of it was there; null while it is on the way.
    completed_at timestamptz,
    PRIMARY KEY (user_id, video_id)
);

CREATE INDEX videos_by_time ON server.videos (user_id, created_at DESC, video_id DESC);

CREATE INDEX videos_on_the_way ON server.videos (created_at) WHERE completed_at IS NULL;

-- Files of videos that are gone and still to be deleted.
CREATE TABLE server.leftovers (
    video_id  uuid PRIMARY KEY,
    multipart text,
    since     timestamptz NOT NULL DEFAULT now()
);

-- What matters afterwards: who did it, from where, and what it was. Kept when the user is gone.
CREATE TABLE server.events (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    kind       text NOT NULL,
    user_id    uuid,
    address    text,
    request_id uuid,
    detail     jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX events_of_user ON server.events (user_id, event_id);

-- Attempts within a window, counted for all processes together.
CREATE TABLE server.rate_limits (
    key        text PRIMARY KEY,
    ends_at    timestamptz NOT NULL,
    attempts   integer NOT NULL
);

-- Values that all processes share, such as the secret where none is configured.
CREATE TABLE server.settings (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- Everything is in the schema `heimdex`, which is made before; `vector` may be there already.
CREATE EXTENSION IF NOT EXISTS vector;

-- Times are microseconds from the first instant a player shows. JSON is text, kept to the byte.

CREATE TABLE libraries (
    library_id uuid PRIMARY KEY,
    -- How many texts the library holds and how many tokens these have: what BM25 follows from.
    texts      bigint NOT NULL DEFAULT 0,
    tokens     bigint NOT NULL DEFAULT 0
);

CREATE TABLE videos (
    library_id  uuid NOT NULL REFERENCES libraries ON DELETE CASCADE,
    video_id    uuid NOT NULL,
    source      text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    fingerprint text NOT NULL,
    duration_us bigint NOT NULL,
    media       text NOT NULL,
    language    text,
    created_at  text,
    -- The same in milliseconds from 1970, to filter by; null when it is no date.
    created_ms  bigint,
    warnings    text NOT NULL,
    settings    text NOT NULL,
    state       text NOT NULL,
    -- Whether an index is there to be searched; a placeholder has none.
    searchable  boolean NOT NULL,
    -- Where the words come from, as JSON; null when nothing looked for any.
    transcript  text,
    -- Spaces of the vectors, as JSON.
    spaces      text NOT NULL,
    PRIMARY KEY (library_id, video_id)
);

CREATE TABLE shots (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    start_us   bigint NOT NULL,
    end_us     bigint NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE TABLE keyframes (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    time_us    bigint NOT NULL,
    shot       integer NOT NULL,
    quality    real NOT NULL,
    thumbnail  text,
    picture    text,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE TABLE segments (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    -- Span, text, words and what a recogniser said of them, as JSON.
    segment    text NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE TABLE scenes (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    start_us   bigint NOT NULL,
    end_us     bigint NOT NULL,
    shot       integer NOT NULL,
    speech     text NOT NULL,
    -- Words with their times, as JSON.
    words      text NOT NULL,
    -- Texts of other channels by name, as JSON.
    texts      text NOT NULL,
    -- Tags with their names and scores, as JSON.
    tags       text NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

-- Every name of every tag of a scene, as analyzed tokens with one space between them.
CREATE TABLE tags (
    library_id uuid NOT NULL,
    tag        text COLLATE "C" NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    label      text NOT NULL,
    score      double precision NOT NULL,
    PRIMARY KEY (library_id, tag, video_id, ordinal, label),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE INDEX tags_of_video ON tags (library_id, video_id, ordinal);

-- A text of a scene, or of a whole video (ordinal -1).
CREATE TABLE texts (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    channel    text NOT NULL,
    -- How many tokens.
    length     integer NOT NULL,
    -- Analyzed tokens in order, each with a space before and behind it: what is counted.
    tokens     text NOT NULL,
    -- The same once each, as lexemes that begin with the library and the kind of channel, so that
    -- what one library holds slows no other: what is looked up.
    lexemes    tsvector NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal, channel),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE INDEX texts_by_lexeme ON texts USING gin (lexemes) WITH (fastupdate = off);

-- The embedding spaces of a library. One that is large has an index of its own on its vectors,
-- vectors_<space_id>, made outside any transaction.
CREATE TABLE spaces (
    library_id uuid NOT NULL REFERENCES libraries ON DELETE CASCADE,
    space_id   integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    space      text NOT NULL,
    -- What makes its vectors, as JSON.
    spec       text NOT NULL,
    dim        integer NOT NULL,
    -- Whether it is searched. One that is not is being filled beside one that is.
    active     boolean NOT NULL,
    PRIMARY KEY (library_id, space_id),
    UNIQUE (library_id, space)
);

-- What other models made of a video, until the library switches to them; the vectors are in spaces that
-- are not active.
CREATE TABLE staged (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    settings   text NOT NULL,
    spaces     text NOT NULL,
    -- Tags of each scene in order, as JSON.
    tags       text NOT NULL,
    PRIMARY KEY (library_id, video_id),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
);

CREATE TABLE vectors (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    ordinal    integer NOT NULL,
    space_id   integer NOT NULL,
    -- Its place among the vectors of the scene.
    position   integer NOT NULL,
    -- What it was made from, as JSON.
    origin     text NOT NULL,
    time_us    bigint NOT NULL,
    -- Unit length.
    embedding  vector NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal, space_id, position),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE,
    FOREIGN KEY (library_id, space_id) REFERENCES spaces
-- Vectors of which two fit on a page stay in their rows: looking at each is several times as fast.
) WITH (toast_tuple_target = 4040);

CREATE INDEX vectors_of_space ON vectors (library_id, space_id, video_id);

CREATE TABLE stages (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    stage      text NOT NULL,
    position   integer NOT NULL,
    state      text NOT NULL,
    started_us bigint,
    ended_us   bigint,
    reused     boolean NOT NULL,
    error_kind text,
    error      text,
    PRIMARY KEY (library_id, video_id, stage)
);

-- Outputs of stages, kept from run to run under a hash of all they follow from.
CREATE TABLE checkpoints (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    stage      text NOT NULL,
    key        text NOT NULL,
    output     bytea NOT NULL,
    PRIMARY KEY (library_id, video_id, stage)
);

-- Thumbnails and pictures that no index names any more and that are still to be deleted.
CREATE TABLE leftovers (
    library_id uuid NOT NULL,
    video_id   uuid NOT NULL,
    file       text NOT NULL,
    PRIMARY KEY (library_id, video_id, file)
);

-- "HMDX": whose file this is.
PRAGMA application_id = 1213023320;

-- Times are microseconds from the first instant a player shows. Ids are 16 bytes. JSON is text.

CREATE TABLE videos (
    library_id     BLOB NOT NULL,
    video_id       BLOB NOT NULL,
    source         TEXT NOT NULL,
    title          TEXT NOT NULL,
    description    TEXT NOT NULL,
    fingerprint    TEXT NOT NULL,
    duration_us    INTEGER NOT NULL,
    media          TEXT NOT NULL,
    language       TEXT,
    created_at     TEXT,
    warnings       TEXT NOT NULL,
    settings       TEXT NOT NULL,
    state          TEXT NOT NULL,
    -- Whether an index is there to be searched; a placeholder has none.
    searchable     INTEGER NOT NULL,
    -- Where the words come from, as JSON; null when nothing looked for any.
    transcript     TEXT,
    -- Spaces of the vectors, as JSON.
    spaces         TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shots (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    start_us   INTEGER NOT NULL,
    end_us     INTEGER NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE keyframes (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    time_us    INTEGER NOT NULL,
    shot       INTEGER NOT NULL,
    quality    REAL NOT NULL,
    thumbnail  TEXT,
    picture    TEXT,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    -- Span, text, words and what a recogniser said of them, as JSON.
    segment    TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE scenes (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    start_us   INTEGER NOT NULL,
    end_us     INTEGER NOT NULL,
    shot       INTEGER NOT NULL,
    speech     TEXT NOT NULL,
    -- Words with their times, as JSON.
    words      TEXT NOT NULL,
    -- Texts of other channels by name, as JSON.
    texts      TEXT NOT NULL,
    -- Tags with their names and scores, as JSON.
    tags       TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id, ordinal),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Every name of every tag of a scene, as analyzed tokens with one space between them.
CREATE TABLE tags (
    library_id BLOB NOT NULL,
    tag        TEXT NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    label      TEXT NOT NULL,
    score      REAL NOT NULL,
    PRIMARY KEY (library_id, tag, video_id, ordinal, label),
    FOREIGN KEY (library_id, video_id, ordinal) REFERENCES scenes ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_of_scene ON tags (library_id, video_id, ordinal);

-- Libraries that hold texts. The number names the full-text table.
CREATE TABLE libraries (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    library_id BLOB NOT NULL UNIQUE
) STRICT;

-- What stands behind a row of a full-text table: a scene, or a whole video (ordinal null).
CREATE TABLE texts (
    text_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER,
    channel    TEXT NOT NULL,
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT;

CREATE INDEX texts_of_video ON texts (library_id, video_id);

-- The pattern of a full-text table: each library has its own, text_index_<number>, because scores
-- follow from all texts of a table and what one library holds is no matter of another. Analyzed
-- tokens with one space between them, in the column of their channel. Of a channel of one's own they
-- are in `other`, and `channel` tells which, as one token. Tokens hold letters, digits and marks
-- only, so the tokenizer splits them at spaces alone. A row goes before its row of `texts` does.
CREATE VIRTUAL TABLE text_index USING fts5 (
    channel, speech, title, other,
    content = '', contentless_delete = 1,
    tokenize = 'ascii'
);

CREATE TABLE spaces (
    space_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    library_id BLOB NOT NULL,
    space      TEXT NOT NULL,
    -- What makes its vectors, as JSON.
    spec       TEXT NOT NULL,
    dim        INTEGER NOT NULL,
    -- Whether it is searched. One that is not is being filled beside one that is.
    active     INTEGER NOT NULL,
    UNIQUE (library_id, space)
) STRICT;

-- What other models made of a video, until the library switches to them; the vectors are in spaces that
-- are not active.
CREATE TABLE staged (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    settings   TEXT NOT NULL,
    spaces     TEXT NOT NULL,
    -- Tags of each scene in order, as JSON.
    tags       TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE vectors (
    vector_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    ordinal    INTEGER NOT NULL,
    space_id   INTEGER NOT NULL REFERENCES spaces,
    -- What it was made from, as JSON.
    origin     TEXT NOT NULL,
    time_us    INTEGER NOT NULL,
    -- Little-endian 32-bit floats, unit length.
    vector     BLOB NOT NULL,
    FOREIGN KEY (library_id, video_id, ordinal) REFERENCES scenes ON DELETE CASCADE
) STRICT;

CREATE INDEX vectors_of_video ON vectors (library_id, video_id, ordinal);

-- The codes of a video's vectors in a space: what a search scans. One row a video, so that reading
-- them does not read the vectors.
CREATE TABLE codes (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    space_id   INTEGER NOT NULL REFERENCES spaces,
    codes      BLOB NOT NULL,
    PRIMARY KEY (library_id, space_id, video_id),
    FOREIGN KEY (library_id, video_id) REFERENCES videos ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Which videos changed, in order: a process that keeps codes in memory reads what is new.
CREATE TABLE changes (
    change_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL
) STRICT;

CREATE TABLE stages (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    stage      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    state      TEXT NOT NULL,
    started_us INTEGER,
    ended_us   INTEGER,
    reused     INTEGER NOT NULL,
    error_kind TEXT,
    error      TEXT,
    PRIMARY KEY (library_id, video_id, stage)
) STRICT, WITHOUT ROWID;

-- Outputs of stages, kept from run to run under a hash of all they follow from.
CREATE TABLE checkpoints (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    stage      TEXT NOT NULL,
    key        TEXT NOT NULL,
    output     BLOB NOT NULL,
    PRIMARY KEY (library_id, video_id, stage)
) STRICT, WITHOUT ROWID;

-- Thumbnails and pictures that no index names any more and that are still to be deleted.
CREATE TABLE leftovers (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    file       TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id, file)
) STRICT, WITHOUT ROWID;

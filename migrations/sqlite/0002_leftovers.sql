-- Thumbnails and pictures that no index names any more and that are still to be deleted.
CREATE TABLE leftovers (
    library_id BLOB NOT NULL,
    video_id   BLOB NOT NULL,
    file       TEXT NOT NULL,
    PRIMARY KEY (library_id, video_id, file)
) STRICT, WITHOUT ROWID;

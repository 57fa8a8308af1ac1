-- What the sync worker and the importers remember.

CREATE TABLE sync_conflicts (
    id                TEXT NOT NULL PRIMARY KEY,
    session_id        TEXT NOT NULL,
    entity_type       TEXT NOT NULL,
    entity_id         TEXT NOT NULL,
    local_payload     TEXT NOT NULL,
    remote_payload    TEXT NOT NULL,
    local_updated_at  TEXT NOT NULL,
    remote_updated_at TEXT NOT NULL,
    winner            TEXT NOT NULL CHECK (winner IN ('local', 'remote')),
    detected_at       TEXT NOT NULL,
    reviewed_at       TEXT
) STRICT;

CREATE INDEX sync_conflicts_by_time ON sync_conflicts (detected_at, id);
CREATE INDEX sync_conflicts_unreviewed ON sync_conflicts (detected_at) WHERE reviewed_at IS NULL;

-- One row a drain or a change of state, oldest dropped first.
CREATE TABLE sync_log (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    at               TEXT NOT NULL,
    event            TEXT NOT NULL,
    state            TEXT NOT NULL,
    message          TEXT NOT NULL,
    synced           INTEGER NOT NULL DEFAULT 0,
    duplicates       INTEGER NOT NULL DEFAULT 0,
    superseded       INTEGER NOT NULL DEFAULT 0,
    conflicts        INTEGER NOT NULL DEFAULT 0,
    failed           INTEGER NOT NULL DEFAULT 0,
    pulled           INTEGER NOT NULL DEFAULT 0,
    duration_ms      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- At most one row: who drains this workspace, and until when that is believed.
CREATE TABLE sync_lease (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    token        TEXT NOT NULL,
    holder       TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    mode         TEXT NOT NULL,
    state        TEXT NOT NULL,
    acquired_at  TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    expires_at   TEXT NOT NULL
) STRICT;

CREATE TABLE ingest_files (
    path          TEXT NOT NULL PRIMARY KEY,
    format        TEXT NOT NULL,
    inode         INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    offset        INTEGER NOT NULL,
    head_hash     TEXT NOT NULL,
    session_ids   TEXT NOT NULL,
    skipped_lines INTEGER NOT NULL,
    imported_at   TEXT NOT NULL,
    state         BLOB NOT NULL
) STRICT;

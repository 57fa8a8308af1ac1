-- What the sync worker and the importers remember; the search index.

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

-- Records that may have been sent: no later write folds into them.
CREATE TABLE outbox_claims (
    record_id INTEGER NOT NULL PRIMARY KEY
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
    state         BLOB NOT NULL,
    -- What the importer needs to read on after the last line. Last, since only a file that grew is asked for it.
    resume        BLOB NOT NULL
) STRICT;

-- The search index. Everything below is derived from the rows, follows them in batches, and is made again by
-- `db search rebuild`.

-- The words of documents, and nothing else: no text, no positions. Python makes the words, FTS5 only separates them. A
-- document is never removed: FTS5 would have to be given its text. One without a row in search_documents is ignored.
CREATE VIRTUAL TABLE search_index USING fts5 (
    body, content = '', columnsize = 0, detail = none, tokenize = 'ascii', prefix = '2 3'
);

-- In how many documents each word is; a view that stores nothing.
CREATE VIRTUAL TABLE search_terms USING fts5vocab (search_index, row);

-- A document: consecutive rows of one session, by rowid from "first" on with "more" behind it in each table. Rows of
-- other sessions may lie between them. It is stale where one of them has changed since, so that a word may be gone.
CREATE TABLE search_documents (
    id             INTEGER NOT NULL PRIMARY KEY,
    session        INTEGER NOT NULL,
    has_session    INTEGER NOT NULL,
    first_task     INTEGER,
    more_tasks     INTEGER,
    first_step     INTEGER,
    more_steps     INTEGER,
    first_call     INTEGER,
    more_calls     INTEGER,
    first_artifact INTEGER,
    more_artifacts INTEGER,
    stale          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX search_documents_by_session ON search_documents (session);
CREATE INDEX search_documents_stale ON search_documents (session) WHERE stale;

-- How far each table is indexed: the last rowid, and that row's id, so that renumbered rows are noticed. And the form
-- of the index.
CREATE TABLE search_marks (
    kind   TEXT NOT NULL PRIMARY KEY,
    upto   INTEGER NOT NULL,
    row_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO search_marks (kind, upto, row_id) VALUES
    ('format', 1, ''), ('session', 0, ''), ('session_task', 0, ''), ('step', 0, ''), ('tool_call', 0, ''), ('artifact', 0, '');

-- Rows that were indexed before their text changed. Where it is rewritten, words may be gone; else there are only more.
CREATE TABLE search_changes (
    kind      TEXT NOT NULL,
    row       INTEGER NOT NULL,
    rewritten INTEGER NOT NULL,
    PRIMARY KEY (kind, row)
) STRICT, WITHOUT ROWID;

-- What filters ask of a session, by its rowid.
CREATE TABLE session_facts (
    session           INTEGER NOT NULL PRIMARY KEY,
    agent             TEXT,
    project           TEXT,
    models            TEXT,
    branch            TEXT,
    parent_session_id TEXT,
    resumable         INTEGER NOT NULL,
    failed_calls      INTEGER NOT NULL,
    first_at          TEXT NOT NULL,
    last_at           TEXT NOT NULL
) STRICT;

CREATE INDEX session_facts_by_agent ON session_facts (agent) WHERE agent IS NOT NULL;
CREATE INDEX session_facts_by_project ON session_facts (project) WHERE project IS NOT NULL;
CREATE INDEX session_facts_by_models ON session_facts (models) WHERE models IS NOT NULL;
CREATE INDEX session_facts_by_branch ON session_facts (branch) WHERE branch IS NOT NULL;
CREATE INDEX session_facts_with_failures ON session_facts (session) WHERE failed_calls > 0;
CREATE INDEX session_facts_by_parent ON session_facts (parent_session_id) WHERE parent_session_id IS NOT NULL;

-- Sessions, their events, tasks, steps and tool calls; the outbox; the workspace's own facts.

PRAGMA application_id = 1094930244; -- "ACOD"

CREATE TABLE workspace_meta (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id               TEXT NOT NULL PRIMARY KEY,
    task_description TEXT NOT NULL,
    state            TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    metadata         TEXT,
    user_id          TEXT,
    workspace_id     TEXT NOT NULL,
    sync_version     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A page is a merge of one range per state, so every index that serves pages carries the state. Columns behind the id
-- are there to be filtered by without a look at the row.
CREATE INDEX sessions_by_state ON sessions (state, updated_at, id, workspace_id);
CREATE INDEX sessions_by_user ON sessions (user_id, state, updated_at, id, workspace_id);
-- Without the stamp, which every recorded call moves: nearly all sessions of a file are of one workspace.
CREATE INDEX sessions_by_workspace ON sessions (workspace_id);
CREATE INDEX sessions_by_creation ON sessions (created_at, id, state, user_id, workspace_id);

CREATE TABLE session_events (
    id         TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    timestamp  TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX session_events_by_session ON session_events (session_id, timestamp, id);

-- INSERT OR REPLACE deletes the row that is there, and delete triggers do not fire for that.
CREATE TRIGGER session_events_no_replace BEFORE INSERT ON session_events
WHEN EXISTS (SELECT 1 FROM session_events WHERE id = new.id)
BEGIN
    SELECT raise(ABORT, 'session_events is append-only');
END;

CREATE TRIGGER session_events_no_update BEFORE UPDATE ON session_events
BEGIN
    SELECT raise(ABORT, 'session_events is append-only');
END;

CREATE TRIGGER session_events_no_delete BEFORE DELETE ON session_events
BEGIN
    SELECT raise(ABORT, 'session_events is append-only');
END;

CREATE TABLE session_tasks (
    id           TEXT NOT NULL PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    title        TEXT NOT NULL,
    description  TEXT,
    state        TEXT NOT NULL,
    "order"      INTEGER NOT NULL CHECK ("order" >= 0),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    metadata     TEXT,
    sync_version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX session_tasks_by_session ON session_tasks (session_id, "order", state);

CREATE TABLE steps (
    id           TEXT NOT NULL PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    task_id      TEXT NOT NULL REFERENCES session_tasks (id),
    name         TEXT NOT NULL,
    description  TEXT,
    state        TEXT NOT NULL,
    "order"      INTEGER NOT NULL CHECK ("order" >= 0),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    metadata     TEXT,
    sync_version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX steps_by_session ON steps (session_id);
CREATE INDEX steps_by_task ON steps (task_id, "order");

CREATE TABLE tool_calls (
    id            TEXT NOT NULL PRIMARY KEY,
    session_id    TEXT NOT NULL REFERENCES sessions (id),
    step_id       TEXT NOT NULL REFERENCES steps (id),
    tool_name     TEXT NOT NULL,
    parameters    TEXT NOT NULL,
    state         TEXT NOT NULL,
    "order"       INTEGER NOT NULL CHECK ("order" >= 0),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    completed_at  TEXT,
    result        TEXT,
    error_message TEXT,
    sync_version  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The name, so that a search sees which tools a session used without a look at its calls.
CREATE INDEX tool_calls_by_session ON tool_calls (session_id, tool_name);
CREATE INDEX tool_calls_by_step ON tool_calls (step_id, "order");

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT NOT NULL UNIQUE,
    session_id      TEXT NOT NULL,
    entity_type     TEXT NOT NULL CHECK (
        entity_type IN ('session', 'session_event', 'session_task', 'step', 'tool_call', 'artifact')
    ),
    entity_id       TEXT NOT NULL,
    operation       TEXT NOT NULL,
    payload         TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    processed_at    TEXT,
    outcome         TEXT,
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT,
    failed_at       TEXT,
    last_error      TEXT
) STRICT;

-- Partial indexes: their size follows the backlog, not the history. Each ends in the id of itself.
CREATE INDEX outbox_pending ON outbox (created_at) WHERE processed_at IS NULL;
CREATE INDEX outbox_lane ON outbox (session_id) WHERE processed_at IS NULL;
CREATE INDEX outbox_refused ON outbox (session_id, failed_at, next_attempt_at) WHERE processed_at IS NULL AND attempts > 0;
CREATE INDEX outbox_processed ON outbox (processed_at) WHERE processed_at IS NOT NULL;

-- Exact totals by state, so that "page 1 of 812" costs nothing at a million sessions.
CREATE TABLE session_totals (
    state    TEXT NOT NULL PRIMARY KEY,
    sessions INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER session_totals_insert AFTER INSERT ON sessions
BEGIN
    INSERT INTO session_totals (state, sessions) VALUES (new.state, 1)
    ON CONFLICT (state) DO UPDATE SET sessions = sessions + 1;
END;

CREATE TRIGGER session_totals_update AFTER UPDATE OF state ON sessions WHEN old.state <> new.state
BEGIN
    UPDATE session_totals SET sessions = sessions - 1 WHERE state = old.state;
    INSERT INTO session_totals (state, sessions) VALUES (new.state, 1)
    ON CONFLICT (state) DO UPDATE SET sessions = sessions + 1;
END;

CREATE TRIGGER session_totals_delete AFTER DELETE ON sessions
BEGIN
    UPDATE session_totals SET sessions = sessions - 1 WHERE state = old.state;
END;

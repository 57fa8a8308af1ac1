-- Contents: prompts, a model's own words, and what tool calls read and made. Stored once, immutable.

CREATE TABLE artifacts (
    id           TEXT NOT NULL PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    -- The task always; the step and the tool call where the content hangs on one.
    task_id      TEXT NOT NULL REFERENCES session_tasks (id),
    step_id      TEXT REFERENCES steps (id),
    tool_call_id TEXT REFERENCES tool_calls (id) CHECK (tool_call_id IS NULL OR step_id IS NOT NULL),
    type         TEXT NOT NULL,
    name         TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    -- Last, so that reading the columns before it never walks the content's overflow pages. Shorter than `size` where
    -- it is compressed (zlib).
    content      BLOB NOT NULL
) STRICT;

CREATE INDEX artifacts_by_session ON artifacts (session_id);
CREATE INDEX artifacts_by_task ON artifacts (task_id);
CREATE INDEX artifacts_by_step ON artifacts (step_id) WHERE step_id IS NOT NULL;
CREATE INDEX artifacts_by_tool_call ON artifacts (tool_call_id) WHERE tool_call_id IS NOT NULL;

CREATE TRIGGER artifacts_no_replace BEFORE INSERT ON artifacts
WHEN EXISTS (SELECT 1 FROM artifacts WHERE id = new.id)
BEGIN
    SELECT raise(ABORT, 'artifacts are immutable');
END;

CREATE TRIGGER artifacts_no_update BEFORE UPDATE ON artifacts
BEGIN
    SELECT raise(ABORT, 'artifacts are immutable');
END;

CREATE TRIGGER artifacts_no_delete BEFORE DELETE ON artifacts
BEGIN
    SELECT raise(ABORT, 'artifacts are immutable');
END;

-- Contents: prompts, a model's own words, and what tool calls read and made. Stored once, never changed.

CREATE TABLE artifacts (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    -- The task always; the step and the tool call where the content hangs on one.
    task_id      uuid        NOT NULL,
    step_id      uuid,
    tool_call_id uuid        CHECK (tool_call_id IS NULL OR step_id IS NOT NULL),
    type         text        NOT NULL,
    name         text        NOT NULL,
    content_hash text        NOT NULL,
    content_type text        NOT NULL,
    size         bigint      NOT NULL CHECK (size >= 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    content      bytea       NOT NULL,
    workspace_id uuid        NOT NULL,
    change_seq   bigint      NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, id),
    FOREIGN KEY (session_id, task_id) REFERENCES session_tasks (session_id, id),
    FOREIGN KEY (session_id, step_id) REFERENCES steps (session_id, id),
    FOREIGN KEY (session_id, tool_call_id) REFERENCES tool_calls (session_id, id)
);

CREATE INDEX artifacts_by_task ON artifacts (session_id, task_id);
CREATE INDEX artifacts_by_tool_call ON artifacts (session_id, tool_call_id) WHERE tool_call_id IS NOT NULL;
CREATE INDEX artifacts_by_change ON artifacts (workspace_id, change_seq, id);
CREATE INDEX artifacts_by_id ON artifacts (id);

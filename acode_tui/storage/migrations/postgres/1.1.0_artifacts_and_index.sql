-- What tool calls read and made: content stored once, never changed.

CREATE TABLE artifacts (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    tool_call_id uuid        NOT NULL,
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
    FOREIGN KEY (session_id, tool_call_id) REFERENCES tool_calls (session_id, id)
);

CREATE INDEX artifacts_by_tool_call ON artifacts (session_id, tool_call_id);
CREATE INDEX artifacts_by_change ON artifacts (workspace_id, change_seq, id);
CREATE INDEX artifacts_by_id ON artifacts (id);

-- What makes a delivery count once, and what keeps both versions of a row that two machines changed.

-- One row a delivered record. The digest of what was sent tells a replay from another record under the same key.
CREATE TABLE sync_inbox (
    session_id      uuid        NOT NULL,
    idempotency_key text        NOT NULL,
    workspace_id    uuid        NOT NULL,
    payload_sha256  bytea       NOT NULL CHECK (length(payload_sha256) = 32),
    change_seq      bigint      NOT NULL,
    applied_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, idempotency_key)
);

CREATE TABLE sync_conflicts (
    id                uuid        NOT NULL,
    session_id        uuid        NOT NULL,
    entity_type       text        NOT NULL CHECK (
        entity_type IN ('session', 'session_event', 'session_task', 'step', 'tool_call', 'artifact')
    ),
    entity_id         uuid        NOT NULL,
    idempotency_key   text        NOT NULL,
    workspace_id      uuid        NOT NULL,
    local_payload     jsonb       NOT NULL,
    remote_payload    jsonb       NOT NULL,
    local_updated_at  timestamptz NOT NULL,
    remote_updated_at timestamptz NOT NULL,
    winner            text        NOT NULL CHECK (winner IN ('local', 'remote')),
    detected_at       timestamptz NOT NULL,
    reviewed_at       timestamptz,
    PRIMARY KEY (session_id, id)
);

CREATE INDEX sync_conflicts_by_key ON sync_conflicts (session_id, idempotency_key);
CREATE INDEX sync_conflicts_by_time ON sync_conflicts (detected_at, id);

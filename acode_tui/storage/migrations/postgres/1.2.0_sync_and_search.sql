-- What makes a delivery count once, what keeps both versions of a row that two machines changed, and the search index.

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

-- The words of a session's texts, and lexemes of its facts such as tool=bash. Derived from the rows, which stay the
-- authority. Rows are only ever added: each holds the words that a batch brought and that the session did not have yet,
-- so a batch costs what is new in it, however long the session is, and no word of a session stands here twice.
CREATE TABLE session_search (
    session_id   uuid     NOT NULL,
    workspace_id uuid     NOT NULL,
    change_seq   bigint   NOT NULL,
    -- A batch with more words than one tsvector holds makes several rows.
    part         integer  NOT NULL,
    document     tsvector NOT NULL,
    PRIMARY KEY (session_id, workspace_id, change_seq, part)
);

CREATE INDEX session_search_by_word ON session_search USING gin (document);

-- The team's copy of every workspace's runs: sessions, events, tasks, steps, tool calls.
--
-- Unqualified names: the migration sets search_path to the configured schema for its own transaction.
-- Every key begins with the session's id, so that a server which shards can keep a run's rows together.

-- One row a workspace. Its row lock puts the batches of that workspace's replicas in order;
-- another incarnation under the same id means that this database was reset or restored.
CREATE TABLE workspaces (
    id            uuid        NOT NULL PRIMARY KEY,
    change_seq    bigint      NOT NULL DEFAULT 0,
    incarnation   uuid        NOT NULL DEFAULT gen_random_uuid(),
    user_name     text        NOT NULL,
    host          text        NOT NULL,
    version       text        NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    id               uuid        NOT NULL PRIMARY KEY,
    task_description text        NOT NULL,
    state            text        NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    metadata         jsonb,
    user_id          text,
    workspace_id     uuid        NOT NULL,
    sync_version     bigint      NOT NULL DEFAULT 0,
    change_seq       bigint      NOT NULL,
    synced_at        timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX sessions_by_state ON sessions (state, updated_at, id);
CREATE INDEX sessions_by_update ON sessions (updated_at, id);
CREATE INDEX sessions_by_creation ON sessions (created_at, id);
CREATE INDEX sessions_by_change ON sessions (workspace_id, change_seq, id);

CREATE TABLE session_events (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    from_state   text        NOT NULL,
    to_state     text        NOT NULL,
    reason       text        NOT NULL,
    timestamp    timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    workspace_id uuid        NOT NULL,
    change_seq   bigint      NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, id)
);

CREATE INDEX session_events_by_session ON session_events (session_id, timestamp, id);
CREATE INDEX session_events_by_change ON session_events (workspace_id, change_seq, id);
CREATE INDEX session_events_by_id ON session_events (id);

CREATE TABLE session_tasks (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    title        text        NOT NULL,
    description  text,
    state        text        NOT NULL,
    "order"      bigint      NOT NULL CHECK ("order" >= 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    metadata     jsonb,
    sync_version bigint      NOT NULL DEFAULT 0,
    workspace_id uuid        NOT NULL,
    change_seq   bigint      NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, id)
);

CREATE INDEX session_tasks_by_change ON session_tasks (workspace_id, change_seq, id);
CREATE INDEX session_tasks_by_id ON session_tasks (id);

CREATE TABLE steps (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    task_id      uuid        NOT NULL,
    name         text        NOT NULL,
    description  text,
    state        text        NOT NULL,
    "order"      bigint      NOT NULL CHECK ("order" >= 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    metadata     jsonb,
    sync_version bigint      NOT NULL DEFAULT 0,
    workspace_id uuid        NOT NULL,
    change_seq   bigint      NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, id),
    FOREIGN KEY (session_id, task_id) REFERENCES session_tasks (session_id, id)
);

CREATE INDEX steps_by_task ON steps (session_id, task_id);
CREATE INDEX steps_by_change ON steps (workspace_id, change_seq, id);
CREATE INDEX steps_by_id ON steps (id);

CREATE TABLE tool_calls (
    id            uuid        NOT NULL,
    session_id    uuid        NOT NULL REFERENCES sessions (id),
    step_id       uuid        NOT NULL,
    tool_name     text        NOT NULL,
    parameters    jsonb       NOT NULL,
    state         text        NOT NULL,
    "order"       bigint      NOT NULL CHECK ("order" >= 0),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    completed_at  timestamptz,
    result        jsonb,
    error_message text,
    sync_version  bigint      NOT NULL DEFAULT 0,
    workspace_id  uuid        NOT NULL,
    change_seq    bigint      NOT NULL,
    synced_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, id),
    FOREIGN KEY (session_id, step_id) REFERENCES steps (session_id, id)
);

CREATE INDEX tool_calls_by_step ON tool_calls (session_id, step_id);
CREATE INDEX tool_calls_by_change ON tool_calls (workspace_id, change_seq, id);
CREATE INDEX tool_calls_by_id ON tool_calls (id);

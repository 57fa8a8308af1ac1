-- Rows are input to the programs that read them: the server keeps states, types, stamps and numbers within what a
-- program can read, and says who may write what.

-- Checks of values. NOT VALID: rows that were written before stay as they are and are not scanned; programs keep those
-- that break a check aside. Every expression is immutable, so a server that shards can evaluate it anywhere.

-- 2^62 leaves room to count on: no number of a row can be followed by one that a bigint does not hold.
ALTER TABLE workspaces
    ADD CONSTRAINT workspaces_numbers_sane CHECK (change_seq BETWEEN 0 AND 4611686018427387904) NOT VALID;

ALTER TABLE sessions
    ADD CONSTRAINT sessions_state_known CHECK (state IN (
        'Created', 'Planning', 'AwaitingApproval', 'Executing', 'Paused', 'Completed', 'Failed', 'Cancelled'
    )) NOT VALID;
ALTER TABLE sessions
    ADD CONSTRAINT sessions_stamps_finite CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE sessions
    ADD CONSTRAINT sessions_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
        AND sync_version BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE session_events
    ADD CONSTRAINT session_events_from_state_known CHECK (from_state IN (
        'Created', 'Planning', 'AwaitingApproval', 'Executing', 'Paused', 'Completed', 'Failed', 'Cancelled'
    )) NOT VALID;
ALTER TABLE session_events
    ADD CONSTRAINT session_events_to_state_known CHECK (to_state IN (
        'Created', 'Planning', 'AwaitingApproval', 'Executing', 'Paused', 'Completed', 'Failed', 'Cancelled'
    )) NOT VALID;
ALTER TABLE session_events
    ADD CONSTRAINT session_events_stamps_finite CHECK (
        timestamp >= '0001-01-01 00:00:00+00' AND timestamp < '9999-12-31 00:00:00+00'
        AND created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE session_events
    ADD CONSTRAINT session_events_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE session_tasks
    ADD CONSTRAINT session_tasks_state_known CHECK (state IN (
        'Pending', 'InProgress', 'Completed', 'Failed', 'Skipped'
    )) NOT VALID;
ALTER TABLE session_tasks
    ADD CONSTRAINT session_tasks_stamps_finite CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE session_tasks
    ADD CONSTRAINT session_tasks_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
        AND sync_version BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE steps
    ADD CONSTRAINT steps_state_known CHECK (state IN (
        'Pending', 'InProgress', 'Completed', 'Failed', 'Skipped'
    )) NOT VALID;
ALTER TABLE steps
    ADD CONSTRAINT steps_stamps_finite CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE steps
    ADD CONSTRAINT steps_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
        AND sync_version BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE tool_calls
    ADD CONSTRAINT tool_calls_state_known CHECK (state IN (
        'Pending', 'Executing', 'Succeeded', 'Failed', 'Cancelled'
    )) NOT VALID;
ALTER TABLE tool_calls
    ADD CONSTRAINT tool_calls_stamps_finite CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
        AND completed_at >= '0001-01-01 00:00:00+00' AND completed_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE tool_calls
    ADD CONSTRAINT tool_calls_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
        AND sync_version BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE artifacts
    ADD CONSTRAINT artifacts_type_known CHECK (type IN (
        'FileContent', 'FileWrite', 'FileDiff', 'CommandOutput', 'ModelResponse', 'SearchResult',
        'UserPrompt', 'Reasoning', 'Image'
    )) NOT VALID;
ALTER TABLE artifacts
    ADD CONSTRAINT artifacts_stamps_finite CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 00:00:00+00'
        AND updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;
ALTER TABLE artifacts
    ADD CONSTRAINT artifacts_numbers_sane CHECK (
        change_seq BETWEEN 0 AND 4611686018427387904
    ) NOT VALID;

ALTER TABLE sync_conflicts
    ADD CONSTRAINT sync_conflicts_stamps_finite CHECK (
        local_updated_at >= '0001-01-01 00:00:00+00' AND local_updated_at < '9999-12-31 00:00:00+00'
        AND remote_updated_at >= '0001-01-01 00:00:00+00' AND remote_updated_at < '9999-12-31 00:00:00+00'
        AND detected_at >= '0001-01-01 00:00:00+00' AND detected_at < '9999-12-31 00:00:00+00'
    ) NOT VALID;

-- Who may say it: `acode-tui db schema --dialect postgres` switches row-level security on, which compares this column.

-- The login that registered the workspace. NULL for one that was registered before this version: its owner is the login
-- that syncs it next or, where row-level security is on already, the one that an administrator names.
ALTER TABLE workspaces ADD COLUMN owner text;
-- A statement of its own: rows that exist get no default, which would be the login that migrates.
ALTER TABLE workspaces ALTER COLUMN owner SET DEFAULT session_user;

CREATE INDEX workspaces_by_owner ON workspaces (owner);

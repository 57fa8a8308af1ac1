-- What protects the workspace from what others wrote.

-- Rows of the team's database that are not valid here, or whose parent is not: kept aside, the last version seen of
-- each. A later, valid version of a row removes it. Beside the reason stands when it is worth asking the server again:
-- once its parent is here, or once its stamp does not lie too far ahead any more.
CREATE TABLE quarantined_rows (
    entity_type TEXT    NOT NULL,
    entity_id   TEXT    NOT NULL,
    session_id  TEXT    NOT NULL,
    change_seq  INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    parent_type TEXT,
    parent_id   TEXT,
    retry_at    TEXT,
    seen_at     TEXT    NOT NULL,
    excerpt     TEXT    NOT NULL,
    PRIMARY KEY (entity_type, entity_id, session_id)
) STRICT;

CREATE INDEX quarantined_rows_by_time ON quarantined_rows (seen_at, entity_id);

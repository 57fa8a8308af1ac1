-- Lists of one member's runs, and what pruning needs and leaves behind.

-- IF NOT EXISTS: on a large table that is in use, an administrator makes an index beforehand with CREATE INDEX
-- CONCURRENTLY, which no transaction can. Here it takes a lock that readers do not wait for and writers do.
CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user_id, updated_at, id);

-- Sessions that were removed because of their age, one row for each workspace that had rows in it. What laptops send of
-- them is taken for delivered and not stored.
CREATE TABLE pruned_sessions (
    session_id   uuid        NOT NULL,
    workspace_id uuid        NOT NULL,
    pruned_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, workspace_id)
);

CREATE INDEX pruned_sessions_by_workspace ON pruned_sessions (workspace_id);

-- Each pruning. Ledger rows from before the latest cutoff may be gone, so they prove nothing by their absence.
CREATE TABLE prunes (
    id          uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    cutoff      timestamptz NOT NULL,
    ledger_rows bigint      NOT NULL DEFAULT 0,
    sessions    bigint      NOT NULL DEFAULT 0,
    archive     text,
    pruned_by   text        NOT NULL DEFAULT session_user,
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz
);

-- A batch reads both tables. Roles that may read the ledger may read them, also where the owner's program migrates by
-- itself and the provisioning SQL was not run again.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.oid = 'sync_inbox'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'GRANT SELECT ON pruned_sessions, prunes TO ' || reader;
    END LOOP;
END
$$;

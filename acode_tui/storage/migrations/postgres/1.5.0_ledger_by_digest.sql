-- The ledger's index has a digest of each key instead of its text, which made it as large as the table.

-- hashtextextended makes 64 bits of a key. Should two keys of a session have one digest, the second is not taken for
-- delivered, for its text differs: its row is written as one is that may have been changed elsewhere.
ALTER TABLE sync_inbox ADD COLUMN key_digest bigint NOT NULL DEFAULT 0;
ALTER TABLE sync_inbox DROP CONSTRAINT sync_inbox_pkey;

-- Rewrites the table under a lock. An UPDATE would take the same lock's time and leave a dead row for each.
ALTER TABLE sync_inbox ALTER COLUMN key_digest TYPE bigint USING hashtextextended(idempotency_key, 0);
ALTER TABLE sync_inbox ALTER COLUMN key_digest DROP DEFAULT;
ALTER TABLE sync_inbox ADD PRIMARY KEY (session_id, key_digest);

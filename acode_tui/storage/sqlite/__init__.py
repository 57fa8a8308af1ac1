"""The workspace's own database: one writer with group commit, a pool of readers, every write with its outbox record."""

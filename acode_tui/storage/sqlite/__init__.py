"""The workspace file: one writer with group commit, a pool of readers, and an outbox record with every write."""

"""The sync tables of a workspace file: outbox, lease, conflicts, retention."""

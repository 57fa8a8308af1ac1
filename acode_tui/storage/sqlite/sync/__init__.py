"""The sync's tables in the workspace file: outbox, lease, pull cursor, sync log and settled conflicts."""

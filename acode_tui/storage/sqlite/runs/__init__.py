"""Runs in SQLite: rows, writes, reads, streams, checksums."""

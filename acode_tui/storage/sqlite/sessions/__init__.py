"""Pages, ranges and search of sessions in SQLite."""

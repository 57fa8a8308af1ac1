"""Exports of runs as JSON, CSV, SQLite, Markdown or HTML, redacted by default; and the import of a JSON export."""

"""Exports of runs as JSON, CSV, SQLite, Markdown or HTML, redacted by default; imports of JSON and SQLite exports."""

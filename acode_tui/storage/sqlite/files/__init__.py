"""The database file as a file: locks, replacement, backups, inspection."""

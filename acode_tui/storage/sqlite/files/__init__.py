"""The workspace file as a file: locks, inspection, checks, backups, replacement, rebuilding and vacuum."""

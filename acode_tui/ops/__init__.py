"""Looking after a workspace: health, checks, backups."""

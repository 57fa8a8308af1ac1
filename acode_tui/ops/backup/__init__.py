"""Backups of a workspace file: creating, verifying, rotating and restoring them; and vacuum of the file."""

"""Backup, restore and vacuum of a workspace file."""

"""Maintenance of a workspace: checks, health, backups, export and import, and recovery from the team's database."""

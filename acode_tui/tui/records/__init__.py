"""Screens of outbox records and conflicts."""

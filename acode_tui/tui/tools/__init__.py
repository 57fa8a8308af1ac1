"""Screens for health, log and settings."""

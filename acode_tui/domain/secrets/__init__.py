"""Finds secrets in text and hides them, and makes text anonymous for reports. Pure."""

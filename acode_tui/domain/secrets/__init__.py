"""Secrets in text: patterns, redaction, anonymous reports. Pure."""

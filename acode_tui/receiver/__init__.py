"""Receives OpenTelemetry's protocol over HTTP on loopback: requests become stored spans, and those become runs."""

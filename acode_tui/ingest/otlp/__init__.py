"""OpenTelemetry's spans and log records, by the conventions for generative AI."""

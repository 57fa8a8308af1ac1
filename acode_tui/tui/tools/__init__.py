"""The screens of health checks, the log and the settings."""

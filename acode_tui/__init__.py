"""acode-tui: a flight recorder for AI-agent runs. This module is the public Python API."""

__version__ = "0.1.0"

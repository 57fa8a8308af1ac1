"""Commands under ``acode-tui db``."""

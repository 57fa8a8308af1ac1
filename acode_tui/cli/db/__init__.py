"""The commands below ``acode-tui db``, a module each; ``status.py`` has the group."""

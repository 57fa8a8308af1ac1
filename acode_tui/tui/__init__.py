"""The terminal dashboard: it renders and posts messages, and never writes SQL. The one package that imports Textual."""

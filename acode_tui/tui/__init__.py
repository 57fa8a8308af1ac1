"""The dashboard. It renders and posts messages; it never writes SQL."""

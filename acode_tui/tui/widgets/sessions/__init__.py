"""The session browser: a search line, the table, and a notice where the table would be empty."""

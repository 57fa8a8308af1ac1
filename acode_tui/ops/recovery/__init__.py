"""Recovery from PostgreSQL, drills and validation."""

"""The team's database."""

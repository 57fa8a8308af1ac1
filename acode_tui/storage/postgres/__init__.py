"""The team's database: applies batches of the sync, and reads the team's runs, changes and checksums."""

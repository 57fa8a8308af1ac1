"""Forward-only schema migrations: a folder of numbered SQL files for each tier, and the rules that order them."""

"""Forward-only schema migrations: one folder of numbered SQL a tier, and the rules that order them."""

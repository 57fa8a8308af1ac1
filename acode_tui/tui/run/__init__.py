"""One run: tree, details, artifacts."""

"""The search index of the workspace file: derived from the rows, kept behind the writes, caught up before a search."""

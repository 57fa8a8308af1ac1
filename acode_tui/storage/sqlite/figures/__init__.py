"""Figures: what runs took, derived from the rows like the search index and kept by the same batches."""

"""Exports and reports of runs, and importing an export."""

"""Reads transcripts of Codex: records of lines, and the tasks, steps, calls and artifacts made of them."""

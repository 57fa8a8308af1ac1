"""Reads transcripts of Claude Code: records of lines, and the tasks, steps, calls and artifacts made of them."""

"""Hooks of agents: what an agent reports while it runs is queued at once and read by a process of its own.

``receive`` runs in the agent's way and takes a few milliseconds; ``worker`` reads the queue and imports the
transcripts; ``install`` edits the settings of the agents.
"""

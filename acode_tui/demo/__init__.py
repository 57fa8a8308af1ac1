"""The demo: a workspace in a temporary folder, simulated agents that record into it, and a team database."""

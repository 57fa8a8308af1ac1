"""The demo: a workspace in a temporary folder, a team of agents that records into it, and a team database to lose."""

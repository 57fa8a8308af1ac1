"""Rebuilds a workspace file from the team's database, compares the two, and drills restore and recovery."""

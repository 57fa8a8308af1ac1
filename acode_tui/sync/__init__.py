"""Draining the outbox into the team's PostgreSQL and pulling back what other replicas wrote."""

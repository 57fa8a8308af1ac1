"""The sync worker: drains the outbox into the team's PostgreSQL and pulls the changes of other replicas."""

"""The screens of outbox records that the server refused, and of conflicts."""

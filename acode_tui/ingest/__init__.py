"""Reading agents' transcripts into runs."""

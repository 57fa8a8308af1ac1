"""Writes, reads and streams the runs in the workspace file, with their checksums and the cursors of transcripts."""

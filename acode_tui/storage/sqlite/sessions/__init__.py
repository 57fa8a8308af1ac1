"""Lists and searches the sessions in the workspace file, page by page."""

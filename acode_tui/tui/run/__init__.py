"""The screens of one run: its tree with the timeline and details, and the viewer of an artifact."""

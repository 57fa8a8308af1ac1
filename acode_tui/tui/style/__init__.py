"""The look of the dashboard: themes, colours and glyphs of states, and text that is safe to show."""

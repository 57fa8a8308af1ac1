"""The main screen: panes and the session browser."""

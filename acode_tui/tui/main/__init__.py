"""The main screen: the header, the four panes, and the session browser."""

"""Widgets that several screens use. They draw the values they get and post messages."""

"""Widgets that several screens use. They draw what they are given and post messages."""

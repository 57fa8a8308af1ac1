"""Themes, palette and text formatting."""

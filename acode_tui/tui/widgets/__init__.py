"""The dashboard's panes, one file each. They show what they are given and post messages."""

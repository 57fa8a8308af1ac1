"""Stores runs: the ports that the rest of the program uses, and one folder for each database that implements them."""

"""The command line: each command parses its arguments, calls the package below, and prints the answer."""

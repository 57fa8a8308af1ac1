"""The program's version, in one place: the package, the built wheel and every module read it here."""

VERSION = "0.1.0"

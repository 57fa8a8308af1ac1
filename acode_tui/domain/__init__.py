"""The model of a run: entities, states and their transitions, ids, stamps, errors, encoding and redaction.

Pure: no I/O and no drivers.
"""

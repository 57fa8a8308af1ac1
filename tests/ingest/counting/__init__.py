"""Counts what a transcript holds, from its raw records and without any code of the readers.

The readers build a run step by step; the counters only collect ids and texts, so a mistake in one is hardly repeated in
the other. ``count`` counts a transcript, ``imported`` counts the same things in a run that a reader made.
"""

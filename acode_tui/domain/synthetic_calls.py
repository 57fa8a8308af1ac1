"""Synthetic tool calls: rows in ``tool_calls`` that hold an artifact which no real tool call produced.

Every artifact belongs to a tool call, but a model's own words, a long prompt and a result whose call is missing have
none. Importers attach them to a synthetic call. Its name is in parentheses, as no tool's name is, so that counts of
tool calls can leave it out.
"""

RESPONSE = "(response)"
PROMPT = "(prompt)"
UNCLAIMED_RESULT = "(unclaimed result)"

SYNTHETIC_CALLS = (RESPONSE, PROMPT, UNCLAIMED_RESULT)


def is_synthetic_call(tool_name: str) -> bool:
    """Whether a tool call of this name is synthetic."""
    return tool_name in SYNTHETIC_CALLS


SQL_NAMES = ", ".join(f"'{name}'" for name in SYNTHETIC_CALLS)
"""The names as a SQL list. They are constants of the program, never input."""

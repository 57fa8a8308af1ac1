"""Tool calls that nobody made. Every artifact belongs to a tool call, and some text belongs to none.

Importers hang a model's own words, a long prompt and a result without its call on a carrier. Its name stands in
parentheses, which no tool's name does, so that counts of tool calls can leave carriers out.
"""

RESPONSE = "(response)"
PROMPT = "(prompt)"
UNCLAIMED_RESULT = "(unclaimed result)"

CARRIERS = (RESPONSE, PROMPT, UNCLAIMED_RESULT)
PARAMETERS = {"carrier": True}
"""What a carrier's parameters hold at least."""


def is_carrier(tool_name: str) -> bool:
    """Whether a tool call of this name is a carrier."""
    return tool_name in CARRIERS


SQL_NAMES = ", ".join(f"'{name}'" for name in CARRIERS)
"""The names as a list for SQL: constants of the program, never somebody's text."""

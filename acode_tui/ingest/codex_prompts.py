"""What a person asked Codex for, where an editor has put words of its own before it."""

_CONTEXT = "# Context from my IDE setup:"
_REQUEST = "\n## My request for Codex:"


def request_of(prompt: str) -> str:
    """The prompt without the editor's list of open files; as it is where it has none, or asks for nothing."""
    if not prompt.startswith(_CONTEXT):
        return prompt
    asked = prompt.partition(_REQUEST)[2]
    return asked if asked.strip() else prompt

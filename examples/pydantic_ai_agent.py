"""Pydantic AI, recorded by one line before the first run. Needs ``acode-tui[pydantic-ai]``."""

from pydantic_ai import Agent

from acode_tui.integrations.pydantic_ai import record_pydantic_ai

record_pydantic_ai(".")

agent = Agent("test", name="reviewer", instructions="Review the file that is named.")  # or "anthropic:claude-..."


@agent.tool_plain
def read_file(path: str) -> str:
    """Read a file."""
    return f"the content of {path}"


print(agent.run_sync("Review login.ts").output)

"""The OpenAI Agents SDK, recorded by one line before the first run. Needs ``acode-tui[openai-agents]``."""

from agents import Agent, Runner, function_tool

from acode_tui.integrations.openai_agents import record_openai_agents

record_openai_agents(".")


@function_tool
def read_file(path: str) -> str:
    """Read a file."""
    with open(path) as file:
        return file.read()


agent = Agent(name="Reviewer", instructions="Review the file that is named.", tools=[read_file])
print(Runner.run_sync(agent, "Review login.ts").final_output)

"""An agent of the Claude Agent SDK, recorded. Needs ``acode-tui[claude-agent-sdk]``."""

import asyncio

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

from acode_tui.integrations.claude_agent_sdk import record_claude_agent, record_messages

options = record_claude_agent(ClaudeAgentOptions(allowed_tools=["Read"]), ".")


async def main() -> None:
    async for message in record_messages(query(prompt="Review login.ts", options=options)):
        if isinstance(message, ResultMessage):
            print(message.result)


asyncio.run(main())

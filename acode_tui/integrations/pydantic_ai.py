"""Records runs of Pydantic AI: ``record_pydantic_ai()`` once, before the first run. Needs ``acode-tui[pydantic-ai]``.

Pydantic AI describes what it does in OpenTelemetry's spans. A run of an agent is a task, and those that share a
conversation, as ``message_history`` gives it on, share a session.
"""

from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

from acode_tui.integrations.opentelemetry import RunSpanProcessor


def record_pydantic_ai(path: str | Path | None = None, **settings: Any) -> RunSpanProcessor:
    """Record every run of every agent of this process from now on, in the workspace in the folder ``path``.

    Without a path it is the workspace that commands use here. Agents that have instrumentation of their own keep it.
    ``settings`` are those of ``InstrumentationSettings``: ``include_content=False`` leaves prompts, answers, arguments
    and results out. The spans go nowhere else. The processor that is returned can be flushed.
    """
    processor = RunSpanProcessor(path)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider, **settings))
    return processor

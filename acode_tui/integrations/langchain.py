"""Records runs of LangChain and LangGraph: put a ``LangChainRecorder`` among a run's callbacks.

A run is a task, in the session of its thread; a node of a graph, or a model call outside any, is a step with the answer
and its tokens; a tool and a retriever is a tool call. A graph that an ``interrupt`` stopped leaves its session
AwaitingApproval, and goes on with it. Needs ``acode-tui[langchain]``.
"""

import threading
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from acode_tui.integrations import langchain_messages as read
from acode_tui.integrations.conversations import Conversations, Turn, harmless
from acode_tui.recorder.run import Call, Step, Task
from acode_tui.recorder.values import reason_of, title

_PROMPT_CHARS = 200
"""How much of the user's prompt names its session and its task."""

_CANCELLED = (KeyboardInterrupt, CancelledError, GeneratorExit)


class _Run:
    """A run of LangChain that is under way: a chain, a node, a model call or a tool. ``top`` has no run above it."""

    def __init__(self, above: "_Run | None") -> None:
        self.top: _Run = self if above is None else above.top
        self.in_call: bool = above is not None and (above.in_call or above.call is not None)
        # What a tool runs has steps of its own.
        self.step_of: _Run | None = None if above is None or above.call is not None else above.step_of
        self.step: Step | None = None
        self.call: Call | None = None
        self.failed_calls = 0
        # Of a top run:
        self.turn: Turn | None = None
        self.task: Task | None = None
        self.has_prompt = False
        self.waits_for: str | None = None
        self.erred: list[Step] = []
        """Steps that ended with an error: Failed if the run fails, Skipped if it went on."""


class LangChainRecorder(BaseCallbackHandler):
    """A callback handler for sync and async runs, streams and events. Safe to use from any thread, for many runs.

    Records in the workspace in the folder ``path``, else in the one that commands use here. ``conversations``: runs
    with the same ``thread_id`` are turns of one session, which is Paused between them; False where each run has a
    thread of its own, and its session ends with it.
    """

    run_inline = True
    """Of LangChain: call it in the loop's thread, in order. It never waits."""

    def __init__(self, path: str | Path | None = None, *, conversations: bool = True) -> None:
        super().__init__()
        self._conversations = Conversations(path, "langchain")
        self._are_conversations = conversations
        self._runs: dict[UUID, _Run] = {}
        self._lock = threading.RLock()

    @harmless
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with self._lock:
            name = _name_of(serialized, more, "chain")
            run = self._begin(run_id, parent_run_id, name, metadata, lambda: read.prompt_of(inputs))
            node = (metadata or {}).get("langgraph_node")
            if run.top is not run and node == name:
                step = (metadata or {}).get("langgraph_step")
                self._step(run, name, {"node": name, "graphStep": step})

    @harmless
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self._end(run_id, None)

    @harmless
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self._end(run_id, error)

    @harmless
    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with self._lock:
            self._model(serialized, messages[0] if messages else (), run_id, parent_run_id, metadata, more)

    @harmless
    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with self._lock:
            self._model(serialized, "\n\n".join(prompts), run_id, parent_run_id, metadata, more)

    @harmless
    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            step = None if run is None or run.step_of is None else run.step_of.step
            if step is not None:
                found = read.answer_of(response)
                step.say(reasoning=found.reasoning or None, answer=found.answer or None)
                if found.model is not None or any(found.tokens.values()):
                    step.usage(model=found.model, **found.tokens)
            self._end(run_id, None)

    @harmless
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self._end(run_id, error)

    @harmless
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with self._lock:
            name = _name_of(serialized, more, "tool")
            run = self._begin(run_id, parent_run_id, name, metadata, lambda: name)
            self._call(run, name, {"input": input_str} if inputs is None else inputs)

    @harmless
    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and run.call is not None:
                result, error = read.result_of(output)
                run.call.result(result)
                if error is not None:
                    run.call.fail(error)
                    _count_failure(run)
            self._end(run_id, None)

    @harmless
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self._end(run_id, error)

    @harmless
    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with self._lock:
            name = _name_of(serialized, more, "retriever")
            run = self._begin(run_id, parent_run_id, name, metadata, lambda: query)
            self._call(run, name, {"query": query})

    @harmless
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and run.call is not None:
                run.call.result([_document(each) for each in documents])
            self._end(run_id, None)

    @harmless
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self._end(run_id, error)

    # What follows is called under the lock.

    def _begin(
        self, run_id: UUID, above_id: UUID | None, name: str, metadata: Mapping[str, Any] | None, prompt: Any
    ) -> _Run:
        above = None if above_id is None else self._runs.get(above_id)
        run = self._runs[run_id] = _Run(above)
        if above is None:
            asked = prompt()
            called = title(asked.strip() or name, limit=_PROMPT_CHARS)
            key = read.conversation_of(metadata)
            facts = {"workflow": name, **read.own_metadata(metadata)}
            if (metadata or {}).get("ls_integration") == "langgraph":
                facts["agent"] = "langgraph"
            run.turn = self._conversations.enter(
                called, key, is_conversation=self._are_conversations and key is not None, metadata=facts
            )
            run.task = run.turn.run.task(called, metadata={"workflow": name}).start()
            self._say_prompt(run, asked)
        return run

    def _model(
        self,
        serialized: dict[str, Any] | None,
        given: Any,
        run_id: UUID,
        above_id: UUID | None,
        metadata: dict[str, Any] | None,
        more: Mapping[str, Any],
    ) -> None:
        name = str((metadata or {}).get("ls_model_name") or _name_of(serialized, more, "model"))
        run = self._begin(run_id, above_id, name, metadata, lambda: read.prompt_of(given))
        if not run.top.has_prompt and not run.in_call:
            self._say_prompt(run.top, read.prompt_of(given))
        if run.step_of is None:
            self._step(run, name, None)

    def _say_prompt(self, top: _Run, prompt: str) -> None:
        if prompt and top.task is not None:
            top.has_prompt = True
            top.task.say(prompt=prompt)

    def _step(self, run: _Run, name: str, metadata: dict[str, Any] | None) -> None:
        assert run.top.task is not None
        run.step = run.top.task.step(name, metadata=metadata).start()
        run.step_of = run

    def _call(self, run: _Run, name: str, parameters: Any) -> None:
        assert run.top.task is not None
        step = None if run.step_of is None else run.step_of.step
        run.call = (run.top.task if step is None else step).tool(name, parameters).start()

    def _end(self, run_id: UUID, error: BaseException | None) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        if error is not None and read.is_interrupt(error):
            run.top.waits_for = f"waits for an answer: {read.question_of(error)}"
        goes_on = error is None or read.is_control_flow(error)
        if run.call is not None:
            _end_call(run, error, goes_on=goes_on)
        if run.step is not None:
            _end_step(run, run.step, error, goes_on=goes_on)
        if run.top is run:
            self._end_top(run, None if goes_on else error)

    def _end_top(self, run: _Run, error: BaseException | None) -> None:
        assert run.task is not None
        assert run.turn is not None
        for step in run.erred:
            if error is None:
                step.skip()
            else:
                step.fail()
            step.end()
        if error is None:
            run.task.end()
            self._conversations.leave(run.turn, waits_for=run.waits_for)
        elif isinstance(error, _CANCELLED):
            run.task.end(error)
            self._conversations.leave(run.turn, cancelled=reason_of(error))
        else:
            run.task.end(error)
            self._conversations.leave(run.turn, failure=reason_of(error))


def _end_call(run: _Run, error: BaseException | None, *, goes_on: bool) -> None:
    assert run.call is not None
    if error is not None and goes_on:
        run.call.cancel(run.top.waits_for if read.is_interrupt(error) and run.top.waits_for else "the graph goes on")
    elif error is not None and not isinstance(error, _CANCELLED):
        _count_failure(run)
    run.call.end(None if goes_on else error)


def _end_step(run: _Run, step: Step, error: BaseException | None, *, goes_on: bool) -> None:
    if error is not None and not goes_on:
        run.top.erred.append(step)
        return
    if error is not None or run.failed_calls:
        # It is done again when the answer is there, or the agent saw the failure and went on.
        step.skip()
    step.end()


def _count_failure(run: _Run) -> None:
    if run.step_of is not None:
        run.step_of.failed_calls += 1


def _name_of(serialized: Mapping[str, Any] | None, more: Mapping[str, Any], kind: str) -> str:
    known = serialized or {}
    ids = known.get("id")
    return str(more.get("name") or known.get("name") or (ids[-1] if isinstance(ids, list) and ids else kind))


def _document(found: Any) -> Any:
    content = getattr(found, "page_content", None)
    return found if content is None else {"content": content, "metadata": getattr(found, "metadata", None)}

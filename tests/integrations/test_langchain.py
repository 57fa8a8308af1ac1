"""LangChain and LangGraph themselves, with fake models: sync and async, streams, events, interrupts, errors."""

import asyncio
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from acode_tui import recorder
from acode_tui.domain.entities import SessionGraph
from tests.integrations.conftest import Said
from tests.recorder.conftest import Recorded, states

pytest.importorskip("langgraph", reason="needs acode-tui[langchain] and langgraph")

from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, RetryPolicy, interrupt

from acode_tui.integrations.langchain import LangChainRecorder

EXAMPLES = Path(__file__).parents[2] / "examples"


@tool
def weather(city: str) -> str:
    """The weather."""
    if city == "nowhere":
        raise ValueError("no such city")
    return f"sun in {city}"


@tool
def ask(question: str) -> str:
    """Asks the user."""
    return str(interrupt({"question": question}))


def ai(text: str = "", *calls: tuple[str, dict[str, Any]], thought: str = "") -> AIMessage:
    return AIMessage(
        text,
        tool_calls=[{"name": name, "args": args, "id": f"c{number}"} for number, (name, args) in enumerate(calls)],
        additional_kwargs={"reasoning_content": thought} if thought else {},
        usage_metadata={
            "input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "input_token_details": {"cache_read": 4},
        },
        response_metadata={"model_name": "fake-1"},
    )  # fmt: skip


def agent(messages: Sequence[AIMessage], checkpointer: Any = None) -> Any:
    model = FakeMessagesListChatModel(responses=list(messages))

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", think)
    graph.add_node("tools", ToolNode([weather, ask], handle_tool_errors=True))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", tools_condition)
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=checkpointer)


def config(recording: LangChainRecorder, thread: str | None = None) -> Any:
    return {"callbacks": [recording], "configurable": {} if thread is None else {"thread_id": thread}}


def user(text: str) -> Any:
    return {"messages": [("user", text)]}


def only(graphs: list[SessionGraph]) -> SessionGraph:
    (graph,) = graphs
    return graph


def test_a_graph_with_a_failing_tool(folder: Path, recorded: Recorded, said: Said) -> None:
    asked = ("weather", {"city": "nowhere"}), ("weather", {"city": "Rome"})
    graph = agent([ai("", *asked, thought="Let me look."), ai("Sunny.")])
    options = {**config(LangChainRecorder(folder)), "metadata": {"team": "shop"}}
    assert graph.invoke(user("How is it?"), options)["messages"][-1].content == "Sunny."
    recorder.close()
    run = only(recorded())
    assert (run.task_description, str(run.state)) == ("How is it?", "Completed")
    (task,) = run.tasks
    assert [(step.name, str(step.state)) for step in task.steps] == [
        ("agent", "Completed"), ("tools", "Skipped"), ("agent", "Completed"),
    ]  # fmt: skip
    assert {(str(call.parameters), str(call.state), call.result) for call in task.steps[1].tool_calls} == {
        ("{'city': 'nowhere'}", "Failed", None), ("{'city': 'Rome'}", "Succeeded", "sun in Rome"),
    }  # fmt: skip
    assert said(run) == [
        ("UserPrompt", "How is it?"), ("Reasoning", "Let me look."), ("ModelResponse", "Sunny."),
    ]  # fmt: skip
    assert run.metadata == {
        "agent": "langgraph", "workflow": "LangGraph", "team": "shop", "models": ["fake-1"],
        "tokens": {"input": 12, "output": 4, "cacheRead": 8, "cacheWrite": 0},
    }  # fmt: skip


def test_an_interrupted_graph_goes_on_in_its_session(folder: Path, recorded: Recorded) -> None:
    """Also from another recorder and another graph, as another process would have them."""
    saver = InMemorySaver()
    agent([ai("", ("ask", {"question": "all of it?"}))], saver).invoke(
        user("Remove x."), config(LangChainRecorder(folder), "t")
    )
    recorder.close()
    waiting = only(recorded())
    assert str(waiting.state) == "AwaitingApproval"
    assert waiting.events[-1].reason == "waits for an answer: {'question': 'all of it?'}"
    again = agent([ai("Removed."), ai("Bye.")], saver)
    again.invoke(Command(resume="yes"), config(LangChainRecorder(folder), "t"))
    recorder.close()
    assert str(only(recorded()).state) == "Paused"
    again.invoke(user("Thanks."), config(LangChainRecorder(folder, conversations=False), "t"))
    recorder.close()
    run = only(recorded())
    assert str(run.state) == "Completed", "without conversations, a run that ends ends its session"
    assert [task.title for task in run.tasks] == ["Remove x.", "(answer) yes", "Thanks."]
    assert [
        (call.tool_name, str(call.state), call.result)
        for task in run.tasks for step in task.steps for call in step.tool_calls
    ] == [("ask", "Cancelled", None), ("ask", "Succeeded", "yes")]  # fmt: skip


@pytest.mark.parametrize("how", ["ainvoke", "stream", "astream", "astream_events", "batch"])
def test_every_way_to_run_a_graph_records_the_same(how: str, folder: Path, recorded: Recorded, said: Said) -> None:
    graph = agent([ai("", ("weather", {"city": "Rome"})), ai("Sunny.")])
    options = config(LangChainRecorder(folder))

    async def run() -> None:
        if how == "ainvoke":
            await graph.ainvoke(user("now?"), options)
        elif how == "astream_events":
            async for _ in graph.astream_events(user("now?"), options, version="v2"):
                pass
        else:
            async for _ in graph.astream(user("now?"), options, stream_mode="messages"):
                pass

    if how == "stream":
        assert list(graph.stream(user("now?"), options))
    elif how == "batch":
        assert graph.batch([user("now?")], options)
    else:
        asyncio.run(run())
    recorder.close()
    found = only(recorded())
    assert states(found) == {
        "now?": "Completed", "task now?": "Completed", "step agent": "Completed", "step tools": "Completed",
        "call weather": "Succeeded",
    }  # fmt: skip
    assert said(found) == [("UserPrompt", "now?"), ("ModelResponse", "Sunny.")]


class Notes(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document("a note", metadata={"page": 1})]


def test_chains_without_a_graph(folder: Path, recorded: Recorded, said: Said) -> None:
    """A prompt, a chat model and a plain model; a retriever; a tool on its own."""
    options = config(LangChainRecorder(folder))
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
    chat = FakeMessagesListChatModel(responses=[ai("Yes.")])
    chain = prompt | chat | (lambda message: message.content) | FakeListLLM(responses=["No."])
    assert chain.invoke({"question": "Really?"}, options) == "No."
    assert Notes().invoke("notes", options)
    assert weather.invoke({"city": "Rome"}, options)
    recorder.close()
    chained, retrieved, called = recorded()
    assert said(chained) == [("UserPrompt", "Really?"), ("ModelResponse", "Yes."), ("ModelResponse", "No.")]
    assert [str(step.state) for step in chained.tasks[0].steps] == ["Completed", "Completed"]
    (call,) = retrieved.tasks[0].steps[0].tool_calls
    assert (call.tool_name, call.parameters) == ("Notes", {"query": "notes"})
    assert call.result == [{"content": "a note", "metadata": {"page": 1}}]
    assert states(called)["call weather"] == "Succeeded"
    assert (chained.metadata or {})["agent"] == "langchain"


def test_what_fails_is_retried_or_is_cancelled(folder: Path, recorded: Recorded) -> None:
    tries: Iterator[int] = iter(range(3))

    def flaky(state: MessagesState) -> Any:
        if next(tries) == 0:
            raise ConnectionError("try again")
        return {"messages": [ai("Here.")]}

    retrying = StateGraph(MessagesState)
    retrying.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.0, jitter=False))
    retrying.add_edge(START, "flaky")
    recording = LangChainRecorder(folder)
    retrying.compile().invoke(user("retried"), config(recording))

    def fail(_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        RunnableLambda(fail).invoke("failed", config(recording))

    async def wait(_: Any) -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(RunnableLambda(wait).ainvoke("cancelled", config(recording)))
    recorder.close()
    found = {run.task_description: run for run in recorded()}
    assert {name: str(run.state) for name, run in found.items()} == {
        "retried": "Completed", "failed": "Failed", "cancelled": "Cancelled",
    }  # fmt: skip
    assert sorted(str(step.state) for step in found["retried"].tasks[0].steps) == ["Completed", "Skipped"]
    assert found["failed"].events[-1].reason == "ZeroDivisionError: by nothing"
    assert recording._runs == {}


def test_values_of_every_kind_and_a_database_that_fails_harm_no_run(
    folder: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    class Nasty:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __repr__(self) -> str:
            raise RuntimeError("repr")

    loop: dict[str, Any] = {"bytes": b"\xff" * 10**6, "text": "x" * 10**6, "nul": "\0\ud800"}
    loop["self"] = loop

    @tool
    def echo(value: Any) -> Any:
        """Gives it back."""
        return value

    options = config(LangChainRecorder(folder))
    assert echo.invoke({"value": loop}, options) is loop
    RunnableLambda(lambda value: value).invoke(Nasty(), options)
    recorder.close()
    echoed, _ = recorded()
    assert states(echoed)["call echo"] == "Succeeded"
    assert len(str(echoed.tasks[0].steps[0].tool_calls[0].result)) < 300_000
    assert not [record for record in caplog.records if record.name == "acode_tui.recorder"]
    (folder / ".agent" / "workspace.db").unlink()
    (folder / ".agent" / "workspace.db").mkdir()
    assert agent([ai("Sunny.")]).invoke(user("now?"), options)["messages"][-1].content == "Sunny."
    recorder.close()
    assert len([record for record in caplog.records if record.name == "acode_tui.recorder"]) == 1


KILLED = """
import os, signal, sys
from langchain_core.runnables import RunnableLambda
from acode_tui import recorder
from acode_tui.integrations.langchain import LangChainRecorder

def die(_):
    recorder.close()
    os.kill(os.getpid(), signal.SIGKILL)

RunnableLambda(die).invoke("Dig", {"callbacks": [LangChainRecorder(sys.argv[1])], "metadata": {"thread_id": "t"}})
"""


def test_a_run_that_a_kill_cut_short_is_paused_and_its_thread_goes_on(folder: Path, recorded: Recorded) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    with recorder.session("Other", folder):
        pass
    cut = recorded()[0]
    assert str(cut.state) == "Paused"
    assert "ended before the run did" in cut.events[-1].reason
    RunnableLambda(str).invoke("Dig on", {"callbacks": [LangChainRecorder(folder)], "metadata": {"thread_id": "t"}})
    recorder.close()
    assert [(task.title, str(task.state)) for task in recorded()[0].tasks] == [
        ("Dig", "Skipped"), ("Dig on", "Completed"),
    ]  # fmt: skip


def test_the_example_runs(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    runpy.run_path(str(EXAMPLES / "langgraph_agent.py"))
    assert capsys.readouterr().out == "The form checks nothing yet.\n"
    recorder.close()
    assert states(only(recorded()))["step review"] == "Completed"

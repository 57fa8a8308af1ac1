"""A LangGraph agent, recorded by a callback. Needs ``acode-tui[langchain]`` and ``langgraph``."""

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from acode_tui.integrations.langchain import LangChainRecorder

model = GenericFakeChatModel(messages=iter([AIMessage("The form checks nothing yet.")]))  # any chat model


def review(state: MessagesState) -> MessagesState:
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("review", review).add_edge(START, "review").compile()
config: RunnableConfig = {"callbacks": [LangChainRecorder(".")], "configurable": {"thread_id": "login-form"}}
print(graph.invoke({"messages": [HumanMessage("Review login.ts")]}, config)["messages"][-1].content)

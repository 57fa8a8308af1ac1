"""Any agent that OpenTelemetry describes, recorded by a span processor. Needs ``acode-tui[otel]``."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from acode_tui.integrations.opentelemetry import RunSpanProcessor

provider = TracerProvider()
provider.add_span_processor(RunSpanProcessor("."))
trace.set_tracer_provider(provider)  # the instrumentation of your framework uses it from now on

tracer = trace.get_tracer("my-agent")
with tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
    asked = {"gen_ai.operation.name": "chat", "gen_ai.prompt": "Review login.ts", "gen_ai.request.model": "my-model"}
    with tracer.start_as_current_span("chat", attributes=asked) as turn:
        turn.set_attributes({"gen_ai.completion": "I read it.", "gen_ai.usage.input_tokens": 120})
    called = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "read_file"}
    with tracer.start_as_current_span("tool", attributes=called) as call:
        call.set_attribute("gen_ai.tool.call.result", "export const login = ...")
provider.shutdown()

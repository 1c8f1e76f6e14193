"""Turns as OpenTelemetry traces: the one place that says which fact goes under which name.

Names of models, agents and tools follow OpenTelemetry's conventions for generative AI; `teehee.*` is our own. Without
`content` no word anyone said is among them.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teehee import __version__
from teehee.errors import ConfigError, TeeheeError
from teehee.gate.metrics import Counts
from teehee.log import get_logger

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Json = Any
Ask = Callable[[Json], Awaitable[Json]]  # a turn's agent, source and event -> what it was made of
AT_ONCE = 64  # turns being written out; a turn past that is not traced, and counted
CLOSE_SECONDS = 3.0
PROVIDER = "teehee"
QUIET = ("ignored", "stopped")  # ends that are no error
log = get_logger()


class Traces:
    """Writes out turns that ended, beside the work and never in its way. Without a tracer there is nothing to do."""

    def __init__(self, tracer: "Tracer | None", ask: Ask, names: Mapping[str, str], counts: Counts) -> None:
        self.tracer = tracer
        self.ask = ask
        self.names = names
        self.counts = counts
        self._tasks: set[asyncio.Task[None]] = set()

    def ended(self, turn: Json) -> None:
        """A turn has come to its end."""
        if self.tracer is None:
            return
        if len(self._tasks) >= AT_ONCE:
            self.counts.add("teehee_traces_dropped")
            return
        task = asyncio.get_running_loop().create_task(self._write(self.tracer, turn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, tracer: "Tracer", turn: Json) -> None:
        try:
            made = await self.ask(turn)
        except TeeheeError as error:
            log.warning("turn_not_traced", reason=str(error))
            return
        if made["recorded"]:
            write(tracer, made, self.names.get(made["agent"], made["agent"]))

    async def close(self) -> None:
        """Waits for what is being written out."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)


@contextlib.contextmanager
def exporting(endpoint: str) -> "Iterator[Tracer]":
    """A tracer that sends to the OTLP/HTTP collector at `endpoint`. Raises ConfigError without teehee[otel]."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            f"otlp_endpoint is set, but {error.name} is not installed",
            hint="pip install 'teehee[otel]', or leave TEEHEE_OTLP_ENDPOINT empty",
        ) from error
    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint}/v1/traces"
    resource = Resource.create({"service.name": "teehee", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=CLOSE_SECONDS)))
    try:
        yield provider.get_tracer("teehee", __version__)
    finally:
        provider.shutdown()


@dataclass(frozen=True, slots=True)
class Step:
    """A span to be: times are milliseconds since 1970, `error` a code."""

    name: str
    start: float
    end: float
    facts: Mapping[str, Json]
    error: str = ""
    client: bool = False


def write(tracer: "Tracer", made: Json, name: str) -> None:
    """One turn as a span, with its steps below it."""
    from opentelemetry.trace import set_span_in_context

    turn = turn_of(made, name)
    root = _started(tracer, turn, None)
    below = set_span_in_context(root)
    for step in steps_of(made):
        _started(tracer, step, below).end(_ns(max(step.start, step.end)))
    root.end(_ns(turn.end))


def _started(tracer: "Tracer", step: Step, below: "Context | None") -> "Span":
    from opentelemetry.trace import SpanKind, Status, StatusCode

    facts = {key: value for key, value in step.facts.items() if value not in (None, "")}
    if step.error:
        facts["error.type"] = step.error
    kind = SpanKind.CLIENT if step.client else SpanKind.INTERNAL
    span = tracer.start_span(step.name, below, kind=kind, attributes=facts, start_time=_ns(step.start))
    if step.error:
        span.set_status(Status(StatusCode.ERROR))
    return span


def turn_of(made: Json, name: str) -> Step:
    """The whole turn, from the message's arrival to the last outcome."""
    times = _times(made)
    settled = [effect["settled_at"] for effect in made["ledger"]["effects"] if effect["settled_at"]]
    quiet = made["state"] != "ended" or made["code"] in QUIET
    end = max(times["begun"], times.get("closed", 0), *settled, 0)
    return Step(f"invoke_agent {name}", times["said"], end, _turn(made, name), "" if quiet else made["code"])


def steps_of(made: Json) -> "Iterator[Step]":
    """What the turn was made of, each with its own length."""
    times, ledger = _times(made), made["ledger"]
    said, begun = times["said"], times["begun"]
    acted = times.get("decided", begun)
    if ledger["witnessed_at"]:
        yield Step("teehee.witness", said, ledger["witnessed_at"], {})
    yield Step("teehee.accept", said, times.get("accepted", said), {})
    for asked in made["providers"]:
        failed = "provider_failed" if asked["how"] == "failed" else ""
        yield Step(f"teehee.provider {asked['name']}", begun, begun + asked["ms"], _provider(asked), failed)
    for call in made["calls"]:
        end = call["at"] + call["ms"]
        yield Step(f"chat {_model(made)}", call["at"], end, _call(made, call), call["error"], client=True)
    for action in made["actions"]:
        failed = "action_failed" if action["how"] == "failed" else ""
        yield Step(f"execute_tool {action['name']}", acted, acted + action["ms"], _action(action), failed)
    for effect in ledger["effects"]:
        facts = {"teehee.verb": effect["verb"], "teehee.effect": effect["id"], "teehee.leaf": effect["leaf"]}
        yield Step("teehee.submit", acted, effect["at"], facts)
        if effect["settled_at"]:
            ended = {**facts, "teehee.leaf": effect["outcome_leaf"], "teehee.state": effect["state"]}
            yield Step("teehee.deliver", effect["at"], effect["settled_at"], ended)


def _turn(made: Json, name: str) -> dict[str, Json]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.id": made["agent"],
        "gen_ai.agent.name": name,
        "gen_ai.conversation.id": made["room_id"],
        "gen_ai.request.model": _model(made),
        "teehee.source": made["source"],
        "teehee.event": made["event"],
        "teehee.state": made["state"],
        "teehee.code": made["code"],
        "teehee.package": made["package"],
        "teehee.attempts": made["attempts"],
        "teehee.policy.verdict": made["policy"].get("verdict", ""),
        "teehee.policy.rule": made["policy"].get("rule", ""),
        **_words(made),
    }


def _call(made: Json, call: Json) -> dict[str, Json]:
    model, tokens = made["model"], call["tokens"] or {}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai" if model["kind"] == "endpoint" else PROVIDER,
        "gen_ai.request.model": _model(made),
        "gen_ai.request.temperature": model["temperature"],
        "gen_ai.request.max_tokens": model["max_tokens"],
        "gen_ai.usage.input_tokens": tokens.get("input"),
        "gen_ai.usage.output_tokens": tokens.get("output"),
        "teehee.call.why": call["why"],
    }


def _provider(provider: Json) -> dict[str, Json]:
    return {"teehee.provider.characters": provider["chars"], "teehee.provider.how": provider["how"]}


def _action(action: Json) -> dict[str, Json]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": action["name"],
        "gen_ai.tool.type": "function",
        "teehee.action.how": action["how"],
    }


def _words(made: Json) -> dict[str, Json]:
    """What was said, in the conventions' message form; there only when content is asked for."""
    told = {}
    for way, role in (("input", "user"), ("output", "assistant")) if "words" in made else ():
        said = [{"role": role, "parts": [{"type": "text", "content": text}]} for text in made["words"][way]]
        told[f"gen_ai.{way}.messages"] = json.dumps(said, ensure_ascii=False)
    return told


def _times(made: Json) -> dict[str, int]:
    return {step["step"]: step["at"] for step in made["steps"]}


def _model(made: Json) -> str:
    return str(made["model"]["name"] or made["model"]["kind"])


def _ns(ms: float) -> int:
    return int(ms * 1_000_000)

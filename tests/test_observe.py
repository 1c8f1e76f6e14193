"""How operators see an agent: alive, ready, in numbers, as traces, and one message at a time; never what was said."""

import asyncio
import contextlib
import gzip
import json
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families

from teehee.gate import metrics
from teehee.testing import Running, ScriptedModel, running, teehee, until
from teehee.testing.processes import free_port
from teehee.testing.scripted_model import Raw, block

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
QUESTION, ANSWER, THOUGHT = "canary-question-51f0", "canary-answer-77b2", "canary-thought-0c4e"
TOKEN = "canary-token-9d3a"
SECONDS = 20.0


@dataclass
class Collector:
    """Takes OTLP over HTTP as a collector does; keeps every span, and the bytes as they came."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {one.key: one.value.string_value for one in group.resource.attributes}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]
        return web.Response(body=b"", content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def roots(self, number: int) -> list[Span]:
        """The turns, once there are so many."""
        await until(lambda: len([span for span in self.spans if not span.parent_span_id]) >= number)
        return [span for span in self.spans if not span.parent_span_id]


def facts(span: Span) -> dict[str, Json]:
    kinds = ("string_value", "int_value", "double_value", "bool_value")
    return {one.key: next(getattr(one.value, k) for k in kinds if one.value.HasField(k)) for one in span.attributes}


def answered(text: str) -> str:
    return f"<response><thought>{THOUGHT}</thought><actions>REPLY</actions><text>{text}</text></response>"


@dataclass
class Stage:
    agent: Running
    model: ScriptedModel
    collector: Collector
    http: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Wren with a model, a collector, debug logs, and one exchange behind her."""
    folder, collector = tmp_path_factory.mktemp("observe"), Collector()
    async with ScriptedModel(speak=lambda request: answered(ANSWER)) as model, collector.open():
        endpoint = f"http://127.0.0.1:{collector.port}"
        options = {"model_url": model.url, "model": "scripted-1", "log_level": "debug", "otlp_endpoint": endpoint}
        async with (
            running(folder, ["wren"], **options) as agent,
            httpx.AsyncClient(base_url=agent.url, timeout=30) as http,
        ):
            told = await agent.say(QUESTION, id="first")
            assert [message["text"] for message in told["messages"]] == [ANSWER]
            await collector.roots(1)
            yield Stage(agent, model, collector, http)


async def ready(http: httpx.AsyncClient, status: int) -> Json:
    """What /readyz says, once it says it with this status."""
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.get("/readyz")
                if answer.status_code == status:
                    return answer.json()
            await asyncio.sleep(0.02)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# -- alive and ready


async def test_a_serving_gate_is_alive_and_ready(stage: Stage) -> None:
    alive, is_ready = await stage.http.get("/healthz"), await stage.http.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"ok": True, "agents": ["wren"]})
    assert (is_ready.status_code, is_ready.json()) == (200, {"ready": True, "reasons": [], "stopped": []})


@pytest.mark.parametrize("name", ["vault", "mind"])
async def test_readiness_goes_with_a_killed_process_and_comes_back_with_it(stage: Stage, name: str) -> None:
    stage.agent.kill(name)
    gone = await ready(stage.http, 503)
    alive = await stage.http.get("/healthz")
    back = await ready(stage.http, 200)

    assert f"{name}-away" in {reason["code"] for reason in gone["reasons"]}
    assert gone["ready"] is False
    assert alive.status_code == 200
    assert back["reasons"] == []


@pytest.mark.parametrize("name", ["vault", "mind"])
async def test_a_process_that_hangs_is_told_within_seconds(stage: Stage, name: str) -> None:
    pid = getattr(stage.agent.supervisor, name).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        gone = (await stage.http.get("/readyz")).json()
        took = time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGCONT)
    await ready(stage.http, 200)

    assert f"{name}-silent" in [reason["code"] for reason in gone["reasons"]]
    assert took < 6


@pytest.mark.parametrize("name", ["vault", "mind"])
async def test_a_full_disk_is_told_until_there_is_room_again(stage: Stage, name: str) -> None:
    await ready(stage.http, 200)
    pid = getattr(stage.agent.supervisor, name).pid
    wal = stage.agent.folder / f"{name}.db-wal"
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, unlimited[1]))
    try:
        with contextlib.suppress(Exception):  # whether it is refused or put off is another test's claim
            await stage.agent.say("is there room?", id=f"full-{name}", wait=0.5)
        full = await ready(stage.http, 503)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    await ready(stage.http, 200)

    assert [reason["code"] for reason in full["reasons"]] == [f"{name}-disk"]
    assert (await stage.agent.say("and now?", id=f"room-{name}"))["messages"]


async def test_an_agent_its_owner_stopped_is_ready_and_said_to_be_stopped(stage: Stage) -> None:
    done = await teehee("stop", "--data", stage.agent.folder)
    stopped = await stage.http.get("/readyz")
    numbers = samples((await stage.http.get("/metrics")).text)
    await teehee("resume", "--data", stage.agent.folder)

    assert done.code == 0, done.err
    assert (stopped.status_code, stopped.json()["stopped"]) == (200, ["wren"])
    assert numbers["teehee_agent_stopped", (("agent", "wren"),)] == 1
    assert (await stage.http.get("/readyz")).json()["stopped"] == []


# -- numbers


async def test_metrics_are_what_prometheus_reads(stage: Stage) -> None:
    before = samples((await stage.http.get("/metrics")).text)
    await stage.agent.say("count me", id="counted")
    answer = await stage.http.get("/metrics")
    after = samples(answer.text)

    def grew(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert grew("teehee_messages_total", agent="wren", source="terminal") == 1
    assert grew("teehee_answers_total", agent="wren", source="terminal") == 1
    assert grew("teehee_answer_seconds_count", agent="wren") == 1
    assert grew("teehee_answer_seconds_bucket", agent="wren", le="+Inf") == 1
    assert 0 < grew("teehee_answer_seconds_sum", agent="wren") < SECONDS
    assert grew("teehee_outcomes_total", state="delivered") == 1
    assert grew("teehee_egress_answers_total", rule="model-wren", status="200") == 1
    assert after["teehee_ready", ()] == 1
    assert after["teehee_link_up", (("peer", "vault"),)] == 1
    assert after["process_resident_memory_bytes", ()] > 1 << 20


async def test_the_minds_numbers_are_among_them(stage: Stage) -> None:
    await stage.agent.say("and me", id="counted-too")
    async with asyncio.timeout(SECONDS):
        while True:
            found = samples((await stage.http.get("/metrics")).text)
            if ("teehee_model_tokens_total", (("agent", "wren"), ("direction", "input"))) in found:
                break
            await asyncio.sleep(0.05)

    assert found["teehee_model_calls_total", (("agent", "wren"), ("result", "ok"))] >= 1
    assert found["teehee_actions_total", (("action", "REPLY"), ("agent", "wren"), ("result", "done"))] >= 1
    assert found["teehee_messages_waiting", (("agent", "wren"),)] == 0


async def test_a_silence_and_a_postponement_are_counted_by_code(stage: Stage) -> None:
    stage.model.script = [Raw(b"", status=503), block("", actions="IGNORE")]
    told = await stage.agent.say("say nothing", id="silent", wait=5.0)
    async with asyncio.timeout(SECONDS):
        while True:
            found = samples((await stage.http.get("/metrics")).text)
            if ("teehee_turns_ended_total", (("agent", "wren"), ("code", "ignored"))) in found:
                break
            await asyncio.sleep(0.05)

    assert told["state"] == "model-down"
    assert found["teehee_turns_postponed_total", (("agent", "wren"), ("code", "model-down"))] == 1
    assert found["teehee_egress_answers_total", (("rule", "model-wren"), ("status", "503"))] == 1


async def test_a_made_up_action_makes_no_label(stage: Stage) -> None:
    stage.model.script = [block("hm", actions="REPLY,CANARY_ACTION_44AB")]
    await stage.agent.say("what will you do?", id="made-up")

    assert "CANARY_ACTION_44AB" not in (await stage.http.get("/metrics")).text


async def test_every_metric_is_in_the_page_for_operators(stage: Stage) -> None:
    text = (await stage.http.get("/metrics")).text
    page = (Path(__file__).parents[1] / "docs/operate.md").read_text()

    told = {family.name for family in text_string_to_metric_families(text) if family.name.startswith("teehee_")}
    assert told == {*metrics.COUNTERS, *metrics.HISTOGRAMS, *metrics.GAUGES}
    assert [name for name in told if f"`{name}" not in page] == []


async def test_the_library_of_metrics_is_loaded_only_when_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        gate = agent.supervisor.gate.pid
        before = resident(gate)
        async with httpx.AsyncClient(base_url=agent.url) as http:
            await http.get("/metrics")
            grown = resident(gate) - before

    assert 0 < grown < 6 << 20


def resident(pid: int) -> int:
    (line,) = [line for line in proc(pid, "status").splitlines() if line.startswith(b"VmRSS")]
    return int(line.split()[1]) * 1024


def proc(pid: int, file: str) -> bytes:
    return Path(f"/proc/{pid}/{file}").read_bytes()


async def test_metrics_ask_for_the_token_they_were_given(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"], host="0.0.0.0", metrics_token=TOKEN) as agent:
        url = agent.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=url) as http:
            given = [
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": TOKEN},
                {"authorization": f"Bearer {TOKEN}"},
            ]
            await ready(http, 200)
            codes = [(await http.get("/metrics", headers=headers)).status_code for headers in given]
            probes = [(await http.get(path)).status_code for path in ("/healthz", "/readyz")]
        files = [path for path in agent.folder.rglob("*") if path.is_file()]
        pids = [getattr(agent.supervisor, name).pid for name in ("vault", "gate", "mind")]
        told = [proc(pid, file) for pid in pids for file in ("environ", "cmdline")]

        assert codes == [403, 403, 403, 200]
        assert probes == [200, 200]
        assert [path.name for path in files if TOKEN.encode() in path.read_bytes()] == []
        assert not any(TOKEN.encode() in one for one in told)


async def test_metrics_are_closed_to_the_world_without_a_token(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"], host="0.0.0.0") as agent:
        async with httpx.AsyncClient(base_url=agent.url.replace("0.0.0.0", "127.0.0.1")) as http:
            answer = await http.get("/metrics")

    assert answer.status_code == 403
    assert "TEEHEE_METRICS_TOKEN" in answer.text


# -- traces


async def test_a_turn_is_a_trace_in_the_conventions_of_generative_ai(stage: Stage) -> None:
    root = next(span for span in stage.collector.spans if not span.parent_span_id)
    below = {span.name: span for span in stage.collector.spans if span.parent_span_id == root.span_id}
    told, call = facts(root), facts(below["chat scripted-1"])

    assert stage.collector.resource["service.name"] == "teehee"
    assert root.name == "invoke_agent Wren"
    assert told["gen_ai.operation.name"] == "invoke_agent"
    assert told["gen_ai.agent.id"] == stage.agent.agent["agent"]
    assert told["gen_ai.agent.name"] == "Wren"
    assert told["gen_ai.conversation.id"]
    assert told["teehee.policy.rule"] == "base.reply"
    assert below["chat scripted-1"].kind == Span.SPAN_KIND_CLIENT
    assert call["gen_ai.operation.name"] == "chat"
    assert call["gen_ai.provider.name"] == "openai"
    assert call["gen_ai.request.model"] == "scripted-1"
    assert (call["gen_ai.request.temperature"], call["gen_ai.request.max_tokens"]) == (0.7, 1024)
    assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (1, 1)
    assert facts(below["execute_tool REPLY"])["gen_ai.tool.name"] == "REPLY"
    assert {"teehee.witness", "teehee.accept", "teehee.submit", "teehee.deliver", "teehee.provider CHARACTER"} <= {
        *below
    }
    assert all(span.trace_id == root.trace_id for span in below.values())
    assert all(root.start_time_unix_nano <= s.start_time_unix_nano <= s.end_time_unix_nano for s in below.values())
    assert root.end_time_unix_nano >= below["teehee.deliver"].end_time_unix_nano


async def test_the_names_are_those_the_conventions_package_has(stage: Stage) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

    known = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    used = {key for span in stage.collector.spans for key in facts(span) if key.startswith("gen_ai.")}

    assert used
    assert used <= known


async def test_a_turn_that_went_wrong_is_an_error_and_a_silence_is_none(stage: Stage) -> None:
    stage.model.script = ["no block", "none again"]
    stage.collector.spans.clear()
    await stage.agent.say("confuse yourself", id="unfit")
    stage.model.script = [block("", actions="IGNORE")]
    await stage.agent.say("ignore me", id="ignored")
    roots = {facts(span)["teehee.code"]: span for span in await stage.collector.roots(2)}

    assert roots["model-unfit"].status.code == Status.STATUS_CODE_ERROR
    assert facts(roots["model-unfit"])["error.type"] == "model-unfit"
    assert roots["ignored"].status.code == Status.STATUS_CODE_UNSET


async def test_nothing_that_was_said_is_in_traces_metrics_or_logs(stage: Stage) -> None:
    bodies = b"".join(stage.collector.bodies)
    numbers = (await stage.http.get("/metrics")).content + (await stage.http.get("/readyz")).content
    logs = b"".join(path.read_bytes() for path in (stage.agent.folder / "logs").iterdir())

    assert b"invoke_agent" in bodies
    assert b"answer_asked_again" in logs
    for word in (QUESTION, ANSWER, THOUGHT, "confuse yourself"):
        assert word.encode() not in bodies + numbers + logs


async def test_content_travels_only_where_it_is_asked_for(tmp_path: Path) -> None:
    collector = Collector()
    async with collector.open():
        endpoint = f"http://127.0.0.1:{collector.port}/v1/traces"
        async with running(tmp_path, ["wren"], otlp_endpoint=endpoint, otlp_content=True) as agent:
            told = await agent.say(QUESTION, id="1")
            (root,) = await collector.roots(1)

    said = {way: json.loads(facts(root)[f"gen_ai.{way}.messages"]) for way in ("input", "output")}
    assert said["input"] == [{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}]
    assert said["output"][0]["parts"][0]["content"] == told["messages"][0]["text"]


async def test_a_collector_that_is_away_costs_no_reply_and_no_stop(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"], otlp_endpoint=f"http://127.0.0.1:{free_port()}") as agent:
        told = [await agent.say("hello", id=str(number)) for number in range(3)]
        started = time.monotonic()

    assert all(one["messages"] for one in told)
    assert time.monotonic() - started < 12


async def test_a_missing_extra_is_told_with_its_name() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk.resources'] = None\n"
        "from teehee.gate.traces import exporting\n"
        "try:\n    exporting('http://127.0.0.1:1').__enter__()\n"
        "except Exception as error:\n    print(type(error).__name__, error, error.hint)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()

    assert out.decode().startswith("ConfigError otlp_endpoint is set, but opentelemetry.sdk.resources is not installed")
    assert "teehee[otel]" in out.decode()


# -- one message at a time


async def test_trace_tells_each_step_with_its_time(stage: Stage) -> None:
    done = await teehee("trace", "first", "--data", stage.agent.folder)
    steps = [line.split(" ms  ", 1)[1] for line in done.out.splitlines() if " ms  " in line]

    assert done.code == 0, done.err
    order = [
        "said",
        "accepted",
        "the turn began",
        "the model was asked (first)",
        "decided: REPLY",
        "committed",
        "delivered",
    ]
    places = [next(n for n, step in enumerate(steps) if step.startswith(start)) for start in order]
    assert places == sorted(places)
    assert any(step.startswith("witnessed by the vault") for step in steps)
    assert "1 tokens in, 1 out" in done.out
    assert "model      scripted-1, temperature 0.7" in done.out
    assert "policy     allowed by base.reply" in done.out
    assert QUESTION not in done.out
    assert ANSWER not in done.out


async def test_trace_takes_an_effect_an_event_or_the_latest(stage: Stage) -> None:
    told = await stage.agent.say("name me", id="named", room="aside")
    effect = told["messages"][0]["id"]

    by_effect = (await teehee("trace", effect, "--json", "--data", stage.agent.folder)).json
    by_event = (await teehee("trace", by_effect["event"], "--json", "--data", stage.agent.folder)).json
    by_message = (await teehee("trace", "named", "--room", "aside", "--json", "--data", stage.agent.folder)).json
    latest = (await teehee("trace", "--json", "--data", stage.agent.folder)).json

    assert by_effect["ledger"]["effects"][0]["id"] == effect
    assert by_effect == by_event == by_message == latest
    assert by_effect["state"] == "done"


async def test_trace_of_nothing_and_of_nobody_say_so(stage: Stage, tmp_path: Path) -> None:
    unknown = await teehee("trace", "never-said", "--data", stage.agent.folder)
    nobody = await teehee("trace", "--data", tmp_path)

    assert unknown.code != 0
    assert "no turn 'never-said' is kept" in unknown.err
    assert (nobody.code, "teehee run" in nobody.err) == (2, True)


async def test_replay_says_the_turn_came_out_the_same(stage: Stage) -> None:
    asked = len(stage.model.requests)
    leaves = len(await stage.agent.leaves())

    done = await teehee("replay", "first", "--data", stage.agent.folder)

    assert done.code == 0, done.err
    assert "came out the same" in done.out
    assert len(stage.model.requests) == asked
    assert len(await stage.agent.leaves()) == leaves


PLUGIN = """
import pathlib
from teehee.plugin import Plugin, Result, Turn, action

@action("ROLL")
async def roll(turn: Turn) -> Result:
    "Roll a die."
    bias = int(pathlib.Path(__file__).with_name("bias").read_text())
    await turn.remember("rolled", table="dice")
    return Result(f"it shows {turn.random.randint(1, 6) + bias}, roll {len(await turn.recall(table='dice'))}")

plugin = Plugin("loaded", "Dice with a thumb on them.", actions=[roll])
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """A folder with a plugin whose dice can be tampered with."""
    package = tmp_path / "plugins" / "teehee_loaded"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLUGIN)
    (package / "bias").write_text("0")
    info = tmp_path / "plugins" / "teehee_loaded-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: teehee-loaded\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[teehee.plugins]\nloaded = teehee_loaded:plugin\n")
    return tmp_path / "plugins"


async def test_replay_shows_what_came_out_differently(tmp_path: Path, loaded: Path) -> None:
    (tmp_path / "ada.json").write_text(json.dumps({"name": "Ada", "bio": ["Rolls."], "plugins": ["loaded"]}))
    async with (
        ScriptedModel(speak=lambda request: block("", actions="ROLL")) as model,
        running(tmp_path / "data", [str(tmp_path / "ada.json")], model_url=model.url, plugin_path=str(loaded)) as agent,
    ):
        told = await agent.say("roll", id="1")
        same = await teehee("replay", "1", "--data", agent.folder)
        (loaded / "teehee_loaded/bias").write_text("10")
        other = await teehee("replay", "1", "--data", agent.folder)
        again = await agent.say("roll", id="2")

    assert told["messages"][0]["text"].endswith("roll 1")
    assert again["messages"][0]["text"].endswith("roll 2")  # the replays remembered nothing
    assert (same.code, same.err) == (0, "")
    assert other.code == 5
    assert "came out differently" in other.out
    assert f'recorded  ["{told["messages"][0]["text"]}"]' in other.out

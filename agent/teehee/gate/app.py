"""The gate's life: two listeners (the world's and the mind's), the terminal's socket, and the links between."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from teehee.errors import ConfigError
from teehee.gate import costs, minds
from teehee.gate.accounts import Accounts
from teehee.gate.alarms import Alarms
from teehee.gate.collateral import Collateral
from teehee.gate.connectors.office import GateOffice
from teehee.gate.connectors.running import running
from teehee.gate.connectors.terminal import TerminalConnector
from teehee.gate.conversation import Conversation, made_of
from teehee.gate.credentials import SecretNews, handed_over
from teehee.gate.doorway import Doorway
from teehee.gate.egress import Egress
from teehee.gate.files import Door, Files
from teehee.gate.health import Health
from teehee.gate.mailroom import Mailroom, parse_due
from teehee.gate.metrics import Counts
from teehee.gate.spend import LATE_SECONDS, Spend
from teehee.gate.traces import Traces, exporting
from teehee.gate.web.about import About
from teehee.gate.web.access import Access
from teehee.gate.web.api import ChatApi
from teehee.gate.web.app import LOOPBACK, SameSite, routes
from teehee.gate.web.evidence import Evidence
from teehee.gate.web.hooks import Hooks
from teehee.gate.web.owner import OwnerPost
from teehee.gate.web.page import ChatPage
from teehee.gate.web.signals import Signals
from teehee.gate.web.status import Status
from teehee.log import configure, get_logger
from teehee.wire import boot, child, failpoints, paths, strict
from teehee.wire.client import Client, Notify
from teehee.wire.messages import Draft, Ended
from teehee.wire.server import Server

Json = Any
DEFAULT_PORT = 7337
GRACE_SECONDS = 3
KEEP_ALIVE_SECONDS = 75  # longer than any client keeps an idle connection: none is closed under a request
DRAIN_SECONDS = 5.0  # for turns under way, where no supervisor stops the mind first
log = get_logger()


async def serve(settings: boot.GateBoot, life: child.Life) -> None:
    """Runs the gate until it is told to stop; draining closes the doors to new messages first."""
    configure("gate", settings.log_level)
    failpoints.arm(settings.failpoint, Path(settings.data) / "failpoints")
    folder = Path(settings.sockets)
    async with contextlib.AsyncExitStack() as stack:
        world = _bind(settings.host, settings.port)
        counts = Counts()
        news = SecretNews()
        vault, mailroom = await _vault(stack, folder, counts, news)
        hear = _hear(mailroom, lambda ended: traces.ended(ended))
        to_mind = _to_mind(settings, hear)
        traces = await _traces(stack, settings, vault, to_mind, counts)
        mind = await stack.enter_async_context(to_mind)
        public = await stack.enter_async_context(Client(paths.socket_in(folder, "vault-public")))
        spend = _spend(stack, settings, life)
        credentials = await stack.enter_async_context(handed_over(vault, settings.egress, news))
        url = f"http://{_shown_host(settings.host)}:{world.getsockname()[1]}"
        faces = {face.slug: face for face in settings.faces}
        files = Files()
        keep = (files,) if spend is None else (spend, files)
        doorway = Doorway(vault, mind, frozenset(face.agent for face in settings.faces), keep, counts)
        conversation = Conversation(doorway, mailroom, mind, faces)
        alarms, accounts = Alarms(life.tell), Accounts(public, settings.trust)
        methods = TerminalConnector(
            conversation, public, url, settings.trust, _spent(settings, spend), alarms, accounts
        ).methods()
        terminal = Server("terminal", paths.socket_in(folder, "terminal"), methods, log.info)
        await terminal.start()
        stack.push_async_callback(terminal.close)

        api = ChatApi(conversation, public)
        evidence = Evidence(conversation, public, Collateral(settings.collateral, settings.pccs), accounts)
        page = ChatPage(conversation, api, settings.trust)
        hosts = LOOPBACK if settings.host in ("127.0.0.1", "localhost", "::1") else None
        health = Health(doorway, mailroom, faces, alarms)
        status = Status(health, counts, faces, settings.trust, settings.metrics_token_hash, open=hosts is not None)
        signals = Signals(conversation, api)
        hooks, owner = Hooks(), OwnerPost(vault)
        site = routes(api, page, About(conversation, api, public), evidence, signals, status, hooks, owner)
        guarded = Access(site, settings.access_token) if settings.access_token else site
        await stack.enter_async_context(_listen(SameSite(guarded, hosts), world))
        for way, agents in _ways_out(settings).items():
            rules = tuple(rule for rule in settings.egress if rule.agent in agents)
            egress = await _opened(stack, Egress(rules, credentials, spend, counts))
            stack.callback(way.unlink, missing_ok=True)
            await stack.enter_async_context(_listen(Door(files, agents, egress), paths.bind(way)))
        offices = _offices(settings, doorway, mailroom, public, alarms, hooks, files, news, accounts)
        life.ready(url=url)
        await stack.enter_async_context(running(settings.connectors, offices, counts))
        await life.draining.wait()
        doorway.closed = life.is_alone or not life.stopping.is_set()  # stopped undrained: another gate takes over
        if life.is_alone:
            await mailroom.quiet(DRAIN_SECONDS)
        await life.stopping.wait()
        await mailroom.settle()


def _offices(
    settings: boot.GateBoot,
    doorway: Doorway,
    mailroom: Mailroom,
    public: Client,
    alarms: Alarms,
    hooks: Hooks,
    files: Files,
    news: SecretNews,
    accounts: Accounts,
) -> Callable[[boot.ConnectorBoot], GateOffice]:
    """Makes the office of a connector."""
    faces = {face.agent: face for face in settings.faces}

    def office(of: boot.ConnectorBoot) -> GateOffice:
        face, shown = faces[of.agent], (settings.trust, settings.public_url)
        tell, posted = alarms.tell, hooks.posted
        return GateOffice(face, of.plugin, doorway, mailroom, public, tell, posted, shown, files, news, accounts)

    return office


def _to_mind(settings: boot.GateBoot, hear: Notify) -> Client:
    """The link to the mind; where each agent has its own, to all of them."""
    folder = Path(settings.sockets)
    if not settings.isolated:
        return Client(paths.socket_in(folder, "mind"), on_connect=_subscribe, on_notify=hear)
    agents = [face.agent for face in settings.faces]
    links = {
        agent: Client(
            paths.socket_in(paths.of_mind(folder, agent), "mind"),
            on_connect=_subscribe,
            on_notify=minds.only_of(agent, hear),
        )
        for agent in agents
    }
    return minds.Minds(links)


def _ways_out(settings: boot.GateBoot) -> dict[Path, frozenset[str]]:
    """The agents by the socket of their mind: what it may ask there is theirs alone."""
    folder = Path(settings.sockets)
    agents = [face.agent for face in settings.faces]
    if not settings.isolated:
        return {paths.socket_in(folder, "gate"): frozenset(agents)}
    return {paths.socket_in(paths.of_mind(folder, agent), "gate"): frozenset({agent}) for agent in agents}


async def _opened(stack: contextlib.AsyncExitStack, egress: Egress) -> Egress:
    await egress.open()
    stack.push_async_callback(egress.close)
    return egress


def _spend(stack: contextlib.AsyncExitStack, settings: boot.GateBoot, life: child.Life) -> Spend | None:
    """The account of model calls; none where no agent can make any."""
    if not settings.purses:
        return None
    loop = asyncio.get_running_loop()

    def later(work: Callable[[], None]) -> None:
        loop.call_later(LATE_SECONDS, work)

    spend = Spend(Path(settings.data) / costs.FILE, settings.purses, settings.in_all, _now, life.tell, later)
    stack.callback(spend.close)
    return spend


def _now() -> int:
    return time.time_ns() // 1_000_000


def _spent(settings: boot.GateBoot, spend: Spend | None) -> Callable[[int], Json]:
    if spend is None:
        return lambda days: costs.read(Path(settings.data), days)

    def spent(days: int) -> Json:
        spend.flush()
        return costs.report(spend.db, days)

    return spent


async def _vault(
    stack: contextlib.AsyncExitStack, folder: Path, counts: Counts, news: SecretNews
) -> tuple[Client, Mailroom]:
    """The link to the vault: whenever it comes (back), what is due is handed to the mailroom."""

    def hear(method: str, params: Json) -> None:
        if method == "effect.due":
            mailroom.due(parse_due(params))
        elif method == "agent.stopped":
            mailroom.stop(params["agent"])
        elif method == "agent.resumed":
            mailroom.spawn(mailroom.resume(params["agent"]))
        elif method == "secret.changed":
            news.tell(params["name"])

    async def catch_up(link: Client) -> None:
        await link.call("subscribe")
        news.tell()
        mailroom.due(parse_due(await link.call("effect.due")))

    vault = Client(paths.socket_in(folder, "vault-gate"), on_connect=catch_up, on_notify=hear)
    mailroom = Mailroom(vault, counts)
    return await stack.enter_async_context(vault), mailroom


async def _subscribe(link: Client) -> None:
    await link.call("subscribe")


def _hear(mailroom: Mailroom, closed: Callable[[Json], None]) -> Any:
    def hear(method: str, params: Json) -> None:
        if method == "turn.ended":
            mailroom.ended(strict.parse(Ended, params))
        elif method == "turn.draft":
            mailroom.drafts.hear(strict.parse(Draft, params))
        elif method == "turn.closed":
            closed(params)

    return hear


async def _traces(
    stack: contextlib.AsyncExitStack, settings: boot.GateBoot, vault: Client, mind: Client, counts: Counts
) -> Traces:
    """Where turns that end are written out to; nothing is loaded when no collector is named."""
    tracer = stack.enter_context(exporting(settings.otlp)) if settings.otlp else None

    async def ask(ended: Json) -> Json:
        made = await made_of(vault, mind, ended)
        return made | {"words": await mind.call("turn.words", ended)} if settings.otlp_content else made

    traces = Traces(tracer, ask, {face.agent: face.name for face in settings.faces}, counts)
    stack.push_async_callback(traces.close)
    return traces


class _Listener(uvicorn.Server):
    """A server that leaves signals alone: the supervisor speaks through stdin and SIGTERM only."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _listen(app: Any, sock: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False, date_header=False,
        ws="none", http="httptools", timeout_graceful_shutdown=GRACE_SECONDS, h11_max_incomplete_event_size=65536,
        limit_concurrency=4096, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )  # fmt: skip
    server = _Listener(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers a flag, not an event
        await asyncio.sleep(0.002)
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _bind(host: str, port: int) -> socket.socket:
    """The world's socket. Port 0 means the usual one if it is free, else any."""
    tries = (port,) if port else (DEFAULT_PORT, 0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in tries:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, number))
        except OSError as error:
            sock.close()
            if number == tries[-1]:
                raise ConfigError(
                    f"cannot listen on {host}:{number}: {error.strerror}",
                    hint="choose another with --port, or leave it out for any that is free",
                ) from error
            continue
        sock.setblocking(False)
        return sock
    raise AssertionError("unreachable: the last try binds or raises")


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host

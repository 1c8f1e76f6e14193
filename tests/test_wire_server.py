"""Server and client together, over real sockets: whatever one connection does, it does to itself only."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from raw_peer import RawPeer, connected
from teehee.errors import Refused, TeeheeError, Unavailable
from teehee.testing import until
from teehee.wire import frames, server
from teehee.wire.client import Client
from teehee.wire.server import Handler, Server
from teehee.wire.strict import Malformed

Json = Any
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n'


@dataclass
class Log:
    """Keeps what the server says it did."""

    lines: list[tuple[str, dict[str, Json]]] = field(default_factory=list)

    def __call__(self, event: str, **facts: Json) -> None:
        self.lines.append((event, facts))


@dataclass
class Served:
    server: Server
    log: Log

    @property
    def path(self) -> Path:
        return self.server.path


def hello(params: dict[str, Json]) -> Json:
    return {"hello": params.get("name", "you")}


@contextlib.asynccontextmanager
async def serving(
    path: Path, methods: Mapping[str, Handler] | None = None, *, most: int = server.CONNECTIONS
) -> AsyncIterator[Served]:
    """A server of one role, `mind`, which knows `hello` and whatever else is given."""
    log = Log()
    served = Server("mind", path, {"hello": hello, **(methods or {})}, log, most=most)
    await served.start()
    try:
        yield Served(served, log)
    finally:
        await served.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "vault-mind.sock") as one:
        yield one


async def goes_on_working(peer: RawPeer) -> None:
    assert (await peer.ask("hello", {"name": "Ada"}))["result"] == {"hello": "Ada"}


# -- what is asked is answered


async def test_a_call_is_answered(served: Served) -> None:
    async with Client(served.path) as client:
        told = await client.call("hello", {"name": "Ada"})

    assert told == {"hello": "Ada"}


async def test_a_request_may_arrive_in_pieces(served: Served) -> None:
    async with connected(served.path) as peer:
        for byte in HELLO:
            await peer.write(bytes([byte]))

        assert (await peer.answer())["result"] == {"hello": "you"}


async def test_pipelined_requests_are_each_answered_under_their_id(served: Served) -> None:
    asked = [{"jsonrpc": "2.0", "id": i, "method": "hello", "params": {"name": str(i)}} for i in range(100)]

    async with connected(served.path) as peer:
        await peer.write(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
        told = [await peer.answer() for _ in asked]

    assert {one["id"]: one["result"]["hello"] for one in told} == {i: str(i) for i in range(100)}


async def test_a_slow_answer_holds_up_no_other(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(params: dict[str, Json]) -> Json:
        await go.wait()
        return "slow"

    async with serving(tmp_path / "s.sock", {"slow": slow}) as served, connected(served.path) as peer:
        await peer.write(b'{"jsonrpc":"2.0","id":"slow","method":"slow"}\n' + HELLO)
        first = await peer.answer()
        go.set()
        second = await peer.answer()

    assert [first["id"], second["id"]] == [1, "slow"]


async def test_a_notification_gets_no_answer(served: Served) -> None:
    async with connected(served.path) as peer:
        await peer.send({"jsonrpc": "2.0", "method": "hello"})

        assert (await peer.ask("hello"))["id"] == 1


async def test_an_error_of_ours_reaches_the_caller_as_it_was_raised(tmp_path: Path) -> None:
    def no(params: dict[str, Json]) -> Json:
        raise Refused("base.empty", "a part without text says nothing")

    async with serving(tmp_path / "s.sock", {"no": no}) as served, Client(served.path) as client:
        with pytest.raises(Refused) as caught:
            await client.call("no")

    assert caught.value.rule == "base.empty"
    assert served.log.lines[0][0] == "request_refused"
    assert served.log.lines[0][1]["method"] == "no"


async def test_a_crash_in_a_handler_is_logged_and_tells_the_caller_nothing(tmp_path: Path) -> None:
    async def crash(params: dict[str, Json]) -> Json:
        raise KeyError("SECRET-CANARY")

    async with serving(tmp_path / "s.sock", {"crash": crash}) as served, connected(served.path) as peer:
        told = await peer.ask("crash")
        await goes_on_working(peer)

    assert told["error"] == {"code": frames.INTERNAL, "message": "internal error; the log has it"}
    (event, facts) = served.log.lines[0]
    assert event == "request_failed"
    assert isinstance(facts["exc_info"], KeyError)


# -- malformed, batched, oversized, of another role


@pytest.mark.parametrize(
    ("code", "line"),
    [
        pytest.param(frames.PARSE, b"hello\n", id="no JSON"),
        pytest.param(frames.PARSE, b"\n", id="an empty line"),
        pytest.param(frames.PARSE, b"\xff\xff\n", id="no UTF-8"),
        pytest.param(frames.PARSE, b"[" * 100_000 + b"\n", id="nested without end"),
        pytest.param(frames.INVALID, b"[" + HELLO[:-1] + b"]\n", id="a batch"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1,"method":"hello","role":"owner"}\n', id="another key"),
        pytest.param(frames.BAD_PARAMS, b'{"jsonrpc":"2.0","id":1,"method":"hello","params":[1]}\n', id="list params"),
    ],
)
async def test_a_malformed_line_is_refused_and_logged_and_the_connection_goes_on(
    served: Served, code: int, line: bytes
) -> None:
    async with connected(served.path) as peer, connected(served.path) as other:
        await peer.write(line)
        told = await peer.answer()
        await goes_on_working(peer)
        await goes_on_working(other)

    assert told["error"]["code"] == code
    assert [event for event, _ in served.log.lines] == ["request_refused"]
    assert served.log.lines[0][1]["role"] == "mind"


async def test_a_method_of_another_role_does_not_exist(served: Served) -> None:
    async with connected(served.path) as peer:
        told = await peer.ask("event.witness", {"agent": "a"})
        await goes_on_working(peer)

    assert told["error"]["code"] == frames.NO_METHOD
    assert told["error"]["message"] == "the mind role has no 'event.witness'"
    assert served.log.lines[0][1]["error"] == "the mind role has no 'event.witness'"


async def test_a_refused_request_is_answered_under_its_own_id(served: Served) -> None:
    async with connected(served.path) as peer:
        told = await peer.ask("event.witness")

    assert told["id"] == 1


async def test_a_caller_of_a_method_that_does_not_exist_is_told_at_once(served: Served) -> None:
    async with Client(served.path) as client:
        with pytest.raises(Malformed, match=r"the mind role has no 'secret\.get'"):
            await client.call("secret.get", {"name": "x"}, patience=5.0)


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["without an end", "as one line"])
async def test_an_oversized_message_closes_its_connection_and_no_other(served: Served, end: bytes) -> None:
    async with connected(served.path) as peer, connected(served.path) as other:
        await peer.write(b"x" * (frames.LINE_LIMIT + 1) + end)

        assert (await peer.answer())["error"]["message"] == "a message may have 1048576 bytes"
        assert await peer.is_closed()
        await goes_on_working(other)

    assert served.log.lines[0][0] == "request_refused"


async def test_a_message_of_just_the_limit_is_taken(served: Served) -> None:
    head, tail = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"name":"', b'"}}'
    padding = b"x" * (frames.LINE_LIMIT - len(head) - len(tail))

    async with connected(served.path) as peer:
        await peer.write(head + padding + tail + b"\n")

        assert len((await peer.answer())["result"]["hello"]) == len(padding)


async def test_strikes_close_the_connection_and_no_other(served: Served) -> None:
    async with connected(served.path) as peer, connected(served.path) as other:
        await peer.write(b"nonsense\n" * (server.STRIKES + 5))
        told = []
        while (one := await peer.read()) is not None:
            told.append(one)
        await goes_on_working(other)

    assert [one["error"]["code"] for one in told] == [frames.PARSE] * server.STRIKES
    assert len(served.log.lines) == server.STRIKES


async def test_nothing_is_done_for_what_comes_after_the_last_strike(tmp_path: Path) -> None:
    done: list[int] = []

    async with serving(tmp_path / "s.sock", {"do": lambda params: done.append(1)}) as served:
        async with connected(served.path) as peer:
            await peer.write(b"nonsense\n" * server.STRIKES + b'{"jsonrpc":"2.0","id":1,"method":"do"}\n')

            assert await peer.is_closed()

    assert done == []


async def test_a_refusal_by_a_rule_is_no_strike(tmp_path: Path) -> None:
    def no(params: dict[str, Json]) -> Json:
        raise Refused("base.empty", "nothing")

    async with serving(tmp_path / "s.sock", {"no": no}) as served, connected(served.path) as peer:
        for _ in range(server.STRIKES * 2):
            assert (await peer.ask("no"))["error"]["data"]["rule"] == "base.empty"

        await goes_on_working(peer)


# -- floods


async def test_too_many_unanswered_requests_close_the_connection_and_no_other(tmp_path: Path) -> None:
    started = 0

    async def never(params: dict[str, Json]) -> Json:
        nonlocal started
        started += 1
        await asyncio.Event().wait()

    line = b'{"jsonrpc":"2.0","id":1,"method":"never"}\n'
    async with serving(tmp_path / "s.sock", {"never": never}) as served:
        async with connected(served.path) as peer, connected(served.path) as other:
            await peer.write(line * (server.IN_FLIGHT + 100))

            assert (await peer.answer())["error"][
                "message"
            ] == f"{server.IN_FLIGHT} requests may wait for an answer at once"
            assert await peer.is_closed()
            await goes_on_working(other)
        await cancelled(served.server)

    assert started <= server.IN_FLIGHT


async def test_answered_requests_make_room_for_more(served: Served) -> None:
    async def soon(params: dict[str, Json]) -> Json:
        return 1

    served.server.methods["soon"] = soon
    async with connected(served.path) as peer:
        for _ in range(3):
            await peer.write(b'{"jsonrpc":"2.0","id":1,"method":"soon"}\n' * (server.IN_FLIGHT - 1))
            told = [await peer.answer() for _ in range(server.IN_FLIGHT - 1)]

            assert all(one["result"] == 1 for one in told)


async def test_a_reader_that_does_not_read_is_dropped_and_no_other_is(served: Served) -> None:
    answers = {"hello": lambda params: "x" * 500_000}
    served.server.methods.update(answers)

    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, str(served.path))
        async with connected(served.path) as other, Client(served.path) as client:
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(deaf, HELLO * 50)
            while not any(event == "slow_reader_dropped" for event, _ in served.log.lines):
                await client.call("hello")

            assert len((await other.ask("hello"))["result"]) == 500_000
            assert len(served.server.connections) == 2


async def test_one_who_asks_without_end_lets_others_have_their_turn(tmp_path: Path) -> None:
    done = 0

    def work(params: dict[str, Json]) -> Json:
        nonlocal done
        done += 1

    async with serving(tmp_path / "s.sock", {"work": work}) as served:
        async with connected(served.path) as busy, connected(served.path) as other:
            await busy.write(b'{"jsonrpc":"2.0","id":1,"method":"work"}\n' * 5000)
            await goes_on_working(other)
            meanwhile = done
            for _ in range(5000):
                await busy.answer()

    assert meanwhile < 5000
    assert done == 5000


async def test_however_many_ask_for_much_another_socket_is_heard_between_any_two(tmp_path: Path) -> None:
    done = 0
    seen = []

    def work(params: dict[str, Json]) -> Json:
        nonlocal done
        done += 1

    async def listen() -> None:
        while done < 80:
            seen.append(done)
            await asyncio.sleep(0)

    long = json.dumps({"jsonrpc": "2.0", "method": "work", "params": {"agent": "x" * server.BYTES_AT_ONCE}}).encode()
    async with serving(tmp_path / "s.sock", {"work": work}), contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(tmp_path / "s.sock")) for _ in range(8)]
        listening = asyncio.ensure_future(listen())
        await asyncio.gather(*(peer.write((long + b"\n") * 10) for peer in crowd))
        await listening

    assert max(after - before for before, after in itertools.pairwise([*seen, done])) == 1


async def test_a_turn_that_breaks_off_leaves_the_others_theirs(served: Served) -> None:
    def full(event: str, **facts: object) -> None:
        raise OSError(28, "No space left on device")

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    served.server.log = full
    async with connected(served.path) as busy, connected(served.path) as other:
        await busy.write(HELLO * 40 + b"nonsense\n" * 40)
        for _ in range(40):
            await busy.answer()

        assert (await other.ask("hello"))["result"] == {"hello": "you"}


async def test_lines_that_wait_their_turn_are_answered_in_order(served: Served) -> None:
    line = '{{"jsonrpc":"2.0","id":{},"method":"hello"}}\n'

    async with connected(served.path) as peer:
        await peer.write("".join(line.format(number) for number in range(2000)).encode())
        told = [(await peer.answer())["id"] for _ in range(2000)]

    assert told == list(range(2000))


async def test_a_connection_more_than_a_role_may_have_is_closed_and_the_others_go_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "s.sock", most=2) as served:
        async with connected(served.path) as one, connected(served.path) as two:
            await goes_on_working(one)
            await goes_on_working(two)
            async with connected(served.path) as third:
                assert await third.is_closed()
            await goes_on_working(one)
            await goes_on_working(two)
        await until(lambda: not served.server.connections)
        async with connected(served.path) as next_one:
            await goes_on_working(next_one)

    assert any("2 connections are open already" in facts.get("error", "") for _, facts in served.log.lines)


async def test_a_flood_of_refusals_is_counted_and_not_written_out(tmp_path: Path) -> None:
    def no(params: dict[str, Json]) -> Json:
        raise Refused("base.empty", "nothing")

    async with serving(tmp_path / "s.sock", {"no": no}) as served, connected(served.path) as peer:
        await peer.write(b'{"jsonrpc":"2.0","id":1,"method":"no"}\n' * 1000)
        for _ in range(1000):
            assert (await peer.answer())["error"]["data"] == {"rule": "base.empty"}

    assert len(served.log.lines) <= 2 * (server.REFUSALS_LOGGED + 1)  # a second may have ended meanwhile


# -- pushes


async def test_a_push_goes_to_subscribers_only(served: Served) -> None:
    async with connected(served.path) as listener, connected(served.path) as stranger:
        await listener.ask("subscribe")
        served.server.push("effect.due", {"effects": []})
        pushed = await listener.read()
        answer = await stranger.ask("hello")

    assert pushed == {"jsonrpc": "2.0", "method": "effect.due", "params": {"effects": []}}
    assert "result" in answer
    assert stranger.pushed == []


async def test_a_push_reaches_the_client_that_asked_for_it(served: Served) -> None:
    heard: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()

    async def subscribe(link: Client) -> None:
        await link.call("subscribe")

    async with Client(served.path, on_connect=subscribe, on_notify=lambda *push: heard.put_nowait(push)) as client:
        await client.call("hello")
        served.server.push("effect.due", {"effects": [1]})

        async with asyncio.timeout(5):
            assert await heard.get() == ("effect.due", {"effects": [1]})


# -- the socket itself


async def test_a_socket_is_for_its_user_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(tmp_path / "s.sock") as served:
            mode = stat.S_IMODE(served.path.stat().st_mode)
            after = os.umask(0)
    finally:
        os.umask(before)

    assert mode == 0o600
    assert after == 0


async def test_a_path_too_long_for_the_kernel_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)

    async with serving(folder / "vault-mind.sock") as served, Client(served.path) as client:
        mode = stat.S_IMODE(served.path.stat().st_mode)
        told = await client.call("hello")

    assert told == {"hello": "you"}
    assert mode == 0o600
    assert not served.path.exists()


async def test_a_folder_made_anew_under_the_same_long_path_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    for _ in range(2):
        folder.mkdir()
        async with serving(folder / "s.sock") as served, Client(served.path) as client:
            assert await client.call("hello", patience=5.0) == {"hello": "you"}
        folder.rmdir()


async def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with serving(path) as served, Client(served.path) as client:
        assert await client.call("hello") == {"hello": "you"}


# -- the client, through its peer's restarts


async def test_a_call_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    async with Client(tmp_path / "s.sock") as client:
        told = asyncio.ensure_future(client.call("hello"))
        await asyncio.sleep(0)
        async with serving(tmp_path / "s.sock"):
            assert await told == {"hello": "you"}


async def test_a_call_that_nobody_answers_ends_as_unavailable(tmp_path: Path) -> None:
    async with Client(tmp_path / "s.sock") as client:
        with pytest.raises(Unavailable, match=r"s did not answer 'hello' in 0\.05 s") as caught:
            await client.call("hello", patience=0.05)

    assert caught.value.code == "peer"


async def test_what_was_in_flight_is_sent_again_after_a_restart(tmp_path: Path) -> None:
    path, asked = tmp_path / "s.sock", asyncio.Event()

    async def never(params: dict[str, Json]) -> Json:
        asked.set()
        await asyncio.Event().wait()

    async with Client(path) as client:
        async with serving(path, {"work": never}) as first:
            told = asyncio.ensure_future(client.call("work", {"n": 1}))
            await asked.wait()
        await cancelled(first.server)
        async with serving(path, {"work": lambda params: params["n"] + 1}):
            assert await told == 2


async def test_after_every_connection_the_client_subscribes_before_it_asks(tmp_path: Path) -> None:
    path, order = tmp_path / "s.sock", list[str]()

    def note(name: str) -> Handler:
        return lambda params: order.append(name)

    async def greet(link: Client) -> None:
        await link.call("greet")

    methods = {"greet": note("greet"), "work": note("work")}
    async with Client(path, on_connect=greet) as client:
        for _ in range(2):
            async with serving(path, methods):
                await client.call("work")

    assert order == ["greet", "work"] * 2


async def test_a_greeting_that_fails_is_tried_again(tmp_path: Path) -> None:
    tries = 0

    def greet(params: dict[str, Json]) -> Json:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("not yet")

    async def on_connect(link: Client) -> None:
        await link.call("greet")

    async with serving(tmp_path / "s.sock", {"greet": greet}) as served:
        async with Client(served.path, on_connect=on_connect) as client:
            assert await client.call("hello") == {"hello": "you"}

    assert tries == 3


async def test_a_peer_that_speaks_nonsense_is_left_and_tried_again(tmp_path: Path) -> None:
    path, answers = tmp_path / "s.sock", [b"no JSON\n", b"[]\n", b'{"jsonrpc":"2.0","id":1,"result":5}\n']

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while await reader.readline():
                writer.write(answers.pop(0))

    peer = await asyncio.start_unix_server(speak, path)
    async with peer, Client(path) as client:
        assert await client.call("hello", patience=5.0) == 5


async def test_leaving_the_client_closes_its_connection(tmp_path: Path) -> None:
    path, left = tmp_path / "s.sock", asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readline()
            writer.write(b'{"jsonrpc":"2.0","id":1,"result":5}\n')
            await reader.read()
            left.set()

    peer = await asyncio.start_unix_server(serve, path)
    async with peer:
        async with Client(path) as client:
            await client.call("hello")

        async with asyncio.timeout(2):
            await left.wait()


async def test_an_error_of_the_peer_is_raised_and_not_tried_again(tmp_path: Path) -> None:
    tries = 0

    def no(params: dict[str, Json]) -> Json:
        nonlocal tries
        tries += 1
        raise TeeheeError("no")

    async with serving(tmp_path / "s.sock", {"no": no}) as served, Client(served.path) as client:
        with pytest.raises(TeeheeError):
            await client.call("no")

    assert tries == 1


# -- gate and mind live on another loop than the vault

ON_A_SERVER = (
    test_a_call_is_answered,
    test_pipelined_requests_are_each_answered_under_their_id,
    test_strikes_close_the_connection_and_no_other,
    test_answered_requests_make_room_for_more,
    test_a_reader_that_does_not_read_is_dropped_and_no_other_is,
    test_a_push_goes_to_subscribers_only,
    test_lines_that_wait_their_turn_are_answered_in_order,
)
ON_A_PATH = (
    test_too_many_unanswered_requests_close_the_connection_and_no_other,
    test_a_path_too_long_for_the_kernel_works,
    test_a_socket_is_for_its_user_only_whatever_the_umask,
    test_what_a_killed_process_left_is_replaced,
    test_what_was_in_flight_is_sent_again_after_a_restart,
    test_after_every_connection_the_client_subscribes_before_it_asks,
    test_leaving_the_client_closes_its_connection,
    test_one_who_asks_without_end_lets_others_have_their_turn,
    test_however_many_ask_for_much_another_socket_is_heard_between_any_two,
    test_a_connection_more_than_a_role_may_have_is_closed_and_the_others_go_on,
)


@pytest.mark.parametrize("claim", ON_A_SERVER)
def test_the_same_holds_on_uvloop(tmp_path: Path, claim: Callable[[Served], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(tmp_path / "vault-mind.sock") as served:
            await claim(served)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("claim", ON_A_PATH)
def test_the_same_holds_on_uvloop_of_a_path(
    tmp_path: Path, claim: Callable[[Path], Coroutine[None, None, None]]
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(claim(tmp_path))


async def cancelled(served: Server) -> None:
    """Ends the handlers a test left waiting for ever."""
    tasks = list(served._tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

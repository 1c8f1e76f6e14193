"""Runs a real chain for tests: anvil, OpenZeppelin's contracts as published, and app contracts of our own."""

import contextlib
import functools
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eliza_oracle import INSTALL_SECONDS, tool
from guest_sdk_oracle import npm_installed
from teehee.evidence.keccak import keccak256

Json = Any
SCRIPTS = Path(__file__).parent / "chain"
PUBLISHED = "node_modules/@openzeppelin/contracts/build/contracts"
ANVIL = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
COMPILE_SECONDS = 60
RECEIPT_SECONDS = 10.0
GAS = hex(8_000_000)

MAY_INSTALL = pytest.mark.timeout(INSTALL_SECONDS + 60)
"""For `pytestmark` of a module that asks a chain: its first test may wait for npm."""


@functools.cache
def folder() -> Path:
    """The folder with chain, compiler and published contracts."""
    return npm_installed("chain", SCRIPTS)


@functools.cache
def compiled() -> dict[str, str]:
    """Creation code in hex of each contract in App.sol, by its name."""
    command: list[str | Path] = [tool("node"), SCRIPTS / "compile.mjs", folder(), SCRIPTS / "App.sol"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    assert made.returncode == 0, made.stderr
    codes: dict[str, str] = json.loads(made.stdout)
    return codes


@functools.cache
def published(name: str) -> dict[str, Json]:
    """The build of an OpenZeppelin contract as the package has it: bytecode, deployedBytecode."""
    build: dict[str, Json] = json.loads((folder() / PUBLISHED / f"{name}.json").read_text())
    return build


class Chain:
    """A running chain: `chain.deploy("TwoStepApp")`, `chain.send(app, "addComposeHash(bytes32)", hash)`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accounts: list[str] = self.ask("eth_accounts")

    def ask(self, method: str, *given: Json) -> Json:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
        answer = json.loads(post(self.url, json.dumps(question).encode()))
        assert "result" in answer, answer
        return answer["result"]

    def deploy(self, name: str, signature: str = "", *values: Json) -> str:
        """The address of a new contract, of ours or a published one; `signature` is that of its constructor."""
        code = compiled().get(name) or published(name)["bytecode"].removeprefix("0x")
        address: str = self._receipt({"data": f"0x{code}{arguments(signature, *values).hex()}"})["contractAddress"]
        return address

    def send(self, to: str, signature: str, *values: Json, sender: str = "") -> None:
        self._receipt({"to": to, "data": f"0x{call(signature, *values).hex()}"}, sender)

    def code_hash(self, address: str) -> str:
        return keccak256(bytes.fromhex(self.ask("eth_getCode", address, "latest")[2:])).hex()

    def warp(self, seconds: int) -> None:
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    def _receipt(self, transaction: dict[str, Json], sender: str = "") -> Json:
        sent = self.ask("eth_sendTransaction", {"from": sender or self.accounts[0], "gas": GAS, **transaction})
        until = time.monotonic() + RECEIPT_SECONDS
        while (receipt := self.ask("eth_getTransactionReceipt", sent)) is None:
            assert time.monotonic() < until, f"no receipt of {sent}"
        assert receipt["status"] == "0x1", f"{transaction} was reverted"
        return receipt


@contextlib.contextmanager
def chain(chain_id: int = 31337) -> Iterator[Chain]:
    """A fresh chain on a free loopback port."""
    program = folder() / ANVIL
    command: list[str | Path] = [
        program,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--chain-id",
        str(chain_id),
        "--no-cors",
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            where = next((line.split()[-1] for line in process.stdout if line.startswith("Listening on ")), "")
            assert where, "anvil ended before it listened"
            threading.Thread(target=process.stdout.read, daemon=True).start()  # nothing waits for a full pipe
            yield Chain(f"http://{where}")
        finally:
            process.terminate()


Reply = tuple[int, bytes]


@contextlib.contextmanager
def between(up: Chain, change: Callable[[Json, Callable[[], Json]], Reply | Json | Iterator[bytes]]) -> Iterator[str]:
    """The address of a node between us and the chain.

    `change` gets the question and a way to ask the chain it; it gives the answer as JSON, as (status, bytes), or piece
    by piece, which ends when the connection does.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            answer = change(json.loads(question), lambda: json.loads(post(up.url, question)))
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            self.send_response(status)
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in pieces(body):
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pieces(body: Json) -> Iterator[bytes]:
    if isinstance(body, Iterator):
        yield from body
    else:
        yield body if isinstance(body, bytes) else json.dumps(body).encode()


def post(url: str, question: bytes) -> bytes:
    request = urllib.request.Request(url, question, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=RECEIPT_SECONDS) as answer:
        data: bytes = answer.read()
        return data


def call(signature: str, *values: Json) -> bytes:
    """A call of a function, such as `addComposeHash(bytes32)`."""
    return keccak256(signature.encode())[:4] + arguments(signature, *values)


def arguments(signature: str, *values: Json) -> bytes:
    """Values by Solidity's encoding: numbers, addresses and hashes as words; `bytes` and arrays of words behind."""
    kinds = [kind for kind in signature.partition("(")[2].rstrip(")").split(",") if kind]
    heads: list[bytes] = []
    tail = b""
    for kind, value in zip(kinds, values, strict=True):
        if kind == "bytes":
            heads.append(word(32 * len(kinds) + len(tail)))
            tail += word(len(value)) + value + bytes(-len(value) % 32)
        elif kind.endswith("[]"):
            heads.append(word(32 * len(kinds) + len(tail)))
            tail += word(len(value)) + b"".join(word(one) for one in value)
        else:
            heads.append(word(value))
    return b"".join(heads) + tail


def word(value: int | str | bytes) -> bytes:
    """One value in 32 bytes; text is hex."""
    if isinstance(value, bytes):
        return value.ljust(32, b"\x00")
    return (int(value, 16) if isinstance(value, str) else int(value)).to_bytes(32)


if __name__ == "__main__":
    sys.stdout.write(f"{folder()}\n")

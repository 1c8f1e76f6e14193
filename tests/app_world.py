"""A chain with a key service, where tests make apps, and check the agents whose code they rule."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain_oracle import Chain, call, chain
from dev_machine import Machine
from teehee.cli import app_contract
from teehee.cli.chain import Node
from teehee.evidence import governance
from teehee.tee.simulator import Simulator
from teehee.testing import teehee
from teehee.testing.command_line import Ended

Json = Any
SEED = bytes(range(32))
COMPOSE = Machine(Simulator(SEED)).simulator.machine.compose_hash.hex()
OTHER = "77" * 32
DAY = 86_400
NOBODY = "0x" + "0" * 40


@dataclass
class World:
    """A chain with a key service, where apps are made and checked."""

    chain: Chain
    folder: Path
    codes: dict[str, str] = field(default_factory=dict)
    kms: str = ""

    def __post_init__(self) -> None:
        self.kms = self.key_service(Machine(Simulator(SEED)).provider())

    def key_service(self, ca: bytes) -> str:
        kms = self.chain.deploy("KeyService")
        self.chain.send(kms, "setKeys(bytes,bytes)", Simulator(SEED).anchor, ca)
        return kms

    def app(self, code: str = "TwoStepApp", owner: str = "", compose_hash: str = COMPOSE) -> str:
        if code not in self.codes:
            self.codes[code] = self.chain.deploy(code)
        start = call("start(address,bytes32)", owner or self.chain.accounts[0], compose_hash)
        app = self.chain.deploy("ERC1967Proxy", "constructor(address,bytes)", self.codes[code], start)
        self.chain.send(self.kms, "registerApp(address)", app)
        return app

    def locked(self, code: str = "TwoStepApp") -> str:
        app = self.app(code)
        self.chain.send(app, "renounceOwnership()")
        return app

    def timelock(self, seconds: int) -> str:
        me = self.chain.accounts[0]
        return self.chain.deploy(
            "TimelockController", "constructor(uint256,address[],address[],address)", seconds, [me], [me], NOBODY
        )

    def schedule(self, timelock: str, target: str, data: bytes, delay: int) -> None:
        schedule = "schedule(address,uint256,bytes,bytes32,bytes32,uint256)"
        self.chain.send(timelock, schedule, target, 0, data, bytes(32), bytes(32), delay)

    def execute(self, timelock: str, target: str, data: bytes) -> None:
        self.chain.send(
            timelock, "execute(address,uint256,bytes,bytes32,bytes32)", target, 0, data, bytes(32), bytes(32)
        )

    def machine(self, app: str) -> Machine:
        return Machine(Simulator(SEED, app_id=bytes.fromhex(app[2:])))

    def known(self) -> list[str]:
        hashes = [self.chain.code_hash(address) for address in self.codes.values()]
        return [word for one in hashes for word in ("--known-code", f"implementation={one}")]

    async def verify(self, app: str, *more: object, url: str = "", known: bool = True, kms: str = "") -> Ended:
        """The verdict on an agent whose app this is."""
        machine, file, root = self.machine(app), self.folder / f"{app}.json", self.folder / "root.der"
        file.write_bytes(machine.bundle().encode())
        root.write_bytes(machine.simulator.root_der)
        rpc = () if "--governance" in more else ("--chain-rpc", url or self.chain.url)
        told = self.known() if known else []
        return await teehee(
            "verify", file, "--dev-root", root, "--json", *rpc, "--kms-contract", kms or self.kms, *told, *more
        )

    def read(self, app: str, url: str = "") -> governance.Governance:
        """The snapshot, read in this process by a node that does not wait."""
        return app_contract.read(Node(url or self.chain.url, lambda _: None, pause=0), app, kms=self.kms)


@contextlib.contextmanager
def fresh() -> Iterator[World]:
    with chain() as up, tempfile.TemporaryDirectory() as folder:
        yield World(up, Path(folder))

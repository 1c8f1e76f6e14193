"""Reads who may change an app's code from its contract, on the chain, at one block."""

from typing import Any

from teehee.cli.chain import Log, Node, NodeRefused, topic
from teehee.errors import ConfigError, Unavailable
from teehee.evidence import anchors, governance
from teehee.evidence.canonical import MAX_INTEGER
from teehee.evidence.governance import Announced, Change, Governance, Upgrade
from teehee.evidence.keccak import keccak256

Json = Any
IMPLEMENTATION_SLOT = int.from_bytes(keccak256(b"eip1967.proxy.implementation")) - 1
UPGRADED = topic("Upgraded(address)")
ADDED, REMOVED = topic("ComposeHashAdded(bytes32)"), topic("ComposeHashRemoved(bytes32)")
SCHEDULED = topic("CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)")
EXECUTED, CANCELLED = topic("CallExecuted(bytes32,uint256,address,uint256,bytes)"), topic("Cancelled(bytes32)")
DELEGATED = b"\xef\x01\x00"  # EIP-7702: a plain key that runs a contract's code, and still signs for itself


def read(node: Node, app: str, *, chain_id: int = 0, kms: str = "") -> Governance:
    """The governance of `app` now. `kms` is the key service's contract; without it, the known one of that chain.

    Raises ConfigError for a node of another chain than `chain_id`; Unavailable where the node does not answer, answers
    in no known form, or the chain went another way meanwhile.
    """
    is_chain = node.number("eth_chainId")
    if chain_id and is_chain != chain_id:
        raise ConfigError(
            f"expected a node of chain {chain_id}, this one is of {is_chain}", hint="check --chain-rpc and --chain-id"
        )
    block, block_hash, time = _block(node, "latest")
    found = _Reader(node, app, block).everything(kms or _known_kms(is_chain))
    if _block(node, hex(block))[1] != block_hash:
        raise Unavailable(f"block {block} was replaced while it was read", hint="check again")
    try:
        return Governance(
            format=governance.FORMAT, chain_id=is_chain, block=block, block_hash=block_hash, block_time=time, app=app,
            **found,
        )  # fmt: skip
    except ValueError as error:
        raise Unavailable(f"the contracts answer in no known form: {error}") from error


def _known_kms(chain_id: int) -> str:
    prefix = f"eip155:{chain_id}:"
    return next((i.contract.removeprefix(prefix) for i in anchors.kms_anchors() if i.contract.startswith(prefix)), "")


def _block(node: Node, which: str) -> tuple[int, str, int]:
    """(its number, its hash, its second)."""
    told = node.ask("eth_getBlockByNumber", which, False)
    if not isinstance(told, dict):
        raise Unavailable(f"the node has no block {which}", hint="its chain may have gone another way; check again")
    return (
        node.quantity(told.get("number")),
        node.bytes_of(told.get("hash"), 32).hex(),
        node.quantity(told.get("timestamp")),
    )


class _Reader:
    """One app at one block."""

    def __init__(self, node: Node, app: str, block: int) -> None:
        self.node = node
        self.app = app
        self.block = block

    def everything(self, kms: str) -> dict[str, Json]:
        code = self.code(self.app)
        if not code:
            return {}
        history = self.events(self.app, UPGRADED, ADDED, REMOVED)
        changes = [
            Change(log.block, _word(log.topics, log.data).hex(), log.topics[0] == ADDED)
            for log in history if log.topics[0] != UPGRADED
        ]  # fmt: skip
        return {
            "app_code_hash": keccak256(code).hex(),
            **self.implementation(),
            "upgrades": [Upgrade(log.block, _address(log.topics[-1])) for log in history if log.topics[0] == UPGRADED],
            "history": changes,
            "allowed": [one for one in sorted({change.compose_hash for change in changes}) if self.allows(one)],
            "allow_any_device": self.flag(self.app, "allowAnyDevice()"),
            "require_tcb_up_to_date": self.flag(self.app, "requireTcbUpToDate()"),
            **self.owners(),
            **(self.key_service(kms) if kms else {}),
        }

    def implementation(self) -> dict[str, Json]:
        told = self.node.ask("eth_getStorageAt", self.app, hex(IMPLEMENTATION_SLOT), hex(self.block))
        slot = self.node.bytes_of(told, 32)
        if not any(slot):
            return {}
        code = self.code(_address(slot))
        return {
            "implementation": _address(slot),
            "implementation_code_hash": keccak256(code).hex() if code else "",
        }

    def owners(self) -> dict[str, Json]:
        owner = self.address("owner()")
        found: dict[str, Json] = {"owner": owner, "pending_owner": self.address("pendingOwner()")}
        code = self.code(owner) if owner not in ("", governance.NOBODY) else b""
        if not code or code.startswith(DELEGATED):
            return found
        delay = self.node.call(owner, self.block, "getMinDelay()")
        timelock = {"owner_code_hash": keccak256(code).hex()}
        if delay is None or len(delay) != 32:
            return {**found, **timelock}
        seconds = min(int.from_bytes(delay), MAX_INTEGER)
        return {**found, **timelock, "owner_delay": seconds, "announced": self.announced(owner)}

    def announced(self, timelock: str) -> list[Announced]:
        """The calls to app and timelock itself that were scheduled, and neither made nor cancelled."""
        waiting: dict[bytes, list[Log]] = {}
        for log in self.events(timelock, SCHEDULED, EXECUTED, CANCELLED):
            if len(log.topics) < 2:
                raise Unavailable(f"{timelock} has events of no known form")
            if log.topics[0] == SCHEDULED:
                waiting.setdefault(log.topics[1], []).append(log)
            else:
                waiting.pop(log.topics[1], None)
        found = []
        for call_id, logs in waiting.items():
            when = self.node.call(timelock, self.block, "getTimestamp(bytes32)", call_id) or b""
            for log in logs:
                target = _address(log.data[:32])
                if target in (self.app, timelock):
                    notice = min(int.from_bytes(log.data[128:160]), MAX_INTEGER)
                    ready_at = min(int.from_bytes(when), MAX_INTEGER)
                    found.append(Announced(target, _bytes(log.data, 2).hex(), notice, ready_at))
        return found

    def key_service(self, kms: str) -> dict[str, Json]:
        """What the key service's contract says of itself and of the app; nothing where it has no such functions."""
        told = self.node.call(kms, self.block, "kmsInfo()")
        knows = self.flag(kms, "registeredApps(address)", bytes.fromhex(self.app[2:]))
        if not told:
            return {"kms": kms, "registered": knows}
        k256, ca = _bytes(told, 0), _bytes(told, 1)
        return {"kms": kms, "kms_k256": k256.hex(), "kms_ca": ca.hex(), "registered": knows}

    # -- one answer

    def code(self, address: str) -> bytes:
        return self.node.data("eth_getCode", address, hex(self.block))

    def events(self, address: str, *topics: bytes) -> list[Log]:
        return self.node.logs(address, list(topics), self.created(address), self.block)

    def created(self, address: str) -> int:
        """The first block with code there; 0 where the node forgets old state."""
        low, high = 0, self.block
        try:
            while low < high:
                middle = (low + high) // 2
                if self.node.data("eth_getCode", address, hex(middle)):
                    high = middle
                else:
                    low = middle + 1
        except NodeRefused:
            return 0
        return low

    def allows(self, compose_hash: str) -> bool:
        return bool(self.flag(self.app, "allowedComposeHashes(bytes32)", bytes.fromhex(compose_hash)))

    def flag(self, contract: str, signature: str, *words: bytes) -> bool | None:
        told = self.node.call(contract, self.block, signature, *words)
        return None if not told else any(told)

    def address(self, signature: str) -> str:
        told = self.node.call(self.app, self.block, signature)
        return _address(told) if told else ""


def _word(topics: tuple[bytes, ...], data: bytes) -> bytes:
    """The one argument of an event, indexed or not."""
    return topics[1] if len(topics) > 1 else data[:32]


def _address(word: bytes) -> str:
    if len(word) != 32 or any(word[:12]):
        raise Unavailable(f"a contract answers with {word[:32].hex()!r} for an address: it is no app contract")
    return f"0x{word[12:].hex()}"


def _bytes(data: bytes, argument: int) -> bytes:
    """The bytes that are this argument, by Solidity's encoding. Raises Unavailable where they reach beyond the end."""
    at = int.from_bytes(data[32 * argument : 32 * argument + 32])
    length = int.from_bytes(data[at : at + 32])
    if at + 32 + length > len(data):
        raise Unavailable("a contract answers in no known form: expected bytes, got too few")
    return data[at + 32 : at + 32 + length]

"""What `teehee verify` is told of the app contract: where to read it, what is known, what is asked of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from teehee.cli.bundle import read_file
from teehee.errors import ConfigError, VerificationError

ROLES = ("proxy", "implementation", "timelock")
MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options, as they were written."""

    rpc: str
    chain_id: int
    timelock: int
    known: list[str]
    kms: str
    accept: list[str]
    file: Path | None
    write: Path | None


def asked(wishes: Wishes, rung: int) -> Any:
    """What is asked of the contract. Raises ConfigError for options that make no sense."""
    from teehee.evidence import governance

    if not 1 <= wishes.timelock <= MAX_DAYS:
        raise ConfigError(f"--timelock: expected 1 to {MAX_DAYS} days, got {wishes.timelock}")
    return governance.Asked(
        chain_id=wishes.chain_id,
        rung=rung if wishes.rpc or wishes.file else 0,
        notice_seconds=wishes.timelock * governance.DAY_SECONDS,
        known=frozenset(_known(one) for one in wishes.known),
        kms=_hex(wishes.kms, "--kms-contract", 20, prefix="0x") if wishes.kms else "",
        accepted=frozenset(_hex(one, "--accept-compose", 32) for one in wishes.accept),
    )


def read(wishes: Wishes, evidence: Any) -> Any:
    """The governance of the app in the evidence, from a node or a file; None where nothing was asked or can be told."""
    if wishes.rpc and wishes.file:
        raise ConfigError("--chain-rpc and --governance are both given", hint="give one of them")
    if wishes.write and not wishes.rpc:
        raise ConfigError("--write-governance has nothing to write", hint="give --chain-rpc URL too")
    if wishes.file:
        from teehee.evidence import governance

        return governance.parse(read_file(wishes.file))
    app = _app(evidence) if wishes.rpc else ""
    if not app:
        return None
    from teehee.cli import app_contract
    from teehee.cli.chain import Node

    kms = _hex(wishes.kms, "--kms-contract", 20, prefix="0x") if wishes.kms else ""
    node = Node(wishes.rpc, lambda text: typer.echo(text, err=True))
    found = app_contract.read(node, app, chain_id=wishes.chain_id, kms=kms)
    if wishes.write:
        _write(wishes.write, found.encode())
    return found


def _app(evidence: Any) -> str:
    """The address that the machine's app id is; empty where the event log does not say, which has its own code."""
    from teehee.evidence import eventlog

    try:
        app_id = eventlog.boot(eventlog.parse(evidence.event_log or b"")).app_id
    except VerificationError:
        return ""
    return f"0x{app_id.hex()}" if len(app_id) == 20 else ""


def _known(written: str) -> tuple[str, str]:
    role, _, code_hash = written.partition("=")
    if role not in ROLES:
        raise ConfigError(f"--known-code: expected ROLE=HASH, got {written[:80]!r}", hint=f"roles: {', '.join(ROLES)}")
    return role, _hex(code_hash, "--known-code", 32)


def _hex(written: str, name: str, size: int, prefix: str = "") -> str:
    digits = written.lower().removeprefix("0x")
    if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", digits):
        raise ConfigError(f"{name}: expected {2 * size} hex digits, got {written[:80]!r}")
    return prefix + digits


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}", hint="check the path") from error

"""`teehee verify`: checks an agent by what it published; the answer is a rung, with what remains."""

from pathlib import Path
from typing import Any

import typer

from teehee.cli import options, verify_contract, verify_print
from teehee.cli import verify_options as given
from teehee.cli.bundle import fetched, read_file

Json = Any


def verify(
    target: given.Target = None,
    quote: given.Quote = None,
    event_log: given.EventLog = None,
    compose: given.Compose = None,
    collateral: given.Collateral = None,
    at: given.At = 0,
    rung: given.Rung = 1,
    nonce: given.Nonce = "",
    max_age: given.MaxAge = 0,
    since: given.Since = None,
    dev_root: given.DevRoot = None,
    kms_root: given.KmsRoot = "",
    chain_rpc: given.ChainRpc = "",
    chain_id: given.ChainId = 0,
    timelock: given.Timelock = 7,
    known_code: given.KnownCode = None,
    kms_contract: given.KmsContract = "",
    accept_compose: given.AcceptCompose = None,
    governance: given.Governance = None,
    write_governance: given.WriteGovernance = None,
    explain: given.Explain = "",
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check which code, character and keys run.

    By what the agent published, in numbered steps, offline. The answer is a rung with the powers that remain.
    """
    if explain:
        verify_print.explain(explain)
        return
    evidence = _evidence(target, nonce, quote, event_log, compose, collateral, at)
    wishes = verify_contract.Wishes(
        rpc=chain_rpc, chain_id=chain_id, timelock=timelock, known=known_code or [], kms=kms_contract,
        accept=accept_compose or [], file=governance, write=write_governance,
    )  # fmt: skip
    verdict = _verdict(evidence, wishes, rung, nonce, max_age, dev_root, kms_root)
    changed = _changed(since, evidence) if since else {}
    if as_json:
        options.print_json({**verdict.to_json(), "changed": changed})
    else:
        verify_print.show(verdict)
        verify_print.changes(since, changed)
    if verdict.rejects or verdict.rung < rung:
        raise typer.Exit(5)


def _verdict(
    evidence: Any,
    wishes: verify_contract.Wishes,
    rung: int,
    nonce: str,
    max_age: int,
    dev_root: Path | None,
    kms_root: str,
) -> Any:
    import time
    from dataclasses import replace

    from teehee.evidence import verify as pipeline

    terms = pipeline.Terms(
        now=int(time.time()),
        dev_root=root_of(dev_root),
        kms_root=unhex(kms_root, "--kms-root"),
        nonce=unhex(nonce, "--nonce"),
        max_age_seconds=max_age,
        asked=verify_contract.asked(wishes, rung),
    )
    return pipeline.verify(replace(evidence, contract=verify_contract.read(wishes, evidence)), terms)


def _evidence(
    target: str | None,
    nonce: str,
    quote: Path | None,
    log: Path | None,
    compose: Path | None,
    collateral: Path | None,
    at: int,
) -> Any:
    from dataclasses import replace

    from teehee.errors import ConfigError
    from teehee.evidence import bundle
    from teehee.evidence import verify as pipeline

    if (target is None) == (quote is None):
        raise ConfigError(
            "nothing to verify, or too much", hint="name a bundle file, an agent's address, or raw evidence by --quote"
        )
    if target is not None:
        found = pipeline.of_bundle(bundle.parse(fetched(target, nonce)))
        own = read_file(collateral) if collateral else found.collateral
        return replace(found, as_of=at or found.as_of, collateral=own)
    assert quote is not None
    raw, inner_log = _quote(read_file(quote))
    return pipeline.Evidence(
        quote=raw,
        event_log=_log(read_file(log)) if log else inner_log,
        app_compose=read_file(compose) if compose else None,
        collateral=read_file(collateral) if collateral else None,
        as_of=at,
    )


def _changed(since: Path, evidence: Any) -> dict[str, tuple[Json, Json]]:
    """What an agent states otherwise than in an earlier bundle. Raises VerificationError for one of another agent."""
    from teehee.errors import VerificationError
    from teehee.evidence import bundle, statement

    if evidence.statement is None:
        return {}
    before = statement.parse(bundle.parse(read_file(since)).statement.encode()).members()
    after = statement.parse(evidence.statement).members()
    if before["key_id"] != after["key_id"]:
        raise VerificationError("since.1", f"{str(since)!r} is of agent {before['key_id']}, not of {after['key_id']}")
    passing = ("log_root", "previous", "nonce", "issued_at")
    return {name: (before[name], after[name]) for name in after if name not in passing and before[name] != after[name]}


def _quote(data: bytes) -> tuple[bytes, bytes | None]:
    """(the quote, the event log that came with it): of binary, hex, a JSON array of bytes, or an attestation."""
    import json

    from teehee.evidence import attestation

    text = data.strip()
    if text.startswith(b"["):
        try:
            return bytes(json.loads(text)), None
        except (ValueError, TypeError):
            return data, None
    try:
        return bytes.fromhex(text.decode().removeprefix("0x")), None
    except ValueError:
        pass
    if data[:2] in (b"\x04\x00", b"\x05\x00", b"\x03\x00"):
        return data, None
    found = attestation.parse(data)
    return found.quote_bytes, found.event_log()


def _log(data: bytes) -> bytes:
    """The event log in a file that may hold more: tcb_info, or an answer of GetQuote."""
    import json

    try:
        value = json.loads(data)
    except ValueError:
        return data
    inner = value.get("event_log") if isinstance(value, dict) else None
    if isinstance(inner, str):
        return inner.encode()
    return data if inner is None else json.dumps(inner).encode()


def root_of(path: Path | None) -> bytes:
    """The developer's root, in PEM or DER."""
    if path is None:
        return b""
    data = read_file(path)
    if not data.startswith(b"-----BEGIN"):
        return data
    import base64

    return base64.b64decode(b"".join(line for line in data.splitlines() if not line.startswith(b"-----")))


def unhex(text: str, name: str) -> bytes:
    from teehee.errors import ConfigError

    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ConfigError(f"{name}: expected hex, got {text[:40]!r}", hint="an even number of 0-9 and a-f") from None

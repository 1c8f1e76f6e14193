"""`teehee verify`: checks an agent by what it published, offline; the answer is a rung, with what remains."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options
from teehee.cli.bundle import fetched, read_file

Json = Any
MARKS = {"held": "✓", "rejected": "✗", "not checked": "·"}


def _file(name: str, about: str) -> Any:
    return typer.Option(name, metavar="FILE", help=f"{about} [default: none]", show_default=False)


def verify(
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="A bundle file, or the address of an agent's page.", show_default=False),
    ] = None,
    quote: Annotated[Path | None, _file("--quote", "A TDX quote: binary, hex, or a versioned attestation.")] = None,
    event_log: Annotated[Path | None, _file("--event-log", "Its event log, or a tcb_info that holds it.")] = None,
    compose: Annotated[Path | None, _file("--compose", "The app-compose.json, byte for byte.")] = None,
    collateral: Annotated[Path | None, _file("--collateral", "Intel's collateral, as dcap-qvl writes it.")] = None,
    at: Annotated[
        int,
        typer.Option("--at", metavar="TIME", help="Check as of this second since 1970. [default: the quote's time]"),
    ] = 0,
    rung: Annotated[
        int, typer.Option("--rung", metavar="N", help="End with code 5 below this rung, 0 to 5. [default: 1]")
    ] = 1,
    nonce: Annotated[
        str, typer.Option("--nonce", metavar="HEX", help="What you asked the agent to answer. [default: none]")
    ] = "",
    max_age: Annotated[
        int, typer.Option("--max-age", metavar="SECONDS", help="How old a statement may be. [default: any age]")
    ] = 0,
    since: Annotated[
        Path | None, _file("--since", "An earlier bundle of the same agent: what changed is named.")
    ] = None,
    dev_root: Annotated[Path | None, _file("--dev-root", "A developer's root that you trust, for development.")] = None,
    kms_root: Annotated[
        str, typer.Option("--kms-root", metavar="HEX", help="The KMS key you know. [default: the known KMSs]")
    ] = "",
    explain: Annotated[
        str, typer.Option("--explain", metavar="CODE", help="Say what a reject code means. [default: none]")
    ] = "",
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check which code, character and keys an agent runs, by what it published."""
    if explain:
        _explain(explain)
        return
    import time

    from teehee.evidence import verify as pipeline

    evidence = _evidence(target, nonce, quote, event_log, compose, collateral, at)
    terms = pipeline.Terms(
        now=int(time.time()),
        dev_root=_root(dev_root),
        kms_root=_unhex(kms_root, "--kms-root"),
        nonce=_unhex(nonce, "--nonce"),
        max_age_seconds=max_age,
    )
    verdict = pipeline.verify(evidence, terms)
    changed = _changed(since, evidence) if since else {}
    if as_json:
        options.print_json({**verdict.to_json(), "changed": changed})
    else:
        _print(verdict)
        for name, (before, after) in changed.items():
            typer.echo(f"changed since {since}: {name.replace('_', ' ')} was {before}, is {after}")
    if verdict.rejects or verdict.rung < rung:
        raise typer.Exit(5)


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


def _root(path: Path | None) -> bytes:
    """The developer's root, in PEM or DER."""
    if path is None:
        return b""
    data = read_file(path)
    if not data.startswith(b"-----BEGIN"):
        return data
    import base64

    return base64.b64decode(b"".join(line for line in data.splitlines() if not line.startswith(b"-----")))


def _unhex(text: str, name: str) -> bytes:
    from teehee.errors import ConfigError

    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ConfigError(f"{name}: expected hex, got {text[:40]!r}", hint="an even number of 0-9 and a-f") from None


def _explain(code: str) -> None:
    from teehee.errors import ConfigError
    from teehee.evidence.verdict import CODES

    if code.upper() not in CODES:
        raise ConfigError(f"no code {code[:20]!r}", hint=f"known are {', '.join(CODES)}")
    means, do = CODES[code.upper()]
    typer.echo(f"{code.upper()}: {means}\n  what to do: {do}")


def _print(verdict: Any) -> None:
    from teehee.evidence.verdict import CODES, RUNGS

    for step in verdict.steps:
        typer.echo(f"{MARKS[step.outcome]} {step.number:>2} {step.title}" + (f": {step.detail}" if step.detail else ""))
    for finding in verdict.findings:
        typer.echo(f"     {finding['severity']}: {finding['code']} at {finding['where']}: {finding['stranger']}")
    typer.echo(f"\nrung {verdict.rung} ({RUNGS[verdict.rung]}), trust: {verdict.trust}")
    for reject in verdict.rejects:
        means, do = CODES[reject.code]
        typer.echo(f"  {reject.code}: {means}; {do}")
    for name in ("app_id", "compose_hash", "package_hash", "addresses", "accounts"):
        if verdict.facts.get(name):
            typer.echo(f"  {name.replace('_', ' ')}: {verdict.facts[name]}")
    now = {True: "still holds", False: "no longer covered by Intel's word", None: "not looked at"}[verdict.now_holds]
    typer.echo(f"  as of {_day(verdict.as_of)}; at this moment: {now}")
    typer.echo("who could still betray it:")
    for power in verdict.residual:
        typer.echo(f"  - {power}")


def _day(seconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"

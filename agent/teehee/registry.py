"""Finds plugins by name, loads only what a character asks for, and puts them in order of need.

A plugin that cannot be loaded is out, by name, with the reason; the agent goes on without it.
"""

import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from teehee.character.names import REQUIRED_MARK, counterpart, plain_name
from teehee.errors import ConfigError, PluginError
from teehee.plugin import Plugin

GROUP = "teehee.plugins"
ALWAYS = ("bootstrap",)
OURS = "teehee"  # the distribution whose plugins may have a half in the gate


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that is installed: known by its metadata, not yet imported."""

    name: str
    distribution: str
    version: str
    entry: importlib.metadata.EntryPoint


@dataclass(frozen=True, slots=True)
class Loaded:
    """The plugins of one character, in order, and the reasons of those that are out."""

    plugins: tuple[Plugin, ...]
    out: tuple[PluginError, ...]


def installed(path: str = "") -> dict[str, Found]:
    """Every plugin that is installed, and in the folder `path` beside; nothing is imported."""
    found = {}
    for distribution in _distributions(path):
        for entry in distribution.entry_points:
            if entry.group == GROUP and entry.name not in found:
                found[entry.name] = Found(entry.name, distribution.name, distribution.version, entry)
    return found


def _distributions(path: str) -> Iterable[importlib.metadata.Distribution]:
    yield from importlib.metadata.distributions()
    if path:
        yield from importlib.metadata.distributions(path=[path])


def load(wanted: Sequence[str], found: dict[str, Found]) -> Loaded:
    """The named plugins and what they require, in an order where each comes after its needs.

    Raises ConfigError only for a plugin the character marks as required.
    """
    required = {plain_name(name) for name in wanted if name.strip().endswith(REQUIRED_MARK)}
    loaded: dict[str, Plugin | PluginError] = {}
    asked = [name for name in wanted if counterpart(name, found).kind in ("plugin", "absent")]
    for name in dict.fromkeys([*ALWAYS, *map(plain_name, asked)]):
        _load_one(name, found, loaded, ())
    out = tuple(value for value in loaded.values() if isinstance(value, PluginError))
    for error in out:
        if error.plugin in required:
            raise ConfigError(str(error), hint=error.hint or "the character marks it as required") from error
    return Loaded(tuple(value for value in loaded.values() if isinstance(value, Plugin)), out)


def ours(wanted: Sequence[str], path: str = "") -> tuple[Plugin, ...]:
    """Those of the named plugins that come with teehee and have a half in the gate; no other code is imported.

    This is for the processes that know secrets: a stranger's plugin is imported by the mind alone.
    """
    found = {name: one for name, one in installed(path).items() if one.distribution == OURS and name not in ALWAYS}
    names = dict.fromkeys(plain_name(name) for name in wanted)
    return tuple(plugin for name in names if name in found and (plugin := _import(name, found)).connector)


def _load_one(
    name: str, found: dict[str, Found], loaded: dict[str, Plugin | PluginError], above: tuple[str, ...]
) -> Plugin | PluginError:
    if name in loaded:
        return loaded[name]
    if name in above:
        return PluginError(name, f"requires itself by way of {' -> '.join(above)}")
    try:
        plugin = _import(name, found)
        for need in plugin.requires:
            if isinstance(met := _load_one(plain_name(need), found, loaded, (*above, name)), PluginError):
                raise PluginError(name, f"needs {need!r}, which is out: {met}")
    except PluginError as error:
        loaded[name] = error
        return error
    loaded[name] = plugin
    return plugin


def _import(name: str, found: dict[str, Found]) -> Plugin:
    if name not in found:
        why = f": {note}" if (note := counterpart(name, found).note) else ""
        hint = f"pip install teehee-{name}, or take it out of the character"
        raise PluginError(name, f"is not installed{why}", hint=hint)
    try:
        value = found[name].entry.load()
    except (Exception, SystemExit) as error:  # a plugin's import may raise anything
        raise PluginError(name, f"cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(value, Plugin):
        raise PluginError(name, f"its entry point names {type(value).__name__}, expected a teehee.plugin.Plugin")
    if value.routes:
        raise PluginError(name, "declares routes, which this release does not serve yet")
    if (value.effects or value.connector) and found[name].distribution != OURS:
        raise PluginError(name, "declares effects or a connector, which only plugins that come with teehee may")
    return value

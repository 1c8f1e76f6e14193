"""The registry: plugins found by metadata alone, loaded by need and in order, left out by name when they cannot be."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from teehee import registry
from teehee.character import names as eliza_names
from teehee.errors import ConfigError

PLUGIN = "from teehee.plugin import Plugin\nplugin = Plugin({name!r}, 'A test.', requires={requires!r}{more})\n"


class Shelf:
    """A folder of installed plugins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, *requires: str, more: str = "", source: str = "", version: str = "1.2") -> None:
        (self.path / f"shelf_{name}.py").write_text(source or PLUGIN.format(name=name, requires=requires, more=more))
        info = self.path / f"teehee_{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: teehee-{name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = shelf_{name}:plugin\n")

    def load(self, *wanted: str) -> registry.Loaded:
        importlib.invalidate_caches()
        return registry.load(wanted, registry.installed(str(self.path)))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Shelf(tmp_path)
    for name in [name for name in sys.modules if name.startswith("shelf_")]:
        del sys.modules[name]


def names(loaded: registry.Loaded) -> list[str]:
    return [plugin.name for plugin in loaded.plugins]


def test_what_is_installed_is_known_without_being_imported(shelf: Shelf) -> None:
    shelf.add("dice")

    found = registry.installed(str(shelf.path))["dice"]

    assert (found.name, found.distribution, found.version) == ("dice", "teehee-dice", "1.2")
    assert "shelf_dice" not in sys.modules


def test_our_own_plugins_are_installed() -> None:
    assert registry.installed()["bootstrap"].distribution == "teehee"


def test_a_folder_that_is_not_there_holds_no_plugin(tmp_path: Path) -> None:
    assert registry.installed(str(tmp_path / "nowhere")).keys() == registry.installed().keys()


@pytest.mark.parametrize(
    "written",
    [
        "dice",
        " Dice ",
        "dice!",
        "plugin-dice",
        "@elizaos/plugin-dice",
        "@elizaos/client-dice",
        "teehee-dice",
        "teehee_dice!",
    ],
)
def test_a_plugin_has_one_name_however_it_is_written(written: str) -> None:
    assert eliza_names.plain_name(written) == "dice"


def test_bootstrap_is_always_there_and_first(shelf: Shelf) -> None:
    shelf.add("dice")

    assert names(shelf.load()) == ["bootstrap"]
    assert names(shelf.load("dice", "@elizaos/plugin-bootstrap")) == ["bootstrap", "dice"]


def test_a_plugin_comes_after_what_it_needs_and_only_once(shelf: Shelf) -> None:
    shelf.add("table", "@elizaos/plugin-dice", "cards")
    shelf.add("dice", "cards")
    shelf.add("cards")

    loaded = shelf.load("table", "dice")

    assert names(loaded) == ["bootstrap", "cards", "dice", "table"]
    assert loaded.out == ()


def test_only_what_is_asked_for_is_imported(shelf: Shelf) -> None:
    shelf.add("dice")
    shelf.add("other", source="raise SystemExit('imported')")

    assert names(shelf.load("dice")) == ["bootstrap", "dice"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("raise KeyError('at import')", "cannot be imported: KeyError: 'at import'", id="raises"),
        pytest.param("import no_such_module", "cannot be imported: ModuleNotFoundError", id="needs a module"),
        pytest.param("(", "cannot be imported: SyntaxError", id="is no Python"),
        pytest.param("other = 1", "cannot be imported: AttributeError", id="names nothing"),
        pytest.param("plugin = 7", "names int, expected a teehee.plugin.Plugin", id="is a number"),
        pytest.param("raise SystemExit(3)", "cannot be imported: SystemExit", id="exits"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_out_and_the_others_stay(shelf: Shelf, source: str, reason: str) -> None:
    shelf.add("broken", source=source)
    shelf.add("dice")

    loaded = shelf.load("broken", "dice")

    assert names(loaded) == ["bootstrap", "dice"]
    assert [error.plugin for error in loaded.out] == ["broken"]
    assert reason in str(loaded.out[0])


def test_a_missing_plugin_is_out_with_a_way_to_get_it(shelf: Shelf) -> None:
    (error,) = shelf.load("absent").out

    assert str(error) == "plugin 'absent': is not installed"
    assert "pip install teehee-absent" in error.hint


@pytest.mark.parametrize(
    ("more", "reason"),
    [(", routes=[1]", "routes"), (", connector='x.y'", "connector")],
)
def test_what_this_release_does_not_serve_is_told(shelf: Shelf, more: str, reason: str) -> None:
    shelf.add("later", more=more)

    assert reason in str(shelf.load("later").out[0])


def test_a_plugin_whose_need_is_out_is_out_too(shelf: Shelf) -> None:
    shelf.add("table", "dice")
    shelf.add("dice", source="raise KeyError('at import')")

    loaded = shelf.load("table")

    assert {error.plugin: str(error) for error in loaded.out}.keys() == {"table", "dice"}
    assert "needs 'dice', which is out" in str(next(error for error in loaded.out if error.plugin == "table"))


def test_plugins_that_need_each_other_are_out(shelf: Shelf) -> None:
    shelf.add("hen", "egg")
    shelf.add("egg", "hen")

    loaded = shelf.load("hen", "egg")

    assert names(loaded) == ["bootstrap"]
    assert {error.plugin for error in loaded.out} == {"hen", "egg"}
    assert "requires itself by way of" in str(loaded.out[0])


def test_a_required_plugin_that_is_out_stops_the_start(shelf: Shelf) -> None:
    with pytest.raises(ConfigError, match="plugin 'absent': is not installed") as caught:
        shelf.load("dice", "absent!")

    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_required_plugin_that_is_there_is_like_any_other(shelf: Shelf) -> None:
    shelf.add("dice")

    assert names(shelf.load("dice!")) == ["bootstrap", "dice"]

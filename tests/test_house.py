"""What a machine can hold of our house rules: who imports whom, what the docs must name, how big files are."""

import ast
import importlib.metadata
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from teehee.cli.app import build
from teehee.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "agent", ROOT / "plugins"]
YAML_EVENTS = "composefile.py"  # takes the scanner and parser only: no constructor, so nothing is made of a tag
LONG_FILE = 400  # lines; past this a file must say here why
LONG_ON_PURPOSE: dict[str, str] = {}

# Whom a part of teehee may import, beside the standard library, third parties and itself.
BELOW = {
    "errors": set[str](),
    "ids": set[str](),
    "evidence": {"errors"},
    "wire": {"errors"},
    "character": {"errors", "ids"},
    "tee": {"errors", "evidence"},
    "database": {"errors"},
    "commit": {"errors", "database"},
    "lastmile": {"errors"},
    "vault": {"errors", "ids", "evidence", "wire", "tee", "commit", "database"},
}
APART = ("vault", "gate", "mind")


def modules() -> Iterator[tuple[Path, str, ast.Module]]:
    for root in SOURCES:
        for path in sorted(root.rglob("*.py")):
            yield path, ".".join(path.relative_to(root).with_suffix("").parts), ast.parse(path.read_text())


def imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def parts(names: set[str]) -> set[str]:
    """The parts of teehee that these imports reach into: `teehee.wire.client` is `wire`."""
    return {name.split(".")[1] for name in names if name.startswith("teehee.")}


def test_each_part_imports_only_what_is_below_it() -> None:
    wrong = []
    for path, name, tree in modules():
        part = name.split(".")[1] if name.startswith("teehee.") and "." in name else ""
        if part in BELOW and (above := parts(imports(tree)) - BELOW[part] - {part}):
            wrong.append(f"{path.relative_to(ROOT)} imports {sorted(above)}")

    assert wrong == []


def test_vault_gate_and_mind_never_import_one_another() -> None:
    wrong = []
    for path, name, tree in modules():
        part = name.split(".")[1] if name.startswith("teehee.") else ""
        if part in APART and (others := parts(imports(tree)) & set(APART) - {part}):
            wrong.append(f"{path.relative_to(ROOT)} imports {sorted(others)}")

    assert wrong == []


def test_teehee_never_imports_a_plugin() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path, name, tree in modules()
        if name.startswith("teehee.") and any(item.split(".")[0].startswith("teehee_") for item in imports(tree))
    ]

    assert wrong == []


def test_a_plugin_imports_only_the_contract_and_itself() -> None:
    wrong = []
    for path, name, tree in modules():
        own = name.split(".")[0]
        if not own.startswith("teehee_"):
            continue
        for item in imports(tree):
            ours = item.split(".")[0].startswith("teehee")
            allowed = item.split(".")[0] == own or item.startswith(("teehee.plugin", "teehee.connector", "teehee.wire"))
            if ours and not allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {item}")

    assert wrong == []


def test_only_settings_reads_the_environment() -> None:
    wrong = []
    for path, name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            if node.attr in ("environ", "getenv") and name != "teehee.settings":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert wrong == []


def test_nothing_is_evaluated_or_unpickled() -> None:
    wrong = []
    for path, _, tree in modules():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        roots = {name.partition(".")[0] for name in imports(tree)}
        banned = {"pickle", "marshal", "shelve", "yaml"} - ({"yaml"} if path.name == YAML_EVENTS else set())
        if names & {"eval", "exec"} or roots & banned:
            wrong.append(str(path.relative_to(ROOT)))

    assert wrong == []


def test_every_package_is_typed_and_listed() -> None:
    listed = (ROOT / "pyproject.toml").read_text()

    for package in [ROOT / "agent/teehee", *(p for p in (ROOT / "plugins").iterdir() if p.is_dir())]:
        assert (package / "py.typed").exists(), package
        assert f'"{package.relative_to(ROOT)}"' in listed, package


def test_every_file_says_first_what_it_owns() -> None:
    silent = [str(path.relative_to(ROOT)) for path, _, tree in modules() if not ast.get_docstring(tree)]

    assert silent == []


def test_the_docs_name_every_command_setting_and_plugin() -> None:
    commands = (ROOT / "docs/commands.md").read_text()
    plugins = (ROOT / "docs/plugins.md").read_text()

    app = build()
    groups = [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
    for prefix, group in groups:
        for command in group.registered_commands if group is not None else ():
            assert command.callback is not None
            assert f"## teehee {prefix}{command.callback.__name__}\n" in commands
    for name in Settings.model_fields:
        assert f"| {name} |" in commands
    for entry in importlib.metadata.entry_points(group="teehee.plugins"):
        if entry.dist is not None and entry.dist.name == "teehee":
            assert f"`{entry.name}`" in plugins


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_the_help_a_page_quotes_is_the_real_one(page: str) -> None:
    docs = runpy.run_path(str(ROOT / "scripts/docs.py"))
    now = (ROOT / page).read_text()

    assert docs["written"](now) == now, "run `make docs`"


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"\b[\w/]+\.py\b", text))
    known = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if ".venv" not in path.parts}

    missing = [name for name in named if not any(path.endswith("/" + name) or path == name for path in known)]

    assert missing == []


def test_no_file_grows_past_its_idea(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p, _, _ in modules()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    with capsys.disabled():
        shown = ", ".join(f"{name.rsplit('teehee/', 1)[-1]} {lines}" for name, lines in largest)
        print(f"\nsizes: {sum(sizes.values())} lines in {len(sizes)} files; largest: {shown}")  # noqa: T201 - the report

    assert [name for name, lines in sizes.items() if lines > LONG_FILE and name not in LONG_ON_PURPOSE] == []


def test_no_machine_path_or_index_host_is_written_anywhere() -> None:
    forbidden = re.compile(
        r"/work/(main|shared|\.library)|/root/|pypi\.org|files\.pythonhosted|registry\.npmjs|index-url"
    )
    wrong = []
    for path in [*ROOT.glob("*"), *ROOT.glob("*/**/*"), *ROOT.glob(".ci/*")]:
        skipped = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", ".hypothesis"}
        if path == Path(__file__) or not path.is_file() or skipped & set(path.parts):
            continue
        if forbidden.search(path.read_text(errors="replace")):
            wrong.append(str(path.relative_to(ROOT)))

    assert wrong == []

"""Failpoints: every durable step has one number, one name and one place, and kills once."""

import ast
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from teehee.wire import failpoints

SOURCE = Path(failpoints.__file__)
PACKAGE = SOURCE.parents[1]
OWNERS = {"gate", "vault", "mind"}
REACH = """
import sys
from pathlib import Path
from teehee.wire import failpoints
failpoints.arm(sys.argv[1], Path(sys.argv[2]))
failpoints.hit("vault.intent.before-commit")
print("alive")
"""


def calls_of_hit() -> list[tuple[Path, str]]:
    """(file, step) of every call of `failpoints.hit` in our source."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("failpoints.hit", "hit"):
                continue
            (argument,) = node.args
            assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: a step is named in plain letters"
            found.append((path.relative_to(PACKAGE), str(argument.value)))
    return found


def reach(step: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A process armed for `step` that reaches `vault.intent.before-commit`."""
    arguments = [sys.executable, "-c", REACH, step, str(folder)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)


def test_the_steps_are_numbered_in_order() -> None:
    listed = re.findall(r'^    "([^"]+)",  # (\d+)', SOURCE.read_text(), re.MULTILINE)

    assert [step for step, _ in listed] == list(failpoints.STEPS)
    assert [int(number) for _, number in listed] == list(range(1, len(failpoints.STEPS) + 1))


def test_no_step_is_listed_twice() -> None:
    assert len(set(failpoints.STEPS)) == len(failpoints.STEPS)


def test_every_step_has_exactly_one_place_in_the_source() -> None:
    placed = Counter(step for _, step in calls_of_hit())

    assert placed == Counter(failpoints.STEPS)


def test_every_step_is_reached_in_the_process_it_is_named_after() -> None:
    for path, step in calls_of_hit():
        assert path.parts[0] in OWNERS
        assert step.split(".")[0] == path.parts[0], f"{step} is reached in {path}"


def test_an_unarmed_process_goes_on(tmp_path: Path) -> None:
    ended = reach("", tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "alive\n")


def test_a_process_armed_for_another_step_goes_on(tmp_path: Path) -> None:
    ended = reach("vault.intent.after-commit", tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "alive\n")


def test_an_armed_process_is_killed_at_its_step_and_its_next_life_goes_on(tmp_path: Path) -> None:
    first = reach("vault.intent.before-commit", tmp_path / "failpoints")
    second = reach("vault.intent.before-commit", tmp_path / "failpoints")

    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    assert (second.returncode, second.stdout) == (0, "alive\n")


def test_arming_a_step_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    ended = reach("vault.intent.before-comit", tmp_path)

    assert ended.returncode != 0
    assert "vault.intent.before-comit" in ended.stderr


def test_nothing_in_the_environment_arms_a_step() -> None:
    names = {ast.unparse(node) for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Attribute)}

    assert not names & {"os.environ", "os.getenv", "os.environb"}

"""`teehee new`: a few answers make a character that talks here and loads in elizaOS."""

import json
import os
from pathlib import Path

import pytest

import eliza_oracle
from teehee.testing import teehee

ANSWERS = "Ada\nA machinist from Leeds.\nShe mends looms.\n\nlooms, rain\nshort, dry\nMind the belt.\n\n\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_answers_become_a_character_that_talks_in_its_own_words(here: Path) -> None:
    made = await teehee("new", stdin=ANSWERS)
    answer = await teehee("ask", "hello", "--character", "ada.json", "--data", here / "data")

    assert made.code == 0, made.err
    assert "talk to it: teehee run ada.json" in made.out
    assert "Somebody says 'hello'. Ada answers" in made.out
    assert answer.out.strip() == "Mind the belt."
    character = json.loads((here / "ada.json").read_text())
    assert character["bio"] == ["A machinist from Leeds.", "She mends looms."]
    assert (character["topics"], character["style"]["all"]) == (["looms", "rain"], ["short", "dry"])


@eliza_oracle.MAY_INSTALL
async def test_elizas_own_validator_takes_the_file(here: Path) -> None:
    await teehee("new", stdin=ANSWERS)

    with eliza_oracle.validators() as oracle:
        answer = oracle.ask({"era": "v1.7.2", "character": json.loads((here / "ada.json").read_text())})

    assert (answer["ok"], answer["errors"]) == (True, [])


async def test_nothing_is_asked_when_name_and_bio_are_given(here: Path) -> None:
    made = await teehee("new", "eve.json", "--name", "Eve", "--bio", "A locksmith.", "--topic", "keys")

    assert (made.code, "?" in made.out) == (0, False)
    assert json.loads((here / "eve.json").read_text())["topics"] == ["keys"]


async def test_a_file_that_is_there_is_not_written_over_unless_told(here: Path) -> None:
    (here / "ada.json").write_text("{}")
    given = ("--name", "Ada", "--bio", "A machinist.")

    refused = await teehee("new", *given)
    early = await teehee("new", "ada.json", stdin=ANSWERS)
    kept = (here / "ada.json").read_text()
    forced = await teehee("new", *given, "--force")

    assert (refused.code, early.code, forced.code) == (2, 2, 0)
    assert "'ada.json' is there already" in refused.err
    assert "Its name" not in early.out, "told before anybody answers in vain"
    assert kept == "{}"


async def test_leaving_in_the_middle_leaves_nothing_behind(here: Path) -> None:
    left = await teehee("new", stdin="Ada\nA machinist.\n")

    assert left.code != 0
    assert os.listdir(here) == []

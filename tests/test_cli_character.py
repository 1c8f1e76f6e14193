"""`teehee character`: what an author meets, through the real command."""

import json
from pathlib import Path
from typing import Any

import pytest

from teehee.testing import teehee
from teehee.testing.command_line import Ended

Json = Any
CHARACTERS = Path(__file__).parents[1] / "characters"
SNIB = str(CHARACTERS / "snib.json")
CANARY = "sk-canary-8d1f0c2277"


async def character(*words: str) -> Ended:
    return await teehee("character", *words)


def written(folder: Path, value: Json, name: str = "ada.json") -> str:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return str(path)


ADA = {
    "name": "Ada",
    "clients": ["discord"],
    "modelProvider": "gpt4",
    "bio": ["A machinist.", f"She says {CANARY} in her sleep."],
    "lore": ["Born on a train."],
    "messageExamples": [[{"user": "{{user1}}", "content": {"text": "hi", "action": "WAVE"}}]],
    "topcis": ["trains"],
    "people": ["Bo"],
    "plugins": ["@elizaos/plugin-sql", "@elizaos/plugin-obsidian"],
    "settings": {"secrets": {"API_TOKEN": CANARY}, "apiKey": CANARY},
}


async def test_check_tells_what_is_understood_migrated_ignored_and_odd(tmp_path: Path) -> None:
    done = await character("check", written(tmp_path, ADA))

    assert done.code == 0, done.err
    for said in (
        "✓ ",
        "· v0 · Ada",
        "understood  name, settings",
        "migrated    $.messageExamples: 1 lines name their speaker as 0.x does",
        "migrated    $.plugins[0]: '@elizaos/plugin-sql' needs no plugin here",
        "ignored     topcis, people (kept, not used)",
        "look at     $.topcis: no field of Eliza's (did you mean 'topics'?)",
        "look at     $.plugins[1]: nothing here answers to '@elizaos/plugin-obsidian'",
        "look at     $.clients[0]: nothing here answers to 'discord'",
        "look at     $.settings.secrets: holds values (API_TOKEN)",
    ):
        assert said in done.out
    assert CANARY not in done.out + done.err


async def test_check_as_json_is_an_array_and_ends_with_1_only_for_what_cannot_run(tmp_path: Path) -> None:
    two = written(tmp_path, [{"name": "A"}, {"name": "B"}], "two.json")
    bad = written(tmp_path, {"nmae": "Ada"}, "bad.json")

    done = await character("check", "--json", SNIB, two, bad, str(tmp_path / "absent.json"))

    rows = json.loads(done.out)
    assert done.code == 1
    assert [(row["ok"], row["era"], row["name"]) for row in rows] == [
        (True, "v0", "Snib"),
        (True, "v1", "A"),
        (True, "v1", "B"),
        (False, None, None),
        (False, None, None),
    ]
    assert [row["file"] for row in rows[1:3]] == [f"{two}[0]", f"{two}[1]"]
    assert all({"file", "ok", "era", "name", "changes", "warnings", "error"} <= row.keys() for row in rows)
    assert rows[3]["error"].endswith("$.name is missing, expected a string (did you mean it by 'nmae'?)")
    assert "does not exist" in rows[4]["error"]
    assert (await character("check", "--json", SNIB)).code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"$schema": "https://json-schema.org/x", "properties": {}}', "is a JSON schema"),
        ("42", "expected an object, got a number"),
        ("{}", "is an empty object"),
        (f'{{"secrets": {{"K": "{CANARY}"}} oops}}', "is not JSON"),
    ],
)
async def test_what_is_no_character_is_refused_in_a_sentence_with_a_way_out(
    tmp_path: Path, text: str, said: str
) -> None:  # fmt: skip
    done = await character("check", written(tmp_path, text))

    assert done.code == 1
    assert said in done.out
    assert "what to do" in done.out
    assert CANARY not in done.out + done.err


@pytest.mark.parametrize("era", ["v0", "v1", "v2"])
async def test_convert_writes_an_era_without_secrets(tmp_path: Path, era: str) -> None:
    done = await character("convert", written(tmp_path, ADA), "--as", era)

    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert value["name"] == "Ada"
    assert ("lore" in value) == (era == "v0")
    assert CANARY not in done.out + done.err
    assert "secrets are written as empty names" in done.err
    again = await character("diff", written(tmp_path, value, "again.json"), written(tmp_path, ADA), "--json")
    assert {row["field"] for row in json.loads(again.out)} <= {
        *("era", "settings", "extras", "message_examples", "secrets", "bio", "model_provider"),
    }


async def test_convert_writes_a_file_and_refuses_an_era_that_never_was(tmp_path: Path) -> None:
    out = tmp_path / "snib.v1.json"

    done = await character("convert", SNIB, "--as", "v1", "--out", str(out))
    wrong = await character("convert", SNIB, "--as", "v9")
    nowhere = await character("convert", SNIB, "--as", "v1", "-o", str(tmp_path / "no" / "where.json"))

    assert (done.code, json.loads(out.read_text())["name"]) == (0, "Snib")
    assert wrong.code == 2
    assert "expected one of v0, v1, v2" in wrong.err
    assert nowhere.code == 2
    assert "cannot be written" in nowhere.err


async def test_diff_says_what_is_different_and_that_nothing_is(tmp_path: Path) -> None:
    later = {**ADA, "topics": ["trains"], "lore": ["Born on a ferry."]}

    done = await character("diff", written(tmp_path, ADA), written(tmp_path, later, "later.json"))
    same = await character("diff", SNIB, SNIB)

    assert done.code == 1
    assert "lore\n  - Born on a train.\n  + Born on a ferry.\n" in done.out
    assert "topics\n  + trains\n" in done.out
    assert (same.code, same.out) == (0, "the same character\n")


async def test_explain_shows_origins_and_the_prompt_with_sizes(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "tea.md").write_text("# Tea\nTea is brewed for four minutes.\n")
    ada = {
        "name": "Ada",
        "description": "A machinist of few words.",
        "knowledge": [{"directory": "shelf"}, {"path": "absent.md"}],
        "settings": {"secrets": {"API_TOKEN": CANARY}, "modelConfig": {"temperature": 0.2}},
        "templates": {"messageHandlerTemplate": "{{agentName}} {{knowledge}} {{nonsense}}"},
    }

    done = await character("explain", written(tmp_path, ada), "--message", "How long do you brew tea?", "--json")
    people = await character("explain", written(tmp_path, ada), "--prompt")

    row = json.loads(done.out)
    assert {"field": "bio", "value": "1 line", "from": "$.description"} in row["fields"]
    assert {"setting": "temperature", "value": "0.2", "from": "character setting modelConfig.temperature"} in row[
        "settings"
    ]
    assert row["secrets"] == [{"name": "API_TOKEN", "from": "the file"}]
    assert row["unknown_keys"] == ["nonsense"]
    assert any("absent.md" in note for note in row["notes"])
    assert "Tea is brewed for four minutes." in row["prompt"][1]["content"]
    assert row["characters"] == sum(len(message["content"]) for message in row["prompt"])
    assert [part["provider"] for part in row["parts"]][:2] == ["CHARACTER", "ACTIONS"]
    assert "prompt: " in people.out
    assert "--- system ---" in people.out
    assert CANARY not in done.out + done.err + people.out + people.err


async def test_explain_knows_the_built_in_characters() -> None:
    done = await character("explain", "wren", "--room", "feed")

    assert done.code == 0, done.err
    assert "Wren · v1 · cb2fa0f5-d7d7-01c1-878d-0f943fb0ea27" in done.out
    assert "CHARACTER" in done.out

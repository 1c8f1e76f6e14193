"""Plugins with a half in the gate, as a run is planned: what the policy gets, whose token is whose, what runs where."""

import json
from pathlib import Path
from typing import Any

import pytest

from teehee.supervisor import plan as plans
from teehee.supervisor.plan import Plan

Json = Any
TOKEN = "1234567:" + "A" * 35
SAY = "telegram.send_message"


def planned(folder: Path, *files: Json, environ: dict[str, str] | None = None, **options: Json) -> Plan:
    names = []
    for number, content in enumerate(files):
        file = folder / f"{number}.json"
        file.write_text(json.dumps({"bio": ["A voice."], **content}))
        names.append(str(file))
    given = {"data": str(folder / "data"), "ollama_url": "off", **options}
    return plans.make(names, given, environ=environ or {})


def policy(plan: Plan) -> Json:
    return plans.configure_request(plan)["agents"][0]["policy"]


@pytest.mark.parametrize(
    "named",
    [{"plugins": ["@elizaos/plugin-telegram"]}, {"clients": ["telegram"]}, {"plugins": ["telegram"]}],
    ids=["v1", "v0", "ours"],
)
def test_a_character_that_names_telegram_may_answer_there(tmp_path: Path, named: Json) -> None:
    told = policy(planned(tmp_path, {"name": "Ada", **named}))

    assert told["verbs"] == {"telegram": [SAY, "telegram.send_ephemeral", "telegram.set_reaction"]}
    assert "posts_per_day" not in told


def test_one_that_does_not_may_not(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"name": "Ada"})

    assert policy(plan) == {"replies_per_room_minute": 60}
    assert plans.gate_boot(plan, [{"agent": "a"}], "dev", 0)["connectors"] == ()


def test_the_gate_is_told_what_to_run_and_no_secret(tmp_path: Path) -> None:
    config = {"telegram": {"shouldIgnoreBotMessages": True}}
    own = {"TELEGRAM_NAMES": "Ada", "loud": True, "secrets": {"TELEGRAM_BOT_TOKEN": TOKEN}}
    plan = planned(tmp_path, {"name": "Ada", "plugins": ["telegram"], "clientConfig": config, "settings": own})
    booted = plans.gate_boot(plan, [{"agent": "a"}], "dev", 0)

    (connector,) = booted["connectors"]
    assert (connector["plugin"], connector["module"]) == ("telegram", "teehee_telegram.connector")
    assert connector["client_config"] == config
    assert (connector["settings"]["TELEGRAM_NAMES"], connector["settings"]["loud"]) == ("Ada", "true")
    assert TOKEN not in json.dumps(booted)
    assert plans.configure_request(plan)["secrets"] == {"ada/TELEGRAM_BOT_TOKEN": TOKEN}


def test_a_schedule_in_the_character_is_a_cap_in_the_policy(tmp_path: Path) -> None:
    posts = {"enabled": True, "mainChannelId": "-100", "minTimeBetweenPosts": 7_200_000}
    told = policy(
        planned(tmp_path, {"name": "Ada", "clients": ["telegram"], "clientConfig": {"telegram": {"autoPost": posts}}})
    )

    assert told["posts_per_day"] == {SAY: 12}


def test_owners_stand_in_the_policy(tmp_path: Path) -> None:
    owners = {"settings": {"OWNERS": "telegram:7, telegram:8"}}

    assert policy(planned(tmp_path, {"name": "Ada", **owners}))["owners"] == ["telegram:7", "telegram:8"]


def test_a_token_in_the_environment_is_the_first_agents(tmp_path: Path) -> None:
    both = [{"name": name, "plugins": ["telegram"]} for name in ("Ada", "Eve")]
    plan = planned(tmp_path, *both, environ={"TELEGRAM_BOT_TOKEN": TOKEN})

    assert plans.configure_request(plan)["secrets"] == {"ada/TELEGRAM_BOT_TOKEN": TOKEN}
    assert any("TELEGRAM_BOT_TOKEN is Ada's" in note for note in plan.agents[1].notes)


def test_a_token_in_the_environment_is_nobodys_who_is_not_on_telegram(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"name": "Ada"}, environ={"TELEGRAM_BOT_TOKEN": TOKEN})

    assert plans.configure_request(plan)["secrets"] == {}


def test_a_strangers_plugin_is_not_imported_where_secrets_are(tmp_path: Path) -> None:
    package = tmp_path / "shelf" / "teehee_spy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    about = tmp_path / "shelf" / "teehee_spy-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: teehee-spy\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[teehee.plugins]\nspy = teehee_spy:plugin\n")

    plan = planned(tmp_path, {"name": "Ada", "plugins": ["spy", "telegram"]}, plugin_path=str(tmp_path / "shelf"))

    assert [plugin.name for plugin in plan.agents[0].connected] == ["telegram"]

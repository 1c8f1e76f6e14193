"""Settings: option, character, environment, default, in this order; every problem told at once, with its place."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from teehee.errors import ConfigError
from teehee.plugin import Character
from teehee.settings import ALIASES, OF_THE_RUN, PREFIX, Settings, character_secrets, resolve, shown, steering

Json = object


def character(*, settings: dict[str, Json] | None = None, secrets: dict[str, str] | None = None) -> Character:
    return Character("a", "Ada", settings=settings or {}, secrets=secrets or {})


def test_a_setting_has_a_default() -> None:
    effective = resolve({}, environ={})

    assert effective.settings.temperature == 0.7
    assert set(effective.origins.values()) == {"default"}
    assert effective.origins.keys() == Settings.model_fields.keys()


def test_the_nearest_place_wins() -> None:
    options = {"temperature": 0.1}
    ada = character(settings={"TEMPERATURE": 0.3}, secrets={"TEMPERATURE": "0.2"})
    environ = {"TEEHEE_TEMPERATURE": "0.4"}

    told = [
        resolve(options, ada, environ),
        resolve({}, ada, environ),
        resolve({}, character(settings={"TEMPERATURE": 0.3}), environ),
        resolve({}, character(), environ),
        resolve({}, character(), {}),
    ]

    assert [(e.settings.temperature, e.origins["temperature"]) for e in told] == [
        (0.1, "option"),
        (0.2, "character secret TEMPERATURE"),
        (0.3, "character setting TEMPERATURE"),
        (0.4, "environment TEEHEE_TEMPERATURE"),
        (0.7, "default"),
    ]


ALIASED = {
    "model_url": "http://127.0.0.1:1/v1",
    "model": "tiny",
    "model_key": "sk-1",
    "temperature": "0.5",
    "max_tokens": "99",
}


@pytest.mark.parametrize(("name", "alias"), [(name, alias) for name, aliases in ALIASES.items() for alias in aliases])
def test_elizas_own_names_are_understood(name: str, alias: str) -> None:
    from_character = resolve({}, character(settings={alias: ALIASED[name]}), {})
    from_environment = resolve({}, character(), {alias: ALIASED[name]})

    assert from_character.origins[name] == f"character setting {alias}"
    assert from_environment.origins[name] == f"environment {alias}"
    assert getattr(from_character.settings, name) == getattr(from_environment.settings, name)


def test_our_name_comes_before_an_alias() -> None:
    environ = {"OPENAI_API_KEY": "sk-alias", "TEEHEE_MODEL_KEY": "sk-ours"}

    assert resolve({}, environ=environ).settings.model_key.get_secret_value() == "sk-ours"


@pytest.mark.parametrize("name", OF_THE_RUN)
def test_what_concerns_the_whole_run_is_not_for_a_character_to_say(name: str) -> None:
    ada = character(settings={name.upper(): "/elsewhere"}, secrets={name.upper(): "/elsewhere"})

    assert resolve({}, ada, {}).origins[name] == "default"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_is_no_value(empty: str | None) -> None:
    ada = character(settings={"MODEL": empty}, secrets={"MODEL": ""})

    effective = resolve({"model": None}, ada, {"TEEHEE_MODEL": ""})

    assert effective.origins["model"] == "default"


def test_a_structured_character_setting_is_not_taken_for_a_value() -> None:
    assert resolve({}, character(settings={"MODEL": {"small": "tiny"}}), {}).origins["model"] == "default"


def test_every_problem_is_told_at_once_with_its_place() -> None:
    ada = character(settings={"MODEL_TEMPERATURE": "hot"})
    environ = {"TEEHEE_MODEL_URL": "ftp://example", "TEEHEE_PORT": "70000"}

    with pytest.raises(ConfigError) as caught:
        resolve({"log_level": "loud"}, ada, environ)

    for problem in (
        "temperature (character setting MODEL_TEMPERATURE): ",
        "model_url (environment TEEHEE_MODEL_URL): ",
        "port (environment TEEHEE_PORT): ",
        "log_level (option): ",
    ):
        assert problem in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "host/v1",
        "http://",
        "http://user:pass@host/v1",
        "http://host/v1?key=1",
        "http://[::1",
        "http://host:port/",
    ],
)
def test_a_model_url_is_plain(url: str) -> None:
    with pytest.raises(ConfigError, match="model_url") as caught:
        resolve({"model_url": url}, environ={})

    assert "pass@" not in str(caught.value)


def test_a_model_url_loses_its_last_slash() -> None:
    assert resolve({"model_url": "http://host/v1/"}, environ={}).settings.model_url == "http://host/v1"


def test_the_data_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")

    assert resolve({}, environ={}).settings.data == Path("/elsewhere/teehee")


def test_a_relative_xdg_folder_is_ignored_as_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ada")

    assert resolve({}, environ={}).settings.data == Path("/home/ada/.local/share/teehee")


def test_the_environment_gives_a_character_its_own_secrets() -> None:
    environ = {
        "CHARACTER.ADA.PIN": "1234",
        "CHARACTER.ADA.EMPTY": "",
        "CHARACTER.ADALBERT.PIN": "9",
        "CHARACTER.ada.PIN": "9",
        "PIN": "9",
    }

    assert character_secrets(character(), environ) == {"PIN": "1234"}


def test_a_name_in_the_environment_is_spelled_as_eliza_spells_it() -> None:
    name = Character("a", "Dr. Ada-Lou 2ü")

    assert character_secrets(name, {"CHARACTER.DR__ADA_LOU_2_.PIN": "1"}) == {"PIN": "1"}


def test_a_secret_is_shown_as_set_or_not() -> None:
    assert shown("model_key", SecretStr("sk-hidden")) == "set (in the vault)"
    assert shown("model_key", SecretStr("")) == "not set"
    assert shown("port", 7337) == "7337"


def test_no_representation_shows_a_secret() -> None:
    effective = resolve({}, environ={"TEEHEE_MODEL_KEY": "sk-hidden"})

    assert "sk-hidden" not in repr(effective) + str(effective.settings) + effective.settings.model_dump_json()


def test_variables_that_steer_programs_are_named() -> None:
    assert steering({"HTTPS_PROXY": "x", "LD_PRELOAD": "x", "PATH": "x"}) == ["HTTPS_PROXY", "LD_PRELOAD"]


def test_every_setting_tells_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert PREFIX == "TEEHEE_"

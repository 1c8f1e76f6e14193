"""Settings: option, character, environment, default, in this order; every problem told at once, with its place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from teehee.errors import ConfigError
from teehee.plugin import Character
from teehee.settings import ALIASES, OF_THE_RUN, PREFIX, Settings, resolve, shown, steering, with_environment

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
    "vision_model": "tiny",
    "transcription_model": "tiny",
    "temperature": "0.5",
    "max_tokens": "99",
    "frequency_penalty": "0.5",
    "presence_penalty": "-0.5",
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

    assert with_environment(character(), environ).secrets == {"PIN": "1234"}


def test_a_name_in_the_environment_is_spelled_as_eliza_spells_it() -> None:
    name = Character("a", "Dr. Ada-Lou 2ü")

    assert with_environment(name, {"CHARACTER.DR__ADA_LOU_2_.PIN": "1"}).secrets == {"PIN": "1"}


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


# -- modelProvider


@pytest.mark.parametrize(
    ("provider", "key", "url", "model"),
    [
        ("openai", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-4o"),
        ("Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile"),
        ("gpt4", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-4o"),
        ("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1", "deepseek-chat"),
    ],
)
def test_a_model_provider_with_its_key_is_the_endpoint(provider: str, key: str, url: str, model: str) -> None:
    ada = replace(character(secrets={key: "sk-1"}), model_provider=provider)
    in_environment = resolve({}, replace(character(), model_provider=provider), {key: "sk-2"})

    effective = resolve({}, ada, {})

    assert (effective.settings.model_url, effective.settings.model) == (url, model)
    assert effective.settings.model_key.get_secret_value() == "sk-1"
    assert effective.origins["model_url"].startswith("modelProvider ")
    assert in_environment.settings.model_key.get_secret_value() == "sk-2"


@pytest.mark.parametrize("name", ["GROQ_LARGE_MODEL", "LARGE_GROQ_MODEL", "GROQ_MODEL"])
def test_the_model_of_a_provider_may_be_named(name: str) -> None:
    ada = replace(character(settings={name: "tiny"}, secrets={"GROQ_API_KEY": "gsk"}), model_provider="groq")

    assert resolve({}, ada, {}).settings.model == "tiny"


def test_a_provider_without_its_key_says_what_it_waits_for_and_the_classic_brain_answers() -> None:
    ada = replace(character(), model_provider="groq")

    effective = resolve({}, ada, {"OPENAI_API_KEY": "sk-of-another"})

    assert effective.settings.model_url == ""
    assert effective.notes == ("modelProvider 'groq' waits for GROQ_API_KEY",)


def test_a_provider_that_needs_no_key_needs_a_model() -> None:
    ollama = replace(character(), model_provider="ollama")

    assert resolve({}, ollama, {}).notes == ("modelProvider 'ollama' waits for a model's name",)
    effective = resolve({}, ollama, {"OLLAMA_MODEL": "llama3.2", "OLLAMA_SERVER_URL": "http://127.0.0.1:9/v1"})
    assert (effective.settings.model_url, effective.settings.model) == ("http://127.0.0.1:9/v1", "llama3.2")


def test_a_provider_nobody_knows_is_told() -> None:
    effective = resolve({}, replace(character(), model_provider="your-model-provider"), {})

    assert effective.notes == ("modelProvider 'your-model-provider' has no endpoint known here",)


def test_no_key_of_openai_goes_to_another_provider() -> None:
    groq = replace(character(), model_provider="groq")

    effective = resolve({"model_url": "http://127.0.0.1:1/v1"}, groq, {"OPENAI_API_KEY": "sk-openai"})

    assert effective.settings.model_key.get_secret_value() == ""


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "TEEHEE_MODEL_KEY"])
def test_a_key_of_the_environment_never_goes_where_only_a_character_file_says(key: str) -> None:
    hostile = character(settings={"MODEL_URL": "https://evil.example/v1"})

    effective = resolve({}, hostile, {key: "sk-mine"})

    assert effective.settings.model_url == "https://evil.example/v1"
    assert effective.settings.model_key.get_secret_value() == ""
    assert key in effective.notes[0]
    named = resolve({"model_url": "https://evil.example/v1"}, hostile, {key: "sk-mine"})
    assert named.settings.model_key.get_secret_value() == "sk-mine"


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"model": "small"}, "model", "small"),
        ({"temperature": 0.2}, "temperature", 0.2),
        ({"modelConfig": {"temperature": 0.3, "maxOutputTokens": 512}}, "temperature", 0.3),
        ({"modelConfig": {"temperature": 0.3, "maxOutputTokens": 512}}, "max_tokens", 512),
        ({"defaultMaxTokens": 99}, "max_tokens", 99),
        ({"TEXT_LARGE_TEMPERATURE": "0.4", "DEFAULT_TEMPERATURE": 0.9}, "temperature", 0.4),
        ({"modelConfig": {"maxOutputTokens": 10**9}}, "max_tokens", 1024),
        ({"temperature": "warm"}, "temperature", 0.7),
        ({"temperature": None, "modelConfig": "x"}, "temperature", 0.7),
    ],
)
def test_model_settings_of_every_era_count_and_unfit_ones_are_left_out(given: Any, name: str, value: Any) -> None:
    assert getattr(resolve({}, character(settings=given), {}).settings, name) == value


# -- a provider by its name


@pytest.mark.parametrize("options", [{"model_provider": "groq", "model": "tiny"}, {"model": "groq:tiny"}])
def test_a_provider_may_be_named_by_a_setting_or_before_the_model(options: Any) -> None:
    effective = resolve(options, character(), {"GROQ_API_KEY": "gsk", "OPENAI_API_KEY": "sk-of-another"})

    settings = effective.settings
    assert (settings.model_provider, settings.model) == ("groq", "tiny")
    assert settings.model_url == "https://api.groq.com/openai/v1"
    assert settings.model_key.get_secret_value() == "gsk"
    assert effective.origins["model_provider"] == "option"


def test_a_colon_of_the_models_own_names_no_provider() -> None:
    assert resolve({"model": "llama3.2:3b"}, character(), {}).settings.model == "llama3.2:3b"
    named = resolve({"model": "openai:gpt-4o", "model_url": "http://127.0.0.1:1/v1"}, character(), {})
    assert (named.settings.model, named.settings.model_provider) == ("openai:gpt-4o", "")


def test_a_provider_the_operator_names_must_have_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="model provider 'anthropic' waits for ANTHROPIC_API_KEY and a model's name"):
        resolve({"model_provider": "anthropic"}, character(), {})
    with pytest.raises(ConfigError, match="model provider 'cohere' waits for its URL in MODEL_URL"):
        resolve({"model_provider": "cohere", "model": "x"}, character(), {})


def test_the_operators_provider_wins_over_the_characters() -> None:
    groq = replace(character(), model_provider="groq")

    effective = resolve({"model_provider": "openai"}, groq, {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "gsk"})

    assert effective.settings.model_url == "https://api.openai.com/v1"
    assert effective.settings.model_key.get_secret_value() == "sk-1"


@pytest.mark.parametrize("written", ["", "/", "/api", "/v1", "/api/"])
def test_ollamas_url_is_understood_however_it_is_written(written: str) -> None:
    ollama = replace(
        character(settings={"OLLAMA_API_ENDPOINT": f"http://127.0.0.1:9{written}"}), model_provider="ollama"
    )

    assert resolve({"model": "m"}, ollama, {}).settings.model_url == "http://127.0.0.1:9/v1"


def test_an_endpoint_override_of_0_x_counts_and_no_key_of_the_environment_goes_there() -> None:
    extras = {"modelEndpointOverride": "https://models.example/v1"}
    ada = replace(character(), model_provider="openai", extras=extras)

    own = resolve({}, replace(ada, secrets={"OPENAI_API_KEY": "sk-own"}), {})
    strange = resolve({}, ada, {"OPENAI_API_KEY": "sk-mine"})

    assert (own.settings.model_url, own.settings.model_key.get_secret_value()) == (
        "https://models.example/v1",
        "sk-own",
    )
    assert strange.settings.model_key.get_secret_value() == ""


@pytest.mark.parametrize("written", ["https://api.anthropic.com", "https://api.anthropic.com/v1/"])
def test_anthropics_url_is_understood_with_its_version_and_without(written: str) -> None:
    claude = replace(
        character(secrets={"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": written}), model_provider="claude"
    )

    assert resolve({"model": "m"}, claude, {}).settings.model_url == "https://api.anthropic.com"


def test_fallbacks_have_urls_and_keys_of_their_own_and_what_cannot_be_asked_is_told() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "OLLAMA_SERVER_URL": "http://127.0.0.1:9"}
    written = "openai:gpt-4o-mini, ollama:llama3.2:3b, anthropic:claude, nobody:x, classic,"

    effective = resolve({"model_fallbacks": written}, character(), environ)

    assert [(m.provider, m.url, m.name, m.key) for m in effective.fallbacks] == [
        ("openai", "https://api.openai.com/v1", "gpt-4o-mini", "sk-1"),
        ("ollama", "http://127.0.0.1:9/v1", "llama3.2:3b", ""),
        ("", "", "", ""),
    ]
    assert effective.notes == (
        "model_fallbacks: 'anthropic:claude' waits for ANTHROPIC_API_KEY",
        "model_fallbacks: 'nobody:x' names no provider known here (write it as openai:gpt-4o)",
    )
    assert "sk-1" not in repr(effective)


def test_a_fallbacks_key_of_the_environment_never_goes_where_only_a_character_file_says() -> None:
    hostile = character(settings={"OPENAI_BASE_URL": "https://evil.example/v1", "MODEL_FALLBACKS": "openai:x"})

    effective = resolve({"model_url": "http://127.0.0.1:1/v1"}, hostile, {"OPENAI_API_KEY": "sk-mine"})

    assert effective.fallbacks == ()
    assert any("left out" in note for note in effective.notes)


# -- CHARACTER.<NAME>.X


def test_in_1_x_the_environment_wins_over_the_file_and_in_0_x_the_file_does() -> None:
    ada = character(secrets={"PIN": "file", "OWN": "file"})
    environ = {"CHARACTER.ADA.PIN": "env", "ADA_TOKEN": "env", f"CHARACTER.{ada.id.upper()}.BY_ID": "env"}

    assert with_environment(ada, environ).secrets == {"PIN": "env", "OWN": "file", "TOKEN": "env", "BY_ID": "env"}
    assert with_environment(ada, environ, legacy=True).secrets == {"PIN": "file", "OWN": "file", "BY_ID": "env"}


def test_each_era_spells_a_character_in_its_own_way() -> None:
    ada = Character("b850bc30-45f8-0041-a00a-83df46d8555d", "Dr. Ada Lou")
    environ = {
        "CHARACTER.DR. ADA LOU.A": "no",
        "CHARACTER.DR._ADA_LOU.B": "v0",
        "CHARACTER.DR__ADA_LOU.C": "v1",
        "DR__ADA_LOU_D": "v1",
        "CHARACTER.B850BC30_45F8_0041_A00A_83DF46D8555D.E": "v1",
        "CHARACTER.B850BC30-45F8-0041-A00A-83DF46D8555D.F": "v0",
    }

    assert with_environment(ada, environ).secrets == {"C": "v1", "D": "v1", "E": "v1"}
    assert with_environment(ada, environ, legacy=True).secrets == {"B": "v0", "F": "v0"}


def test_a_character_named_teehee_does_not_take_our_settings_for_secrets() -> None:
    assert with_environment(Character("a", "Teehee"), {"TEEHEE_MODEL_KEY": "sk"}).secrets == {}

"""Eliza's names: one plugin however it is spelled, and an honest word about what has no counterpart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee import registry
from teehee.character import names, providers
from teehee.errors import ConfigError, PluginError
from teehee.plugin import Plugin

HERE = ("bootstrap", "dice", "my_plugin")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("@elizaos/plugin-telegram", "telegram"),
        ("@ai16z/client-telegram", "telegram"),
        ("@elizaos-plugins/client-telegram", "telegram"),
        ("@elizaos/plugin-telegram@1.6.4", "telegram"),
        ("elizaos-plugin-telegram", "telegram"),
        ("telegram", "telegram"),
        ("Telegram", "telegram"),
        ("@elizaos/client-twitter", "x"),
        ("twitter", "x"),
        ("@elizaos/adapter-sqlite", "sql"),
        ("@elizaos/plugin-node", "bootstrap"),
        ("@elizaos/plugin-google-genai", "google"),
        ("@elizaos/core", "core"),
        ("./plugins/solace-plugin", "solace-plugin"),
        ("plugin-", "plugin-"),
        ("", ""),
    ],
)
def test_a_name_is_one_name_however_it_is_written(written: str, plain: str) -> None:
    assert names.plain_name(written) == plain


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("@elizaos/plugin-dice", "plugin"),
        ("my_plugin", "plugin"),
        ("@elizaos/plugin-bootstrap", "plugin"),
        ("@elizaos/plugin-sql", "built-in"),
        ("@elizaos/plugin-tee", "built-in"),
        ("direct", "built-in"),
        ("@elizaos/plugin-openai", "model"),
        ("@elizaos/plugin-ollama", "model"),
        ("discord", "absent"),
        ("@elizaos/plugin-obsidian", "absent"),
        ("./dist/index.ts", "absent"),
        ("never-heard-of-it", "absent"),
    ],
)
def test_what_answers_to_a_name(written: str, kind: str) -> None:
    assert names.counterpart(written, HERE).kind == kind


def test_a_near_miss_is_told() -> None:
    assert names.counterpart("telegramm", HERE).note == "did you mean 'telegram'?"
    assert "TypeScript" in names.counterpart("../local/plugin.ts", HERE).note


@given(st.text(max_size=300))
def test_any_name_has_an_answer(written: str) -> None:
    assert names.counterpart(written, HERE).kind in ("plugin", "built-in", "model", "absent")


def test_an_agent_runs_without_what_it_names_and_has_not() -> None:
    loaded = registry.load(["@elizaos/plugin-sql", "openai", "@elizaos/plugin-obsidian"], registry.installed())

    assert [plugin.name for plugin in loaded.plugins] == ["bootstrap"]
    assert [error.plugin for error in loaded.out] == ["obsidian"]
    assert isinstance(loaded.plugins[0], Plugin)
    assert isinstance(loaded.out[0], PluginError)
    assert "nothing answers to it in this release" in str(loaded.out[0])


def test_what_is_marked_as_required_and_absent_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="obsidian"):
        registry.load(["@elizaos/plugin-obsidian!"], registry.installed())


def test_every_provider_of_0_25_has_one_name() -> None:
    assert len(set(providers.V0259)) == 35
    assert set(providers.V016) < set(providers.V0259)
    assert len(providers.V016) == 23
    assert {providers.plain_provider(name) for name in ("OpenAI", "gpt4")} == {"openai"}
    assert set(providers.ENDPOINTS) <= set(providers.V0259)


@pytest.mark.parametrize("endpoint", providers.ENDPOINTS.values(), ids=providers.ENDPOINTS)
def test_an_endpoint_that_asks_for_a_key_is_reached_over_tls(endpoint: providers.Provider) -> None:
    assert endpoint.url.startswith("https://" if endpoint.key else "http://127.0.0.1:")

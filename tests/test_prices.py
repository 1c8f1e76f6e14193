"""Prices are whole micro-dollars with a source and a date, and a name that is not listed has none."""

import json
from datetime import date
from importlib import resources
from typing import Any

import pytest

from teehee import prices
from teehee.errors import ConfigError
from teehee.settings import resolve
from teehee.wire.boot import Price

Json = Any
LISTED = json.loads(resources.files("teehee").joinpath("data", "prices.json").read_text())


@pytest.mark.parametrize("provider", LISTED["providers"], ids=lambda provider: str(provider["host"]))
def test_every_listed_price_has_a_source_a_date_and_whole_numbers_that_make_sense(provider: Json) -> None:
    assert provider["source"].startswith("https://")
    assert date(2026, 1, 1) <= date.fromisoformat(provider["as_of"]) <= date(2100, 1, 1)
    for model, price in provider["models"].items():
        found = prices.price(f"https://{provider['host']}/v1", model)
        assert {type(value) for value in price.values()} == {int}
        assert found.known
        assert 0 < found.prompt <= 10**8
        assert found.cached <= found.prompt <= found.written
        assert found.completion >= found.prompt or "embedding" in model or model.startswith("whisper")


@pytest.mark.parametrize(
    ("url", "model", "prompt"),
    [
        ("https://api.openai.com/v1", "gpt-4o-mini", 150_000),
        ("https://api.openai.com/v1", "gpt-4o-mini-2024-07-18", 150_000),
        ("https://api.openai.com/v1", "gpt-4o-2024-05-13", 5_000_000),  # a snapshot with a price of its own
        ("https://api.anthropic.com", "claude-haiku-4-5-20251001", 1_000_000),
        ("https://API.OpenAI.com:443/v1", "gpt-4o", 2_500_000),
    ],
)
def test_a_dated_name_has_its_models_price(url: str, model: str, prompt: int) -> None:
    assert prices.price(url, model).prompt == prompt


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o-audio-preview"),
        ("https://api.openai.com/v1", ""),
        ("https://api.openai.com.example.net/v1", "gpt-4o"),
        ("https://openrouter.ai/api/v1", "openai/gpt-4o"),
        ("https://8.8.8.8/v1", "gpt-4o"),
    ],
)
def test_what_is_not_listed_has_no_price(url: str, model: str) -> None:
    assert not prices.price(url, model).known


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:11434/v1", "http://[::1]:1/v1", "http://10.0.0.5/v1", "http://ollama:11434", "http://a.local"],
)
def test_a_model_next_door_is_free_unless_somebody_says_otherwise(url: str) -> None:
    assert prices.price(url, "m") == Price("m")
    assert prices.price(url, "m", "0.5/1.25") == Price("m", 500_000, 1_250_000, 500_000, 500_000)


@pytest.mark.parametrize("written", ["2.5", "a/b", "-1/2", "1/2/3", "1e9/1", "nan/1", "inf/1", "10001/1"])
def test_a_price_that_cannot_be_read_says_how_one_is_written(written: str) -> None:
    with pytest.raises(ConfigError) as told:
        resolve({"model_price": written})

    assert "model_price (option)" in str(told.value)
    assert "PROMPT/COMPLETION" in str(told.value)

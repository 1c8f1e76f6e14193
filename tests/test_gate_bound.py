"""A model call goes out only under a known bound, in the very bytes that were judged."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.gate.bound import FIELDS, IMAGE_TOKENS, Bounded, Unbounded, bounded
from teehee.gate.usage import ANTHROPIC, OLLAMA, OPENAI
from teehee.wire.boot import EgressRule, Price

Json = Any
PRICE = Price("m", 1, 2, 1, 1)
RULE = EgressRule(
    "model", "https://api.example.com/v1", ("POST",), ("/",), agent="ada", prices=(PRICE,), max_tokens=500
)
CHAT = "/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def judged(path: str = CHAT, rule: EgressRule = RULE, **more: Json) -> Bounded:
    return bounded(rule, path, json.dumps(ASKED | more).encode())


def refusal(body: Json, path: str = CHAT) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Unbounded) as refused:
        bounded(RULE, path, raw)
    return str(refused.value)


@pytest.mark.parametrize(
    ("path", "given_", "sent"),
    [
        (CHAT, {}, {"max_tokens": 500}),
        (CHAT, {"max_tokens": 40}, {"max_tokens": 40}),
        (CHAT, {"max_tokens": 10**9}, {"max_tokens": 500}),
        (CHAT, {"max_tokens": -5}, {"max_tokens": 500}),
        (CHAT, {"max_tokens": None}, {"max_tokens": 500}),
        (CHAT, {"max_tokens": 9e9}, {"max_tokens": 500}),
        (CHAT, {"max_completion_tokens": 60}, {"max_completion_tokens": 60}),
        (CHAT, {"max_completion_tokens": 60, "max_tokens": 10**9}, {"max_completion_tokens": 60}),
        ("/v1/messages", {}, {"max_tokens": 500}),
        ("/api/chat", {}, {"options": {"num_predict": 500}}),
        ("/api/chat", {"options": {"num_predict": -1, "seed": 1}}, {"options": {"num_predict": 500, "seed": 1}}),
    ],
)
def test_an_answers_length_is_always_named_and_never_above_the_setting(path: str, given_: Json, sent: Json) -> None:
    found = judged(path, **given_)

    went_out = json.loads(found.body)
    assert {name: went_out[name] for name in went_out.keys() - ASKED.keys()} == sent
    assert found.most.completion == min(v for v in [500, *_numbers(sent)] if v > 1)


def _numbers(value: Json) -> list[int]:
    flat = value.get("options", value)
    return [number for name, number in flat.items() if name != "seed"]


def test_a_key_said_twice_goes_out_once_as_it_was_judged() -> None:
    raw = b'{"model":"m","messages":[],"max_tokens":10,"max_tokens":20,"model":"m"}'

    found = bounded(RULE, CHAT, raw)

    assert json.loads(found.body)["max_tokens"] == 20
    assert found.body.count(b"max_tokens") == 1
    assert found.most.completion == 20


@pytest.mark.parametrize(
    "field",
    ["n", "best_of", "service_tier", "web_search_options", "models", "plugins", "prediction", "audio", "store"],
)
def test_what_costs_beyond_the_bound_may_not_be_asked_for(field: str) -> None:
    assert field in refusal(ASKED | {field: 2})


@pytest.mark.parametrize("model", ["gpt-dearest", "", None, ["m"], {"m": 1}])
def test_a_model_that_is_not_the_agents_is_refused(model: Json) -> None:
    assert "model" in refusal(ASKED | {"model": model})


def test_an_unknown_path_is_refused_where_money_is_counted_and_held_by_its_size_where_it_is_not() -> None:
    unpriced = replace(RULE, prices=(replace(PRICE, known=False),))

    assert "/responses" in refusal(ASKED, "/responses")
    assert bounded(unpriced, "/v1beta/models/m:streamGenerateContent", b"x" * 400).most.tokens > 900


def test_one_answer_may_be_asked_for_by_number() -> None:
    assert "n" not in json.loads(judged(n=1).body)


@pytest.mark.parametrize("part", [{"type": "file"}, {"type": "input_audio"}, {"type": "document"}, {}, 7, ["x"]])
def test_a_part_whose_tokens_nobody_knows_is_refused(part: Json) -> None:
    refusal(ASKED | {"messages": [{"role": "user", "content": [part]}]})
    refusal(ASKED | {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [part]}]}]})
    refusal(ASKED | {"system": [part]}, "/messages")


def test_a_providers_own_tools_and_dearer_caches_are_refused() -> None:
    hour = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}

    refusal(ASKED | {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "/messages")
    refusal(ASKED | {"system": [hour]}, "/messages")
    judged("/messages", system=[hour | {"cache_control": {"type": "ephemeral"}}], tools=[{"name": "roll"}])


def test_thinking_must_fit_into_the_answer() -> None:
    refusal(ASKED | {"thinking": {"type": "enabled", "budget_tokens": 500}}, "/messages")
    judged("/messages", thinking={"type": "enabled", "budget_tokens": 400})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"model":"m","temperature":NaN}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    refusal(body)


def test_a_streamed_chat_is_made_to_tell_its_usage() -> None:
    mistral = replace(RULE, base_url="https://api.mistral.ai/v1")

    assert json.loads(judged(stream=True, stream_options={"include_usage": False}).body)["stream_options"] == {
        "include_usage": True
    }
    assert "stream_options" not in json.loads(judged(stream=True, rule=mistral).body)
    assert "stream_options" not in json.loads(judged().body)


def test_an_image_counts_for_more_than_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}

    found = judged(messages=[{"role": "user", "content": [image, image]}])

    assert found.most.prompt > 2 * IMAGE_TOKENS


@pytest.mark.parametrize(
    ("path", "part", "more"),
    [
        (CHAT, {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 400_000}}, {}),
        (CHAT, {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "B" * 400_000}}]}, {}),
        ("/v1/messages", {"type": "image", "source": {"type": "base64", "data": "C" * 400_000}}, {}),
        ("/api/chat", "", {"images": ["D" * 400_000]}),
    ],
)
def test_a_pictures_own_bytes_are_no_tokens(path: str, part: Json, more: Json) -> None:
    found = judged(path, messages=[{"role": "user", "content": [part], **more}])

    assert IMAGE_TOKENS < found.most.prompt < IMAGE_TOKENS + 2000


@pytest.mark.parametrize(
    "url", ["data:text/plain;base64," + "A" * 4000, "a word " * 600, "data:image/jpeg," + "é" * 2000]
)
def test_what_only_says_it_is_a_picture_counts_as_text_too(url: str) -> None:
    found = judged(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])

    assert found.most.prompt > IMAGE_TOKENS + 4000


def test_a_cache_to_be_written_is_held_at_its_dearer_price() -> None:
    rule = replace(RULE, prices=(Price("m", 100, 500, 10, 125),))

    most = judged("/messages", rule=rule).most

    assert (most.prompt, most.written > 0) == (0, True)


def test_embeddings_have_no_answer_to_hold_room_for() -> None:
    found = bounded(RULE, "/embeddings", b'{"model":"m","input":["a","b"]}')

    assert found.most.completion == 0
    assert "max_tokens" not in json.loads(found.body)


@given(text=st.text(max_size=300))
def test_the_bound_is_at_least_a_token_for_every_byte_of_text(text: str) -> None:
    found = judged(messages=[{"role": "user", "content": text}])

    assert found.most.prompt >= len(text.encode("utf-8", "replace"))


bodies = st.dictionaries(
    st.sampled_from(sorted(FIELDS[OPENAI] | FIELDS[ANTHROPIC] | FIELDS[OLLAMA] | {"n"})),
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=5) | st.just("m"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "content", "num_predict", "ttl", "role", "images"]), inner)
        ),
        max_leaves=8,
    ),
)


@given(body=bodies, path=st.sampled_from([CHAT, "/messages", "/api/chat", "/embeddings", "/api/embed"]))
def test_whatever_is_asked_it_is_bounded_or_refused(body: Json, path: str) -> None:
    try:
        found = bounded(RULE, path, json.dumps(body | {"model": "m"}).encode())
    except Unbounded:
        return

    went_out = json.loads(found.body)
    assert found.most.prompt >= len(found.body)
    assert found.most.completion <= 500
    if not path.endswith(("embed", "embeddings")):
        place = went_out["options"] if path == "/api/chat" else went_out
        names = ("num_predict",) if path == "/api/chat" else ("max_tokens", "max_completion_tokens")
        assert [place[name] for name in names if name in place] == [found.most.completion]

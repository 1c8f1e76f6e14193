import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.character import Character, Line, Style
from teehee.character.secrets import looks_secret, strip_secrets

SECRET = "hunter2-and-more"


def character(**fields: object) -> Character:
    return Character(**({"id": "b850bc30-45f8-0041-a00a-83df46d8555d", "name": "Wren"} | fields))  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    "key",
    [
        *("OPENAI_API_KEY", "apiKey", "openai.apikey", "TELEGRAM_BOT_TOKEN", "accessToken", "authtoken"),
        *("clientSecret", "TWITTER_PASSWORD", "wallet_mnemonic", "WALLET_SEED", "SOLANA_PRIVATE_KEY", "privatekey"),
        *("seed_phrase", "AWS_ACCESS_KEY", "session_cookies", "password", "token", "API_KEYS", "db-password"),
    ],
)
def test_a_secret_name_is_known(key: str) -> None:
    assert looks_secret(key, "value")


@pytest.mark.parametrize(
    "key",
    [
        *("max_tokens", "maxOutputTokens", "MAX_TOKEN", "tokens", "model", "voice", "monkey", "KEYBOARD", "PUBLIC_KEY"),
        *("publicKey", "tokenLimit", "min_token", "seed", "keyboard_layout", "secretary", "hockey"),
    ],
)
def test_a_count_or_an_ordinary_word_is_no_secret(key: str) -> None:
    assert not looks_secret(key, 4096)


def test_secrets_leave_and_handles_stay() -> None:
    settings = {
        "OPENAI_API_KEY": "sk-very-secret",
        "modelConfig": {"maxOutputTokens": 512, "temperature": 0.5},
        "voice": {"elevenlabs": {"apiKey": "el-secret-1"}, "model": "alba"},
        "list": [{"token": "123456:abc"}],
        "DATABASE_URL": "postgres://wren:hunter2@db/wren",
        "EMPTY_KEY": "",
        "NO_KEY": None,
    }

    clean, found = strip_secrets(character(settings=settings, secrets={"PIN": "1"}))

    assert clean.secrets == {}
    assert clean.settings == {
        "OPENAI_API_KEY": "secret:OPENAI_API_KEY",
        "modelConfig": {"maxOutputTokens": 512, "temperature": 0.5},
        "voice": {"elevenlabs": {"apiKey": "secret:voice.elevenlabs.apiKey"}, "model": "alba"},
        "list": [{"token": "secret:list.0.token"}],
        "DATABASE_URL": "secret:DATABASE_URL",
        "EMPTY_KEY": "",
        "NO_KEY": None,
    }
    assert found == {
        "PIN": "1",
        "OPENAI_API_KEY": "sk-very-secret",
        "voice.elevenlabs.apiKey": "el-secret-1",
        "list.0.token": "123456:abc",
        "DATABASE_URL": "postgres://wren:hunter2@db/wren",
    }


def test_a_secret_told_elsewhere_is_told_no_more() -> None:
    leaky = character(
        username=f"w{SECRET}",
        system=f"Say {SECRET}.",
        bio=(f"My key is {SECRET}",),
        message_examples=((Line(SECRET, f"it is {SECRET}", (SECRET,)),),),
        style=Style(chat=(SECRET,)),
        templates={SECRET: f"{{{{{SECRET}}}}}"},
        settings={"note": [SECRET], SECRET: 1},
        extras={"people": {SECRET: [f"x{SECRET}x"]}, "knowledge": {SECRET: SECRET}, "count": 12345678},
        secrets={"A": SECRET, "B": "12345678"},
    )

    clean, found = strip_secrets(leaky)

    assert SECRET not in json.dumps(asdict(clean))
    assert clean.bio == ("My key is [secret]",)
    assert clean.message_examples[0][0] == Line("[secret]", "it is [secret]", ("[secret]",))
    assert clean.extras["count"] == "[secret]"
    assert found == {"A": SECRET, "B": "12345678"}


def test_a_secret_in_an_unknown_field_is_taken_too_but_prose_keys_are_not() -> None:
    extras = {"clientConfig": {"botToken": "1:abcdef"}, "knowledge": {"the key": "under the mat"}}

    clean, found = strip_secrets(character(extras=extras))

    assert clean.extras == {
        "clientConfig": {"botToken": "secret:clientConfig.botToken"},
        "knowledge": {"the key": "under the mat"},
    }
    assert found == {"clientConfig.botToken": "1:abcdef"}


def test_a_short_secret_leaves_prose_alone() -> None:
    clean, _ = strip_secrets(character(bio=("The code is on the door.",), secrets={"PIN": "code"}))

    assert clean.bio == ("The code is on the door.",)


def test_two_values_of_one_name_keep_two_names() -> None:
    clean, found = strip_secrets(character(settings={"A_KEY": "setting-value"}, secrets={"A_KEY": "secret-value"}))

    assert clean.settings == {"A_KEY": "secret:settings.A_KEY"}
    assert found == {"A_KEY": "secret-value", "settings.A_KEY": "setting-value"}
    assert strip_secrets(clean) == (clean, {})


def test_a_secret_holding_another_is_removed_whole() -> None:
    clean, _ = strip_secrets(character(bio=("abcdefghi abcdef",), secrets={"A": "abcdef", "B": "abcdefghi"}))

    assert clean.bio == ("[secret] [secret]",)


def test_a_character_without_secrets_is_unchanged() -> None:
    plain = character(bio=("one",), settings={"model": "small", "n": 3}, extras={"x": [1, None, True]})

    assert strip_secrets(plain) == (plain, {})


@given(
    st.text("0123456789ABCXYZ-_.", min_size=6, max_size=30),
    st.sampled_from(["API_KEY", "botToken", "x_secret"]),
    st.lists(st.text("abc {}", max_size=8), min_size=2, max_size=3),
)
def test_no_secret_is_left_and_stripping_twice_changes_nothing(secret: str, key: str, around: list[str]) -> None:
    told = secret.join(around)
    leaky = character(
        name=f"N{told}",
        bio=(told,),
        topics=(told,),
        settings={"deep": [{key: secret}], told: told},
        extras={told: {"x": [told]}},
    )

    clean, found = strip_secrets(leaky)

    assert secret not in repr(clean).replace(clean.id, "").replace(key, "").replace("Character", "")
    assert list(found.values()) == [secret]
    assert strip_secrets(clean) == (clean, {})

"""Telegram's text rules: what is marked up by itself, and how lengths are counted."""

import pytest

from teehee.testing.telegram_server import text


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("hello", []),
        ("@mia_writes hi", [("mention", "@mia_writes")]),
        ("mail me: mia@mia.example", []),
        ("😀 /start@teehee_bot now", [("bot_command", "/start@teehee_bot")]),
        ("and/or 1/2 a/b", []),
        ("see https://a.example/b?c=d#e.", [("url", "https://a.example/b?c=d#e")]),
        ("see example.com/x, #wow", [("url", "example.com/x"), ("hashtag", "#wow")]),
        ("https://a.example/@mia_writes", [("url", "https://a.example/@mia_writes")]),
        ("@abc #1", []),
    ],
)
def test_a_client_marks_mentions_commands_and_links(said: str, found: list[tuple[str, str]]) -> None:
    assert [(entity["type"], text.cut(said, entity)) for entity in text.detected(said)] == found


def test_lengths_are_utf_16_units() -> None:
    assert [text.units(one) for one in ("a", "é", "😀", "👩‍🚀")] == [1, 1, 2, 5]


def test_white_space_around_goes_and_entities_move_along() -> None:
    bold = {"type": "bold", "offset": 0, "length": 6}
    lost = {"type": "italic", "offset": 6, "length": 2}

    assert text.trimmed("  😀ab  ", [bold, lost]) == ("😀ab", [{"type": "bold", "offset": 0, "length": 4}])


def test_no_more_than_a_hundred_entities_are_kept() -> None:
    many = [{"type": "bold", "offset": 2 * place, "length": 1} for place in range(150)]

    _, kept = text.composed("a " * 150, None, many)

    assert len(kept) == 100


def test_what_is_marked_up_already_is_not_found_again() -> None:
    code = {"type": "code", "offset": 0, "length": 11}

    assert text.composed("@mia_writes @mia_writes", None, [code])[1] == [
        code,
        {"type": "mention", "offset": 12, "length": 11},
    ]

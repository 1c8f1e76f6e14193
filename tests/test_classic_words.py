import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.mind.classic_words import clauses_of, match, part, reflect, stem, stems_of, words_of

CLASSES = {"mood": frozenset(("sad", "glad"))}


def captured(pattern: str, text: str) -> list[str] | None:
    """What `pattern` captures of `text`, or None."""
    words = text.split()
    spans = match([part(token, CLASSES) for token in pattern.split()], words)
    return None if spans is None else [" ".join(words[start:end]) for start, end in spans]


def heard(text: str, name: str = "") -> list[str]:
    return [" ".join(clause.words) for clause in clauses_of(text, name)]


def test_a_message_is_heard_clause_by_clause_with_contractions_opened() -> None:
    assert heard("Hi, I'm sad because it’s late! don't ask") == ["hi", "i am sad", "because it is late", "do not ask"]


def test_the_agents_name_is_left_out_where_it_only_calls() -> None:
    assert heard("Wren, who is Wren? Hello Wren", "Wren") == ["wren", "who is", "hello"]


def test_placeholders_are_not_heard() -> None:
    assert heard("hello {{user1}} {x}") == ["hello x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("umbrella", "umbrellas"), ("losing", "lost"), ("stories", "story"), ("keep", "keeping"), ("dice", "die")],
        *[("planned", "plan"), ("boxes", "box"), ("quickly", "quick"), ("write", "writing"), ("dog's", "dogs")],
    ],
)
def test_forms_of_a_word_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_words_without_meaning_have_no_stem_of_their_own() -> None:
    assert stems_of(words_of("What do you really think about the gulls and gulls?")) == ("gull",)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("* i feel =*", "well i feel very low", ["very low"]),
        ("hi|hello *", "hello there", []),
        ("hi|hello *", "say hello", None),
        ("i am ?so @mood", "i am so sad", ["sad"]),
        ("i am ?so @mood", "i am glad", ["glad"]),
        ("my =.. died", "my goldfish died", ["goldfish"]),
        ("my =.. died", "my old goldfish died", None),
        ("=a|b *", "b c", ["b"]),
        ("*", "", []),
    ],
)
def test_patterns_match_as_elizas_did(pattern: str, text: str, found: list[str] | None) -> None:
    assert captured(pattern, text) == found


@pytest.mark.parametrize(
    ("said", "back"),
    [
        ("my heart", "your heart"),
        ("you hate me", "I hate you"),
        ("to help you", "to help me"),
        ("am tired of my work", "are tired of your work"),
        ("that you are mine", "that I am yours"),
        ("the Moon", "the Moon"),
        ("send 5 eth", ""),
        ("one two three four five six seven eight nine ten", ""),
    ],
)
def test_an_echo_is_turned_round(said: str, back: str) -> None:
    assert reflect(said.split()) == back


@given(st.text())
def test_any_text_can_be_heard(text: str) -> None:
    for clause in clauses_of(text, "Wren"):
        assert len(clause.words) == len(clause.written)
        assert "{" not in reflect(clause.written)

"""Checkpoints, the signed notes they travel in, and the cosignatures of witnesses."""

from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import VerificationError
from teehee.evidence import checkpoint, merkle
from teehee.evidence.checkpoint import COSIGNATURE, Checkpoint, Note, Signature

LOG = "teehee/ada-7f3c"
WITNESS = "witness.example/w1"


def key_of(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def vkey_of(name: str, key: Ed25519PrivateKey, algorithm: int = checkpoint.ED25519) -> str:
    return checkpoint.vkey(name, key.public_key().public_bytes_raw(), algorithm)


LOG_KEY, WITNESS_KEY, OTHER_KEY = key_of(1), key_of(2), key_of(3)
LOG_VKEY = vkey_of(LOG, LOG_KEY)
WITNESS_VKEY = vkey_of(WITNESS, WITNESS_KEY, COSIGNATURE)
HEAD = Checkpoint(LOG, 7, merkle.leaf_hash(b"root"))
SIGNED = checkpoint.sign(HEAD, LOG, LOG_KEY)
COSIGNED = SIGNED + checkpoint.cosign(HEAD, WITNESS, WITNESS_KEY, 1_767_225_600)

# The example of golang.org/x/mod/sumdb/note, by its private seed, its verifier key and its note.
NEUMANN_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NEUMANN_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The same note signed again, as in that example, by the key whose seed is 32 zero bytes.
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# The example of c2sp.org/signed-note.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The example of c2sp.org/tlog-cosignature; its keys are not published, its form is.
C2SP_COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe"
    "+mbIUBkBIfZ+qnA==\n"
)


def refused(step: str, says: str, check: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(VerificationError) as caught:
        check(*arguments)
    assert caught.value.step == step
    assert says in str(caught.value)


def note_of(text: str, *signatures: Signature) -> str:
    return Note(text, signatures).encode()


# Published examples


def test_the_go_example_verifies() -> None:
    note = checkpoint.verify_note(f"{NEUMANN_TEXT}\n{NEUMANN_LINE}", NEUMANN_VKEY)

    assert note.text == NEUMANN_TEXT
    assert note.signatures[0].key_hash.hex() == "c74f20a3"


def test_the_go_example_is_signed_to_the_byte() -> None:
    key = Ed25519PrivateKey.from_private_bytes(NEUMANN_SEED)

    assert checkpoint.sign_note(NEUMANN_TEXT, "PeterNeumann", key) == f"{NEUMANN_TEXT}\n{NEUMANN_LINE}"
    assert vkey_of("PeterNeumann", key) == NEUMANN_VKEY
    assert vkey_of("EnochRoot", Ed25519PrivateKey.from_private_bytes(bytes(32))) == ENOCH_VKEY


def test_a_note_with_two_signatures_verifies_by_either_key() -> None:
    note = f"{NEUMANN_TEXT}\n{NEUMANN_LINE}{ENOCH_LINE}"

    assert checkpoint.verify_note(note, NEUMANN_VKEY) == checkpoint.verify_note(note.encode(), ENOCH_VKEY)


def test_the_c2sp_example_verifies() -> None:
    assert checkpoint.verify_note(C2SP_NOTE, C2SP_VKEY).text == "This is an example message.\n"


def test_the_c2sp_cosigned_checkpoint_is_read() -> None:
    note = checkpoint.parse_note(C2SP_COSIGNED)
    head = checkpoint.parse_body(note.text)

    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert int.from_bytes(note.signatures[1].signature[:8]) == 1679315147
    assert len(note.signatures[1].signature) == 72
    assert note.encode() == C2SP_COSIGNED


# Ordinary use


def test_a_signed_checkpoint_comes_back_as_it_was() -> None:
    assert checkpoint.verify(SIGNED, LOG_VKEY) == HEAD
    assert checkpoint.verify(SIGNED.encode(), LOG_VKEY) == HEAD


def test_the_body_is_three_lines() -> None:
    assert HEAD.body() == f"{LOG}\n7\n{b64encode(HEAD.root).decode()}\n"


def test_extensions_are_signed_too() -> None:
    head = Checkpoint(LOG, 0, merkle.EMPTY_ROOT, ("epoch 3", "é"))

    signed = checkpoint.sign(head, LOG, LOG_KEY)

    assert checkpoint.verify(signed, LOG_VKEY) == head
    refused("signature.3", "does not hold", checkpoint.verify, signed.replace("epoch 3", "epoch 4"), LOG_VKEY)


def test_signatures_of_unknown_keys_are_ignored() -> None:
    stranger = SIGNED + checkpoint.sign(HEAD, "example.com/other", OTHER_KEY).rpartition("\n\n")[2]

    assert checkpoint.verify(stranger, LOG_VKEY) == HEAD


def test_a_note_without_the_named_key_is_refused() -> None:
    refused("signature.2", LOG, checkpoint.verify, checkpoint.sign(HEAD, "other", OTHER_KEY), LOG_VKEY)
    refused("signature.2", "got none", checkpoint.verify, checkpoint.sign(HEAD, LOG, OTHER_KEY), LOG_VKEY)


def test_one_bad_signature_of_a_known_key_spoils_the_note() -> None:
    good = checkpoint.parse_note(SIGNED).signatures[0]
    bad = Signature(good.name, good.key_hash, bytes(64))
    short = Signature(good.name, good.key_hash, good.signature[:-1])

    for signatures in ((bad,), (good, bad), (bad, good), (short,)):
        note = note_of(HEAD.body(), *signatures)
        refused("signature.3", "does not hold", checkpoint.verify, note, LOG_VKEY)


def test_a_log_key_cannot_speak_for_another_log() -> None:
    foreign = checkpoint.sign(Checkpoint("teehee/bob", 7, HEAD.root), LOG, LOG_KEY)

    refused(
        "signature.5",
        "expected origin 'teehee/ada-7f3c', got 'teehee/bob'",
        checkpoint.verify,
        foreign,
        LOG_VKEY,
    )
    assert checkpoint.verify(foreign, LOG_VKEY, origin="teehee/bob").origin == "teehee/bob"


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    note = checkpoint.sign_note("hello\n", LOG, LOG_KEY)

    refused("checkpoint.1", "3 or more lines", checkpoint.verify, note, LOG_VKEY)


# Cosignatures


def test_a_cosignature_tells_its_time() -> None:
    assert checkpoint.verify_cosignature(COSIGNED, WITNESS_VKEY) == 1_767_225_600
    assert checkpoint.verify(COSIGNED, LOG_VKEY) == HEAD


def test_the_cosigned_message_is_the_one_of_the_spec() -> None:
    signature = checkpoint.parse_note(COSIGNED).signatures[1].signature

    message = f"cosignature/v1\ntime 1767225600\n{HEAD.body()}".encode()

    assert signature[:8] == (1_767_225_600).to_bytes(8)
    WITNESS_KEY.public_key().verify(signature[8:], message)


def test_the_latest_of_two_cosignatures_counts() -> None:
    twice = COSIGNED + checkpoint.cosign(HEAD, WITNESS, WITNESS_KEY, 1_767_225_000)

    assert checkpoint.verify_cosignature(twice, WITNESS_VKEY) == 1_767_225_600


def test_a_cosignature_with_another_time_does_not_hold() -> None:
    note = checkpoint.parse_note(COSIGNED)
    line = note.signatures[1]
    later = Signature(line.name, line.key_hash, (1_767_225_601).to_bytes(8) + line.signature[8:])

    refused("signature.3", "does not hold", checkpoint.verify_cosignature, note_of(note.text, later), WITNESS_VKEY)


def test_a_cosignature_beyond_the_last_time_is_refused() -> None:
    line = checkpoint.parse_note(COSIGNED).signatures[1]
    never = Signature(line.name, line.key_hash, b"\x80" + bytes(7) + line.signature[8:])

    refused("signature.3", "2^63-1", checkpoint.verify_cosignature, note_of(HEAD.body(), never), WITNESS_VKEY)
    with pytest.raises(ValueError, match="2\\^63-1 seconds"):
        checkpoint.cosign(HEAD, WITNESS, WITNESS_KEY, 2**63)


def test_a_cosignature_is_no_signature_and_the_other_way_round() -> None:
    plain = vkey_of(WITNESS, WITNESS_KEY)
    timed = vkey_of(LOG, LOG_KEY, COSIGNATURE)

    refused("signature.2", WITNESS, checkpoint.verify_note, COSIGNED, plain)
    refused("signature.2", LOG, checkpoint.verify_cosignature, COSIGNED, timed)
    refused("signature.1", "algorithm 1, got 4", checkpoint.verify, COSIGNED, WITNESS_VKEY)
    refused("signature.1", "algorithm 4, got 1", checkpoint.verify_cosignature, COSIGNED, LOG_VKEY)


def test_a_cosigned_text_that_is_no_checkpoint_is_refused() -> None:
    signature = WITNESS_KEY.sign(b"cosignature/v1\ntime 0\nhello\n")
    key_hash = checkpoint.parse_vkey(WITNESS_VKEY).key_hash
    note = note_of("hello\n", Signature(WITNESS, key_hash, bytes(8) + signature))

    refused("checkpoint.1", "3 or more lines", checkpoint.verify_cosignature, note, WITNESS_VKEY)


# Malformed, each class by its name

BODY = HEAD.body()
LINE = SIGNED.rpartition("\n\n")[2]
ENCODED = LINE.split(" ")[2].strip()

MALFORMED_NOTES: dict[str, tuple[str, str, bytes | str]] = {
    "oversize": ("note.1", "at most 262144 bytes", f"{'x' * 262_144}\n\n{LINE}"),
    "not_utf8": ("note.2", "expected UTF-8", b"\xff" + SIGNED.encode()),
    "overlong_utf8": ("note.2", "expected UTF-8", SIGNED.encode().replace(b"7", b"\xc0\xb7")),
    "lone_surrogate": ("note.2", "expected UTF-8", "\ud800" + SIGNED),
    "nul": ("note.2", "got '\\x00' at 0", "\x00" + SIGNED),
    "tab": ("note.2", "got '\\t'", SIGNED.replace("teehee", "tee\thee")),
    "carriage_return": ("note.2", "got '\\r'", SIGNED.replace("\n", "\r\n")),
    "empty": ("note.3", "an empty line", ""),
    "no_signatures": ("note.3", "an empty line", BODY),
    "no_blank_line": ("note.3", "an empty line", BODY + LINE),
    "nothing_after_blank_line": ("note.3", "an empty line", BODY + "\n"),
    "no_last_newline": ("note.3", "an empty line", SIGNED[:-1]),
    "blank_line_at_the_end": ("note.3", "an empty line", SIGNED + "\n"),
    "too_many_signatures": ("note.4", "at most 64 signatures, got 65", f"{BODY}\n{LINE * 65}"),
    "hyphen_for_dash": ("note.5", "'— <key name> <base64>'", SIGNED.replace("—", "-")),
    "no_space_after_dash": ("note.5", "'— <key name> <base64>'", SIGNED.replace("— ", "—")),
    "no_signature_in_line": ("note.5", "'— <key name> <base64>'", f"{BODY}\n— {LOG}\n"),
    "text_among_signatures": ("note.5", "'— <key name> <base64>'", f"{SIGNED}hello\n"),
    "empty_name": ("note.6", "without spaces and plus, got ''", f"{BODY}\n—  {ENCODED}\n"),
    "plus_in_name": ("note.6", "got 'a+b'", f"{BODY}\n— a+b {ENCODED}\n"),
    "no_break_space_in_name": ("note.6", "got 'a\\xa0b'", f"{BODY}\n— a\u00a0b {ENCODED}\n"),
    "line_separator_in_name": ("note.6", "got 'a\\u2028b'", f"{BODY}\n— a\u2028b {ENCODED}\n"),
    "two_spaces_before_base64": ("note.7", "expected base64", SIGNED.replace(f" {ENCODED}", f"  {ENCODED}")),
    "space_after_base64": ("note.7", "expected base64", SIGNED[:-1] + " \n"),
    "url_safe_base64": ("note.7", "expected base64", f"{BODY}\n— {LOG} AAAA_-AA\n"),
    "unpadded_base64": ("note.7", "expected base64", f"{BODY}\n— {LOG} {ENCODED.rstrip('=')}\n"),
    "loose_bits_in_base64": ("note.7", "canonical base64", f"{BODY}\n— {LOG} AAAAAAB=\n"),
    "doubly_padded_base64": ("note.7", "base64", f"{BODY}\n— {LOG} AAAAAAA==\n"),
    "key_hash_without_signature": ("note.8", "5 bytes or more, got 4", f"{BODY}\n— {LOG} AAAAAA==\n"),
}

ROOT = b64encode(HEAD.root).decode()
MALFORMED_BODIES = {
    "empty": ("checkpoint.1", "3 or more lines", ""),
    "two_lines": ("checkpoint.1", "3 or more lines", f"{LOG}\n7\n"),
    "no_last_newline": ("checkpoint.1", "3 or more lines", f"{LOG}\n7\n{ROOT}"),
    "size_with_leading_zero": ("checkpoint.2", "got '07'", f"{LOG}\n07\n{ROOT}\n"),
    "size_with_plus": ("checkpoint.2", "got '+7'", f"{LOG}\n+7\n{ROOT}\n"),
    "size_negative": ("checkpoint.2", "got '-7'", f"{LOG}\n-7\n{ROOT}\n"),
    "size_with_space": ("checkpoint.2", "got ' 7'", f"{LOG}\n 7\n{ROOT}\n"),
    "size_with_underscore": ("checkpoint.2", "got '1_000'", f"{LOG}\n1_000\n{ROOT}\n"),
    "size_in_arabic_digits": ("checkpoint.2", "plain decimal", f"{LOG}\n٧\n{ROOT}\n"),
    "size_in_hex": ("checkpoint.2", "got '0x7'", f"{LOG}\n0x7\n{ROOT}\n"),
    "size_empty": ("checkpoint.2", "got ''", f"{LOG}\n\n{ROOT}\n"),
    "size_of_20_digits": ("checkpoint.2", "plain decimal", f"{LOG}\n{'9' * 20}\n{ROOT}\n"),
    "size_over_int64": ("checkpoint.4", "0 to 2^63-1", f"{LOG}\n{2**63}\n{ROOT}\n"),
    "root_not_base64": ("checkpoint.3", "root hash: expected base64", f"{LOG}\n7\n{ROOT[:-2]}!=\n"),
    "root_in_hex": ("checkpoint.4", "32 bytes, got 48", f"{LOG}\n7\n{HEAD.root.hex()}\n"),
    "root_loose_bits": ("checkpoint.3", "canonical base64", f"{LOG}\n7\n{'A' * 42}B=\n"),
    "root_short": ("checkpoint.4", "32 bytes, got 31", f"{LOG}\n7\n{b64encode(bytes(31)).decode()}\n"),
    "root_long": ("checkpoint.4", "32 bytes, got 33", f"{LOG}\n7\n{b64encode(bytes(33)).decode()}\n"),
    "origin_empty": ("checkpoint.4", "neither empty", f"\n7\n{ROOT}\n"),
    "extension_empty": ("checkpoint.4", "neither empty", f"{LOG}\n7\n{ROOT}\n\n"),
    "control_in_origin": ("checkpoint.4", "control characters", f"a\tb\n7\n{ROOT}\n"),
    "control_in_extension": ("checkpoint.4", "control characters", f"{LOG}\n7\n{ROOT}\na\x00\n"),
}

NAME, HASH, KEY = LOG_VKEY.split("+", 2)
MALFORMED_VKEYS = {
    "empty": ("vkey.1", "<name>+<8 hex digits>+<base64>", ""),
    "name_only": ("vkey.1", "<8 hex digits>", NAME),
    "empty_name": ("vkey.1", "<name>", f"+{HASH}+{KEY}"),
    "space_in_name": ("vkey.1", "<name>", f"a b+{HASH}+{KEY}"),
    "short_hash": ("vkey.1", "<8 hex digits>", f"{NAME}+{HASH[1:]}+{KEY}"),
    "upper_case_hash": ("vkey.1", "<8 hex digits>", f"{NAME}+ABCDEF01+{KEY}"),
    "key_not_base64": ("vkey.2", "expected base64", f"{NAME}+{HASH}+{KEY[:-1]}!"),
    "newline_at_the_end": ("vkey.2", "expected base64", f"{LOG_VKEY}\n"),
    "no_key": ("vkey.3", "32 bytes, got ''", f"{NAME}+{HASH}+"),
    "short_key": ("vkey.3", "32 bytes", f"{NAME}+{HASH}+{KEY[:-4]}"),
    "unknown_algorithm": ("vkey.3", "01 or 04", f"{NAME}+{HASH}+{b64encode(bytes([6]) + bytes(32)).decode()}"),
    "hash_of_another_key": ("vkey.4", f"expected key hash {HASH}, got 00000000", f"{NAME}+00000000+{KEY}"),
    "hash_of_another_algorithm": ("vkey.4", "expected key hash", vkey_of(LOG, LOG_KEY, COSIGNATURE)[: -len(KEY)] + KEY),
}


@pytest.mark.parametrize("name", MALFORMED_NOTES)
def test_a_malformed_note_is_refused_by_name(name: str) -> None:
    step, says, note = MALFORMED_NOTES[name]

    refused(step, says, checkpoint.parse_note, note)
    refused(step, says, checkpoint.verify, note, LOG_VKEY)


@pytest.mark.parametrize("name", MALFORMED_BODIES)
def test_a_malformed_body_is_refused_by_name(name: str) -> None:
    step, says, body = MALFORMED_BODIES[name]

    refused(step, says, checkpoint.parse_body, body)


@pytest.mark.parametrize("name", MALFORMED_VKEYS)
def test_a_malformed_vkey_is_refused_by_name(name: str) -> None:
    step, says, text = MALFORMED_VKEYS[name]

    refused(step, says, checkpoint.parse_vkey, text)


def test_sixteen_large_signatures_are_accepted() -> None:
    large = [Signature(f"w{i}", bytes(4), bytes(5000)) for i in range(16)]
    note = checkpoint.parse_note(SIGNED).signatures

    assert checkpoint.verify(note_of(BODY, *large, *note), LOG_VKEY) == HEAD


def test_empty_lines_within_a_text_are_kept() -> None:
    note = checkpoint.sign_note("one\n\n\ntwo\n\n", "poet", OTHER_KEY)

    assert checkpoint.verify_note(note, vkey_of("poet", OTHER_KEY)).text == "one\n\n\ntwo\n\n"


def test_what_could_not_be_read_back_is_not_signed() -> None:
    with pytest.raises(ValueError, match="no spaces and no plus, got 'a b'"):
        checkpoint.sign(HEAD, "a b", LOG_KEY)
    with pytest.raises(ValueError, match="ends in a newline"):
        checkpoint.sign_note("no newline", LOG, LOG_KEY)
    with pytest.raises(ValueError, match="its only control character"):
        checkpoint.sign_note("a\tb\n", LOG, LOG_KEY)
    with pytest.raises(ValueError, match="neither empty nor has control characters"):
        Checkpoint("two\nlines", 7, HEAD.root)
    with pytest.raises(ValueError, match="got -1"):
        Checkpoint(LOG, -1, HEAD.root)


# Properties

NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1, max_size=30)
LINES = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=0x20), min_size=1, max_size=30)
HEADS = st.builds(
    Checkpoint,
    NAMES,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(LINES, max_size=3).map(tuple),
)


@given(HEADS, st.integers(0, 2**63 - 1))
def test_any_checkpoint_survives_the_round_trip(head: Checkpoint, time_seconds: int) -> None:
    note = checkpoint.sign(head, head.origin, LOG_KEY) + checkpoint.cosign(head, WITNESS, WITNESS_KEY, time_seconds)

    assert checkpoint.parse_body(head.body()) == head
    assert checkpoint.parse_note(note).encode() == note
    assert checkpoint.verify(note, vkey_of(head.origin, LOG_KEY)) == head
    assert checkpoint.verify_cosignature(note, WITNESS_VKEY) == time_seconds


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_of_a_note_verifies(bit: int) -> None:
    signed = SIGNED.encode()

    for i in range(len(signed)):
        flipped = signed[:i] + bytes([signed[i] ^ 1 << bit]) + signed[i + 1 :]
        with pytest.raises(VerificationError):
            checkpoint.verify(flipped, LOG_VKEY)


@given(st.data())
def test_no_changed_inserted_or_missing_byte_verifies(data: st.DataObject) -> None:
    signed = SIGNED.encode()
    at = data.draw(st.integers(0, len(signed) - 1))
    byte = data.draw(st.binary(max_size=3).filter(lambda b: b != signed[at : at + 1]))

    changed = signed[:at] + byte + signed[at + 1 :]

    if changed != signed:
        with pytest.raises(VerificationError):
            checkpoint.verify(changed, LOG_VKEY)


def test_no_changed_character_of_a_vkey_verifies() -> None:
    for i in range(len(LOG_VKEY)):
        for character in "A+ 0":
            changed = LOG_VKEY[:i] + character + LOG_VKEY[i + 1 :]
            if changed != LOG_VKEY:
                with pytest.raises(VerificationError):
                    checkpoint.verify(SIGNED, changed)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_noise_is_refused_and_nothing_worse(noise: bytes | str) -> None:
    with pytest.raises(VerificationError):
        checkpoint.verify(noise, LOG_VKEY)
    if isinstance(noise, str):
        with pytest.raises(VerificationError):
            checkpoint.parse_vkey(noise)
        with pytest.raises(VerificationError):
            checkpoint.parse_body(noise)

"""The statement an agent makes about itself, and how it is bound to a quote."""

from dataclasses import replace
from hashlib import sha256, sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import VerificationError
from teehee.evidence import statement
from teehee.evidence.canonical import canonical
from teehee.evidence.statement import Statement

A, B, C, D, E = (letter * 64 for letter in "abcde")

ADA = Statement(
    key_id="ada-7f3c",
    app_id="0f" * 20,
    compose_hash=A,
    package_hash=B,
    policy_hash=C,
    keys={"log": D, "evm": "02" + E},
    addresses={"evm": "0x52908400098527886E0F7030069857D2E4169EE7"},
    accounts={"x": "1234567890", "telegram": "-1001234567890"},
    log_origin="teehee/ada-7f3c",
    log_size=42,
    log_root=E,
    previous="",
    nonce="00ff",
    issued_at=1_767_225_600_000,
    trust="dev",
)
FORM = (
    '{"accounts":{"telegram":"-1001234567890","x":"1234567890"},'
    '"addresses":{"evm":"0x52908400098527886E0F7030069857D2E4169EE7"},'
    f'"app_id":"{"0f" * 20}","compose_hash":"{A}","issued_at":1767225600000,"key_id":"ada-7f3c",'
    f'"keys":{{"evm":"02{E}","log":"{D}"}},"log_origin":"teehee/ada-7f3c","log_root":"{E}","log_size":42,'
    f'"nonce":"00ff","package_hash":"{B}","policy_hash":"{C}","previous":"","trust":"dev"}}'
).encode()


def refused(step: str, says: str, data: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        statement.parse(data)
    assert caught.value.step == step
    assert says in str(caught.value)


def test_a_statement_has_this_form() -> None:
    assert ADA.encode() == FORM


def test_report_data_is_the_hash_of_domain_zero_and_form() -> None:
    assert ADA.report_data() == sha512(b"teehee/statement/v1" + b"\x00" + FORM).digest()
    assert len(ADA.report_data()) == 64


def test_these_bytes_never_change() -> None:
    assert ADA.report_data().hex() == (
        "89ee4d4093f0d8376d4061b6cfef8836ee037cfaf3983234b2df71bdacc2c752"
        "5f82fd7ec24a389ae86792717f74a002a126f7a86f8448377c14d718068ad403"
    )
    assert ADA.hash() == "ac8346d8972768bbfa401157a59d40ef91b97112c28a6281bf11a844c4998839"


def test_the_hash_names_the_statement_to_its_successor() -> None:
    successor = replace(ADA, previous=ADA.hash(), log_size=43)

    assert ADA.hash() == sha256(b"teehee/statement/v1" + b"\x00" + FORM).hexdigest()
    assert statement.parse(successor.encode()).previous == ADA.hash()


def test_a_statement_comes_back_as_it_was() -> None:
    assert statement.parse(FORM) == ADA


@pytest.mark.parametrize("name", sorted(ADA.members()))
def test_every_field_is_bound(name: str) -> None:
    other = {
        "key_id": "bob",
        "app_id": "00" * 20,
        "keys": {"log": D},
        "addresses": {},
        "accounts": {"x": "1234567891"},
        "log_origin": "teehee/bob",
        "log_size": 43,
        "nonce": "",
        "issued_at": 0,
        "trust": "tdx",
    }
    changed = Statement.read({**ADA.members(), name: other.get(name, "0" * 64)})

    assert changed.report_data() != ADA.report_data()
    assert changed.hash() != ADA.hash()


@pytest.mark.parametrize("name", sorted(ADA.members()))
def test_every_missing_key_is_refused_by_name(name: str) -> None:
    members = ADA.members()
    del members[name]

    refused("record.3", f"expected the key '{name}'", canonical(members))


@pytest.mark.parametrize("name", sorted(ADA.members()))
@pytest.mark.parametrize("wrong", [None, True, -1, "\u00e9", [], {"": ""}, {"a b": "c"}, {"a": 1}], ids=str)
def test_every_wrong_value_is_refused_by_name(name: str, wrong: object) -> None:
    refused("record.4", f"Statement: {name}", canonical({**ADA.members(), name: wrong}))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("trust", "simulator", "trust: expected 'dev' or 'tdx', got 'simulator'"),
        ("app_id", "0x" + "0f" * 19, "app_id: expected an app id of 40 lower-case hex digits"),
        ("log_origin", "teehee/a b", "log_origin: expected a log origin"),
        ("log_origin", "teehee/a+b", "log_origin: expected a log origin"),
        ("log_root", "", "log_root: expected 64 lower-case hex digits"),
        ("previous", "none", "previous: expected 64 lower-case hex digits, or nothing"),
        ("nonce", "abc", "nonce: expected at most 64 bytes in lower-case hex"),
        ("nonce", "00" * 65, "nonce: expected at most 64 bytes in lower-case hex"),
        ("accounts", {"x": "two words"}, "accounts['x']: expected 1 to 128 printable"),
        ("addresses", {"evm": ""}, "addresses['evm']: expected 1 to 128 printable"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_by_name(name: str, value: object, says: str) -> None:
    refused("record.4", says, canonical({**ADA.members(), name: value}))


def test_another_form_is_refused() -> None:
    refused("record.2", "expected no key 'name'", canonical({**ADA.members(), "name": "Ada"}))
    refused("record.1", "expected a JSON object", b"[]")
    refused("json.8", "canonical", FORM.replace(b":", b": ", 1))
    refused("json.8", "canonical", FORM + b"\n")
    refused("json.1", "at most 131072 bytes", b" " * 131_073)


def test_the_largest_statement_is_read_back() -> None:
    names = [f"{i:0>128}" for i in range(64)]
    identifiers = dict.fromkeys(names, "\\" * 128)

    largest = replace(ADA, keys=dict.fromkeys(names, "ff" * 128), addresses=identifiers, accounts=identifiers)

    assert statement.parse(largest.encode()) == largest


@given(
    st.integers(0, 2**53),
    st.binary(max_size=64),
    st.dictionaries(st.text("az/9", min_size=1), st.text('!~\\"', min_size=1)),
)
def test_any_statement_survives_the_round_trip(log_size: int, nonce: bytes, accounts: dict[str, str]) -> None:
    accounts = {name: item[:128] for name, item in accounts.items() if name[0] != "/" and len(name) <= 128}

    one = replace(ADA, log_size=log_size, nonce=nonce.hex(), accounts=accounts)

    assert statement.parse(one.encode()) == one


@given(st.integers(0, len(FORM) - 1), st.integers(1, 255))
def test_no_changed_byte_keeps_the_binding(at: int, flip: int) -> None:
    changed = FORM[:at] + bytes([FORM[at] ^ flip]) + FORM[at + 1 :]

    try:
        parsed = statement.parse(changed)
    except VerificationError:
        return
    assert parsed.report_data() != ADA.report_data()

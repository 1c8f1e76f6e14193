"""The app-compose: hashed by its bytes, read strictly, and linted for whom it lets in."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import EXPECTED, TEE, parsed_or_refused, read, refused
from teehee.evidence import compose
from teehee.evidence.compose import SEVERITIES, Finding

CORPUS = Path(__file__).parent / "vectors" / "compose"
CODES: dict[str, list[str]] = json.loads((CORPUS / "expected.json").read_text())
CATALOGUE: dict[str, dict[str, str]] = json.loads(
    (Path(compose.__file__).parent / "data" / "compose_findings.json").read_text()
)
CLEAN = (CORPUS / "clean.json").read_bytes()


def linted(data: bytes) -> list[Finding]:
    return list(compose.lint(compose.parse(data)))


def codes(data: bytes) -> list[str]:
    return sorted({finding.code for finding in linted(data)})


def changed(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**json.loads(CLEAN), **changes}.items() if v is not ...}).encode()


# The hash


@pytest.mark.parametrize("entry", json.loads((TEE / "expected.json").read_text())["compose"], ids=lambda e: e["file"])
def test_the_hash_is_over_the_bytes_as_they_are(entry: dict[str, Any]) -> None:
    data = read(entry["file"])

    hashed = compose.compose_hash(data).hex()

    assert hashed == entry["sha256_raw"]
    logged = {
        dict(item["event_log"]["events"])["compose-hash"]: name
        for name, item in EXPECTED.items()
        if "event_log" in item
    }
    assert logged.get(hashed) == entry["equals_event_in"]


@pytest.mark.parametrize("file", ["dstack-examples-rtmr3/app-compose.json", "near-mpc/app_compose.json"])
def test_a_file_that_was_written_again_is_another_file(file: str) -> None:
    data = read(file)
    again = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()

    assert compose.parse(again) == compose.parse(data)
    assert compose.compose_hash(again) != compose.compose_hash(data)
    assert compose.compose_hash(data + b"\n") != compose.compose_hash(data)


def test_a_file_over_the_limit_is_refused() -> None:
    refused("compose.1", "at most 262144 bytes, got 262145", compose.compose_hash, bytes(262_145))
    refused("compose.1", "at most 262144 bytes, got 262145", compose.parse, bytes(262_145))


# The fields


def test_a_field_that_is_not_given_has_dstacks_default() -> None:
    app = compose.parse(b'{"manifest_version":2,"name":"ada","runner":"docker-compose"}')

    assert (app.public_tcbinfo, app.secure_time, app.public_logs, app.no_instance_id) == (True, True, False, False)
    assert (app.key_provider, app.event_log_version, app.allowed_envs, app.init_scripts) == ("none", 1, (), ())


@pytest.mark.parametrize(
    ("fields", "provider"),
    [
        ({"key_provider": ..., "kms_enabled": True}, "kms"),
        ({"key_provider": ..., "kms_enabled": True, "local_key_provider_enabled": True}, "kms"),
        ({"key_provider": ..., "kms_enabled": False, "local_key_provider_enabled": True}, "local"),
        ({"key_provider": None, "kms_enabled": False}, "none"),
        ({"key_provider": "tpm", "kms_enabled": True}, "tpm"),
        ({"key_provider": "none", "kms_enabled": True}, "none"),
    ],
)
def test_the_key_provider_is_the_one_dstack_comes_to(fields: dict[str, Any], provider: str) -> None:
    assert compose.parse(changed(**fields)).key_provider == provider


def test_one_init_script_or_several() -> None:
    assert compose.parse(changed(init_script="a")).init_scripts == ("a",)
    assert compose.parse(changed(init_script=["a", "b"])).init_scripts == ("a", "b")
    assert compose.parse(changed(init_script=None)).init_scripts == ()


MALFORMED: dict[str, tuple[str, str, bytes]] = {
    "no_json": ("json.4", "expected JSON", b"services:"),
    "an_array": ("compose.2", "got a list", b"[]"),
    "a_key_twice": ("json.5", "'public_logs' twice", b'{"public_logs":false,"public_logs":true}'),
    "not_utf8": ("json.2", "UTF-8", b'{"name":"\xff"}'),
    "flag_in_words": ("compose.3", "public_logs: expected a bool, got a str", changed(public_logs="false")),
    "flag_as_a_number": ("compose.3", "public_logs: expected a bool, got a int", changed(public_logs=0)),
    "compose_as_an_object": ("compose.3", "docker_compose_file", changed(docker_compose_file={"services": {}})),
    "envs_as_a_text": ("compose.3", "allowed_envs: expected a list", changed(allowed_envs="PATH")),
    "envs_of_numbers": ("compose.3", "allowed_envs: expected an array of texts", changed(allowed_envs=[1])),
    "script_of_numbers": ("compose.3", "init_script", changed(init_script=[1])),
    "version_true": ("compose.3", "event_log_version", changed(event_log_version=True)),
    "version_3": ("compose.4", "version 1 or 2", changed(event_log_version=3)),
    "unknown_provider": ("compose.4", "kms, local, tpm or none", changed(key_provider="hsm")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_by_name(name: str) -> None:
    step, says, data = MALFORMED[name]

    refused(step, says, compose.parse, data)


# The linter


@pytest.mark.parametrize("name", CODES)
def test_the_linter_finds_what_a_file_is_named_for(name: str) -> None:
    assert codes((CORPUS / f"{name}.json").read_bytes()) == CODES[name]


def test_every_finding_has_a_file_and_every_file_an_expectation() -> None:
    assert {path.stem for path in CORPUS.glob("*.json")} - {"expected"} == set(CODES)
    assert {code for found in CODES.values() for code in found} == set(CATALOGUE)
    assert set(CATALOGUE) <= set(CODES), "a file is named after each code"


def test_a_clean_file_has_no_findings_at_all() -> None:
    assert linted(CLEAN) == []


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_finding_says_what_a_stranger_can_do_and_how_to_mend_it(code: str) -> None:
    entry = CATALOGUE[code]

    assert set(entry) == {"severity", "stranger", "mend"}
    assert entry["severity"] in SEVERITIES
    assert entry["stranger"].endswith(".")
    assert entry["mend"].endswith((".", "…"))


def test_findings_come_worst_first_and_once() -> None:
    found = linted(read("dstack-simulator-head/app-compose.json"))

    assert [SEVERITIES.index(item.severity) for item in found] == sorted(SEVERITIES.index(i.severity) for i in found)
    assert max(Counter((item.code, item.where, item.found) for item in found).values()) == 1
    assert set(found[0].to_json()) == {"severity", "code", "where", "found", "stranger", "mend"}


def test_a_good_quote_may_be_of_a_leaking_app() -> None:
    """The quote of near-mpc holds in every respect, and this container prints the node's key into public logs."""
    found = {(item.code, item.where) for item in linted(read("near-mpc/app_compose.json"))}

    assert {
        ("sidecar-reads-others", "services.signer-key-export.volumes[0]"),
        ("public-logs", "public_logs"),
        ("docker-socket", "services.launcher.volumes[0]"),
        ("user-config", "services.launcher.volumes[2]"),
        ("local-key-provider", "key_provider"),
    } <= found


def test_the_simulators_file_lets_everybody_in() -> None:
    found = codes(read("dstack-simulator-head/app-compose.json"))

    assert {"ssh-access", "script-container", "unpinned-image", "docker-socket", "socket-relayed"} <= set(found)


def test_a_secret_is_not_told_again() -> None:
    data = (CORPUS / "secret-in-compose.json").read_bytes()

    assert b"hunter2" in data
    assert "hunter2" not in repr(linted(data))


def test_what_a_finding_quotes_is_short_and_on_one_line() -> None:
    found = linted(changed(init_script="docker run x\t" + "y" * 5_000, allowed_envs=["LD_" + "x" * 5_000]))

    assert [len(item.found) for item in found] == [160, 160]
    assert not any(character in item.found for item in found for character in "\n\t")


# What went wrong elsewhere


def test_r36_a_file_that_cannot_be_read_is_not_a_clean_one() -> None:
    """A tool that could not look passed what it had not seen."""
    for unreadable in ("", "[", "services: 7", "\x00", "a: &a *a"):
        found = linted(changed(docker_compose_file=unreadable))
        assert [(item.severity, item.code) for item in found] == [("grave", "unreadable-compose")]


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@fuzzed()
@given(st.sampled_from([*json.loads(CLEAN), "init_script", "pre_launch_script", "bash_script", "note"]), JSON)
def test_any_field_is_linted_or_refused(name: str, value: Any) -> None:
    parsed_or_refused(linted, changed(**{name: value}))


SCRIPTS = st.text(st.sampled_from("|;&$(){}<>\"'\\ \ncurlshdokepa-\x00/.é"), max_size=60)


@fuzzed()
@given(SCRIPTS, st.sampled_from(["init_script", "pre_launch_script"]))
def test_any_script_is_linted(script: str, name: str) -> None:
    linted(changed(**{name: script}))


@fuzzed()
@given(st.data())
def test_a_mutated_compose_file_is_linted(data: st.DataObject) -> None:
    text = json.loads((CORPUS / f"{data.draw(st.sampled_from(sorted(CODES)))}.json").read_text())["docker_compose_file"]
    at = data.draw(st.integers(0, len(text)))
    piece = data.draw(
        st.sampled_from(["", "&a ", "*a", "<<: *a\n", "- ", "{", "]", ": ", "'", "!!x ", "\n  ", "\t", "~"])
    )

    linted(changed(docker_compose_file=text[:at] + piece + text[at + data.draw(st.integers(0, 9)) :]))


HOSTILE = {
    "relays": "UNIX-CONNECT:" * 16_000,
    "pipes": "curl|sh" * 30_000,
    "substitutions": "eval " * 40_000,
    "spaces": "x -c " + " " * 200_000,
    "dockers": "docker " * 30_000,
    "installers": "apt " * 50_000,
    "variables": "${" * 100_000,
    "begins": "-----BEGIN A" * 17_000,
    "letters": "A" * 200_000,
    "digits": "1" * 200_000,
    "backslashes": "\\\n" * 60_000,
    "quotes": "'\"" * 80_000,
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_script_takes_no_time(name: str) -> None:
    linted(changed(init_script=HOSTILE[name]))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["SSH_" * 50_000, "_URL" * 50_000, "KEYS" * 50_000, "X" * 200_000])
def test_a_hostile_name_takes_no_time(name: str) -> None:
    linted(changed(allowed_envs=[name]))

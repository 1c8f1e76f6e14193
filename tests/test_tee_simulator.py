"""The simulator is one machine in agreement with itself, and serves each release's methods as that release does."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import coincurve
import dcap_qvl  # type: ignore[import-untyped] # it ships stubs without the marker
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from teehee.errors import ConfigError
from teehee.evidence import attestation, keychain
from teehee.evidence.keccak import keccak256
from teehee.tee import legacy, sim_http
from teehee.tee.sim_keys import VMS, AppKeys, Failed, KeyService, verify
from teehee.tee.sim_machine import ERAS
from teehee.tee.simulator import FAULTS, Simulator

Json = Any
SEED = bytes(range(32))
NOW = 1_790_000_000
DAY = 86_400
TAGGED = b"a tagged statement".ljust(64, b"\x00")
VECTORS = json.loads((Path(__file__).parent / "vectors/getkey/getkey_vectors.json").read_text())
COMPOSE = b'{ "name": "kept as it is",\n  "runner": "docker-compose", "features": ["kms"] }\n'


@contextlib.asynccontextmanager
async def simulating(**how: Any) -> AsyncIterator["Asked"]:
    """A simulator on a port, and a plain HTTP client for it."""
    async with Simulator(SEED, **how) as simulator:
        yield Asked(simulator, await simulator.listen())


class Asked:
    """A running simulator and how a test asks it without any SDK."""

    def __init__(self, simulator: Simulator, endpoint: str) -> None:
        self.simulator = simulator
        self.machine = simulator.machine
        self.endpoint = endpoint
        self.port = int(endpoint.rpartition(":")[2])

    async def raw(self, verb: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
        return await asyncio.to_thread(self._raw, verb, path, body, kind)

    async def post(self, path: str, /, **fields: Json) -> tuple[int, Json]:
        status, body = await self.raw("POST", path, json.dumps(fields).encode())
        return status, json.loads(body)

    async def told(self, path: str, /, **fields: Json) -> Json:
        """The answer, which must be a good one."""
        status, answer = await self.post(path, **fields)
        assert status == 200, answer
        return answer

    def _raw(self, verb: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as link:
            link.request(verb, path, body, {"Content-Type": kind})
            answer = link.getresponse()
            return answer.status, answer.read()


def replayed(log: list[Json]) -> list[str]:
    """RTMR0 to RTMR3 by this log, with every runtime digest made anew from its name and payload."""
    rtmrs = [bytes(48)] * 4
    for event in log:
        digest = bytes.fromhex(event["digest"])
        if event["event_type"] == 0x08000001:
            payload = bytes.fromhex(event["event_payload"])
            made = (0x08000001).to_bytes(4, "little") + b":" + event["event"].encode() + b":" + payload
            if event.get("version") == 2:
                said = {"name": event["event"], "payload": event["event_payload"], "type": 0x08000001}
                made = json.dumps(said, separators=(",", ":")).encode()
                assert event.get("preimage", made.hex()) == made.hex()
            assert digest in (b"", hashlib.sha384(made).digest()), event
            digest = hashlib.sha384(made).digest()
        rtmrs[event["imr"]] = hashlib.sha384(rtmrs[event["imr"]] + digest).digest()
    return [rtmr.hex() for rtmr in rtmrs]


def registers(quote: bytes) -> list[str]:
    report = dcap_qvl.Quote.parse(quote).report
    return [rtmr.hex() for rtmr in (report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3)]


def strictly(simulator: Simulator, quote: bytes, now: int = NOW) -> Json:
    """What the strictest policy makes of a quote, under this simulator's root."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(simulator.collateral(now)))
    verifier = dcap_qvl.QuoteVerifier(simulator.root_der)
    policy = dcap_qvl.QuotePolicy.strict(now)
    return json.loads(verifier.verify_with_policy(quote, collateral, now, policy).to_json())


async def quoted(asked: Asked, report_data: bytes = TAGGED) -> tuple[bytes, list[Json]]:
    """A quote and its log, by whichever method this release has."""
    era = asked.machine.era
    path = "/prpc/Tappd.RawQuote" if era == "0.3.6" else "/GetQuote"
    answer = await asked.told(path, report_data=report_data.hex())
    return bytes.fromhex(answer["quote"]), json.loads(answer["event_log"])


# -- one machine, in agreement with itself


@pytest.mark.parametrize("era", ERAS)
async def test_a_quote_passes_the_strictest_check_and_its_log_replays(era: str) -> None:
    async with simulating(era=era) as asked:
        quote, log = await quoted(asked)

        assert strictly(asked.simulator, quote)["tcb"]["status"] == "UpToDate"
    assert dcap_qvl.Quote.parse(quote).report.report_data == TAGGED
    assert replayed(log) == registers(quote)


@pytest.mark.parametrize("era", ERAS)
async def test_the_compose_hash_is_that_of_the_bytes_it_was_given_wherever_it_stands(era: str) -> None:
    async with simulating(era=era, app_compose=COMPOSE) as asked:
        quote, log = await quoted(asked)
        info = await asked.told("/prpc/Tappd.Info" if era == "0.3.6" else "/Info")

    expected = hashlib.sha256(COMPOSE).hexdigest()
    assert [event["event_payload"] for event in log if event["event"] == "compose-hash"] == [expected]
    assert [event["event_payload"] for event in log if event["event"] == "app-id"] == [expected[:40]]
    assert json.loads(info["tcb_info"])["app_compose"].encode() == COMPOSE
    assert info["app_id"] == expected[:40]
    assert info["app_name"] == "kept as it is"
    if era not in ("0.3.6", "0.4.2"):
        assert dcap_qvl.Quote.parse(quote).report.mr_config_id == b"\x01" + bytes.fromhex(expected) + bytes(15)
    if era != "0.3.6":
        assert info["compose_hash"] == json.loads(info["tcb_info"])["compose_hash"] == expected


async def test_a_pinned_key_provider_is_in_what_was_fixed_before_boot() -> None:
    compose = json.dumps({"name": "x", "key_provider_id": "abcd"}).encode()
    async with simulating(app_compose=compose, app_id=b"\x07" * 20) as asked:
        quote, _ = await quoted(asked)

    fixed = keccak256(hashlib.sha256(compose).digest() + b"\x07" * 20 + b"\x02" + b"\xab\xcd")
    assert dcap_qvl.Quote.parse(quote).report.mr_config_id == b"\x02" + fixed + bytes(15)


@pytest.mark.parametrize(
    ("era", "names"),
    [
        ("0.3.6", "rootfs-hash app-id compose-hash ca-cert-hash instance-id"),
        (
            "0.4.2",
            "system-preparing rootfs-hash app-id compose-hash instance-id boot-mr-done key-provider system-ready",
        ),
        (
            "0.5.11",
            "system-preparing app-id compose-hash instance-id boot-mr-done os-image-hash key-provider storage-fs "
            "system-ready",
        ),
        (
            "0.6.0",
            "system-preparing app-id compose-hash gpu-policy-hash instance-id boot-mr-done os-image-hash key-provider "
            "storage-fs system-ready",
        ),
    ],
)
async def test_runtime_events_come_in_the_order_of_their_release(era: str, names: str) -> None:
    async with simulating(era=era) as asked:
        _, log = await quoted(asked)

    assert [event["event"] for event in log if event["imr"] == 3] == names.split()


async def test_init_scripts_are_measured_one_by_one() -> None:
    compose = json.dumps({"name": "x", "init_script": ["first", "second"]}).encode()
    async with simulating(era="0.6.0", app_compose=compose) as asked:
        _, log = await quoted(asked)

    hashes = [event["event_payload"] for event in log if event["event"] == "init-script-hash"]
    assert hashes == [hashlib.sha256(script).hexdigest() for script in (b"first", b"second")]


async def test_newer_releases_leave_out_of_a_log_what_can_be_made_again() -> None:
    logs = {}
    for era in ("0.5.5", "0.5.11", "0.6.0"):
        async with simulating(era=era) as asked:
            _, logs[era] = await quoted(asked)

    def shown(era: str, imr: int, part: str) -> set[bool]:
        return {bool(event[part]) for event in logs[era] if event["imr"] == imr and event["event"] != "acpi-rsdp"}

    assert shown("0.5.5", 1, "event_payload") == {True}
    assert shown("0.5.11", 1, "event_payload") == shown("0.6.0", 1, "event_payload") == {False}
    assert shown("0.5.11", 3, "digest") == {True}
    assert shown("0.6.0", 3, "digest") == {False}
    assert [event["event"] for event in logs["0.6.0"] if event["event_type"] == 10] == [
        "acpi-loader", "acpi-rsdp", "acpi-tables",
    ]  # fmt: skip


@pytest.mark.parametrize("log_version", [1, 2])
async def test_an_attestation_holds_the_quote_and_the_whole_log(log_version: int) -> None:
    compose = json.dumps({"name": "x", "event_log_version": log_version}).encode()
    async with simulating(era="0.6.0", app_compose=compose) as asked:
        answer = await asked.told("/v1/Attest", report_data=TAGGED.hex())
        raw = bytes.fromhex(answer["attestation"])
        held = attestation.parse(raw)

        assert strictly(asked.simulator, held.quote_bytes)
    assert (raw[:1] == b"\x00") == (log_version == 1)
    assert held.report_data == TAGGED
    assert held.config == asked.machine.vm_config
    assert replayed(json.loads(held.event_log())) == registers(held.quote_bytes)
    assert answer["boottime_gpu_evidence"] == []


async def test_info_repeats_what_the_quote_proves() -> None:
    async with simulating() as asked:
        quote, _ = await quoted(asked)
        info = await asked.told("/Info")

    tcb = json.loads(info["tcb_info"])
    report = dcap_qvl.Quote.parse(quote).report
    assert [tcb[f"rtmr{number}"] for number in range(4)] == registers(quote) == replayed(tcb["event_log"])
    assert tcb["mrtd"] == report.mr_td.hex()
    measured = [report.mr_td, report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3, report.mr_config_id]
    assert info["mr_aggregated"] == hashlib.sha256(b"".join(measured) + bytes(96)).hexdigest()
    assert json.loads(info["vm_config"])["os_image_hash"] == info["os_image_hash"]
    assert json.loads(info["key_provider_info"])["name"] == "kms"
    assert info["app_cert"].startswith("-----BEGIN CERTIFICATE-----")


async def test_info_of_v1_tells_identity_and_no_measurements() -> None:
    async with simulating(era="0.6.0", app_compose=COMPOSE) as asked:
        old, new = await asked.told("/v0/Info"), await asked.told("/v1/Info")

    assert new["app_compose"].encode() == COMPOSE
    assert {"tcb_info", "app_cert", "rtmr0"}.isdisjoint(new)
    assert {name: old[name] for name in new if name != "app_compose"} == {
        name: value for name, value in new.items() if name != "app_compose"
    }


def test_an_instance_has_its_own_id_unless_the_app_forbids_it() -> None:
    def instance(**how: Any) -> bytes:
        return Simulator(SEED, **how).machine.instance_id

    assert instance() == instance()
    assert instance(instance_seed=b"another") != instance()
    assert instance(app_compose=b'{"no_instance_id": true}') == b""


# -- keys


def test_the_published_keys_of_v1_are_made_from_their_root() -> None:
    keys = vector_keys()

    for vector in VECTORS["v1"]:
        given = keys.by_domain(bytes.fromhex(vector["domain_hex"]).decode(), vector["algorithm"])
        assert (given.secret.hex(), given.public.hex()) == (vector["key"], vector["public_key"])


def test_the_published_links_are_signed_by_their_root() -> None:
    keys, new, old = vector_keys(), VECTORS["v1_link0"], VECTORS["v0_link0"]

    assert keys.by_domain(new["domain"], new["algorithm"]).chain[0].hex() == new["signature"]
    assert keys.by_path(old["path"], old["purpose"], old["algorithm"]).chain[0].hex() == old["signature"]


def vector_keys() -> AppKeys:
    keys = AppKeys(KeyService(SEED), "kms", bytes(20), b"")
    keys.root = bytes.fromhex(VECTORS["root"])
    return keys


async def test_one_path_is_one_secret_for_every_algorithm_of_v0_and_tappd() -> None:
    async with simulating() as asked:
        given = [
            (await asked.told("/GetKey", path="a", purpose=purpose, algorithm=algorithm))["key"]
            for purpose, algorithm in (("", ""), ("x", "secp256k1"), ("y", "k256"), ("z", "ed25519"))
        ]
        derived = (await asked.told("/prpc/Tappd.DeriveKey", path="a"))["key"]
        k256 = (await asked.told("/prpc/DeriveK256Key", path="a", purpose="x"))["k256_key"]

    assert {*given, k256} == {given[0]}
    assert load_pem_private_key(derived.encode(), None).private_numbers().private_value == int(given[0], 16)  # type: ignore[union-attr] # it is an EC key


async def test_v1_keys_are_other_keys_and_one_for_each_algorithm() -> None:
    async with simulating(era="0.6.0") as asked:
        old = (await asked.told("/GetKey", path="a"))["key"]
        new = {
            (await asked.told("/v1/GetKey", domain="a", algorithm=algorithm))["key"]
            for algorithm in ("secp256k1", "ed25519")
        }

    assert len({old, *new}) == 3


@pytest.mark.parametrize("algorithm", ["", "k256", "secp256k1_prehashed", "p256"])
async def test_v1_takes_no_alias_and_no_default(algorithm: str) -> None:
    async with simulating(era="0.6.0") as asked:
        status, answer = await asked.post("/v1/GetKey", domain="a", algorithm=algorithm)

    assert status == 400
    assert "Unsupported algorithm" in answer["error"]


@pytest.mark.parametrize("algorithm", ["secp256k1", "ed25519"])
async def test_a_chain_leads_from_key_to_app_to_key_service(algorithm: str) -> None:
    async with simulating() as asked:
        given = await asked.told("/GetKey", path="a", purpose="p", algorithm=algorithm)
        link0, link1 = (bytes.fromhex(link) for link in given["signature_chain"])
        public = keychain.public_key(bytes.fromhex(given["key"]), algorithm)

        app = keychain.recover(keychain.claim_v0("p", public), link0)
        service = keychain.recover(keychain.issued(asked.machine.app_id, app), link1)
        assert service == asked.simulator.anchor
        assert app == keychain.public_key(asked.simulator.keys.root, "secp256k1")


@pytest.mark.parametrize("provider", ["local", "none"])
async def test_without_a_key_service_the_second_link_is_empty(provider: str) -> None:
    async with simulating(provider=provider) as asked:
        given = await asked.told("/GetKey", path="a")
        quote, log = await quoted(asked)

        assert strictly(asked.simulator, quote)
    assert given["signature_chain"][1] == ""
    assert asked.simulator.anchor == b""
    (told,) = (event["event_payload"] for event in log if event["event"] == "key-provider")
    assert json.loads(bytes.fromhex(told))["name"] == {"local": "local-sgx", "none": "none"}[provider]
    assert not [event for event in log if event["event"] == "os-image-hash"]


def test_keys_live_as_long_as_their_provider_lets_them() -> None:
    def root(provider: str, **how: Any) -> bytes:
        return Simulator(SEED, provider=provider, **how).keys.root

    app = b"\x07" * 20
    assert root("kms", app_id=app) == root("kms", app_id=app, app_compose=COMPOSE)  # another code, the same wallet
    assert root("kms", app_id=app) != root("kms", app_id=b"\x08" * 20)
    assert root("local", app_id=app) == root("local", app_id=app)
    assert root("local", app_id=app) != root("local", app_id=app, app_compose=COMPOSE)
    assert root("none", app_id=app) != root("none", app_id=app)


async def test_agents_before_0_5_7_take_every_algorithm_for_secp256k1() -> None:
    async with simulating(era="0.5.5") as asked:
        plain = await asked.told("/GetKey", path="a", purpose="p")
        other = await asked.told("/GetKey", path="a", purpose="p", algorithm="ed25519")
        unknown = await asked.told("/GetKey", path="a", purpose="p", algorithm="nonsense")

    assert plain == other == unknown


def test_tappd_of_0_3_made_its_keys_from_the_apps_authority() -> None:
    old, new = (Simulator(SEED, era=era).methods for era in ("0.3.6", "0.4.2"))

    assert old.keys.root == new.keys.root
    assert old.keys.by_certificate("a", from_ca=True).private_numbers() != (
        new.keys.by_certificate("a", from_ca=False).private_numbers()
    )


# -- signing


@pytest.mark.parametrize("algorithm", ["ed25519", "secp256k1", "k256", "secp256k1_prehashed"])
async def test_what_sign_signs_verify_verifies_and_so_does_anyone(algorithm: str) -> None:
    data = hashlib.sha256(b"hello").digest()
    async with simulating() as asked:
        signed = await asked.told("/Sign", algorithm=algorithm, data=data.hex())
        question = {name: signed[name] for name in ("signature", "public_key")}
        held = await asked.told("/Verify", algorithm=algorithm, data=data.hex(), **question)
        other = await asked.told("/Verify", algorithm=algorithm, data=bytes(32).hex(), **question)
        key = await asked.told("/GetKey", path=VMS, purpose="signing", algorithm=algorithm.removesuffix("_prehashed"))

    signature, public = bytes.fromhex(signed["signature"]), bytes.fromhex(signed["public_key"])
    assert (held["valid"], other["valid"]) == (True, False)
    assert signed["signature_chain"] == [signed["signature"], *key["signature_chain"]]
    if algorithm == "ed25519":
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    else:
        digest = data if algorithm.endswith("prehashed") else hashlib.sha256(data).digest()
        der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        assert coincurve.PublicKey(public).verify(der, digest, hasher=None)


def test_the_twin_of_a_signature_does_not_verify() -> None:
    signature, key = vector_keys().sign("secp256k1", b"hello")
    s = keychain.ORDER - int.from_bytes(signature[32:])

    assert verify("secp256k1", b"hello", signature, key.public)
    assert not verify("secp256k1", b"hello", signature[:32] + s.to_bytes(32), key.public)


@pytest.mark.parametrize(
    ("algorithm", "signature", "public"),
    [
        ("", bytes(64), bytes(32)),
        ("p256", bytes(64), bytes(32)),
        ("ed25519", bytes(63), bytes(32)),
        ("ed25519", bytes(64), bytes(31)),
        ("secp256k1", bytes(64), b"\x02" + b"\x01" * 32),
        ("secp256k1", b"\x01" * 63, b"\x02" + b"\x01" * 32),
        ("secp256k1", b"\xff" * 64, b"\x02" + b"\x01" * 32),
        ("secp256k1", b"\x01" * 64, bytes(33)),
    ],
)
def test_what_cannot_be_a_signature_is_an_error_and_no_verdict(algorithm: str, signature: bytes, public: bytes) -> None:
    with pytest.raises(Failed):
        verify(algorithm, b"hello", signature, public)


@pytest.mark.parametrize(("data", "valid"), [(b"x" * 15, False), (b"\x00" * 16 + b"d" * 16, True)])
def test_verify_of_a_digest_is_as_lax_about_its_length_as_the_agent(data: bytes, valid: bool) -> None:
    signature, key = vector_keys().sign("secp256k1_prehashed", data.rjust(32, b"\x00"))

    assert verify("secp256k1_prehashed", data.lstrip(b"\x00"), signature, key.public) is valid


async def test_a_digest_of_another_length_is_not_signed() -> None:
    async with simulating() as asked:
        status, answer = await asked.post("/Sign", algorithm="secp256k1_prehashed", data="00" * 31)

    assert (status, answer) == (
        400,
        {"error": "Pre-hashed signing requires a 32-byte digest, but received 31 bytes"},
    )


# -- certificates


async def test_a_certificate_has_the_names_and_uses_it_was_asked_for() -> None:
    wanted = {
        "subject": "the app", "alt_names": ["app.example", "127.0.0.1"], "usage_server_auth": True,
        "usage_client_auth": True, "with_app_info": True, "usage_ra_tls": True,
        "not_before": NOW, "not_after": NOW + DAY,
    }  # fmt: skip
    async with simulating() as asked:
        given = await asked.told("/GetTlsKey", **wanted)

        leaf, app, service = (x509.load_pem_x509_certificate(pem.encode()) for pem in given["certificate_chain"])
        held = attestation.parse(inner(leaf, 8))
        assert strictly(asked.simulator, held.quote_bytes)
    leaf.verify_directly_issued_by(app)
    app.verify_directly_issued_by(service)
    service.verify_directly_issued_by(service)
    assert leaf.subject.rfc4514_string() == "CN=the app"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["app.example", "127.0.0.1"]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in uses] == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]
    assert (leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()) == (NOW, NOW + DAY)
    assert (inner(leaf, 3), inner(leaf, 4)) == (asked.machine.app_id, b"app:custom")
    assert asked.machine.app_id in inner(leaf, 9)
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert held.report_data == hashlib.sha512(b"ratls-cert:" + spki).digest()
    private = load_pem_private_key(given["key"].encode(), None)
    assert private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == spki


async def test_older_agents_put_quote_and_log_into_the_certificate_side_by_side() -> None:
    async with simulating(era="0.5.5") as asked:
        given = await asked.told("/GetTlsKey", usage_ra_tls=True)

        leaf = x509.load_pem_x509_certificate(given["certificate_chain"][0].encode())
        assert strictly(asked.simulator, inner(leaf, 1))
    assert replayed(json.loads(inner(leaf, 2))) == registers(inner(leaf, 1))


async def test_a_certificate_without_wishes_has_no_names_and_no_uses() -> None:
    async with simulating(provider="none") as asked:
        given = await asked.told("/GetTlsKey")

    leaf, app = (x509.load_pem_x509_certificate(pem.encode()) for pem in given["certificate_chain"])
    app.verify_directly_issued_by(app)
    assert not leaf.subject.rdns
    kinds = {type(one.value) for one in leaf.extensions}
    assert kinds.isdisjoint({x509.SubjectAlternativeName, x509.ExtendedKeyUsage})


async def test_two_certificates_never_share_a_key() -> None:
    async with simulating(era="0.6.0") as asked:
        keys = [
            (await asked.told(path, subject="same"))["key"] for path in ("/GetTlsKey", "/GetTlsKey", "/v1/IssueCert")
        ]

    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    "wanted",
    [
        {"not_before": NOW, "not_after": NOW},
        {"not_before": -1},
        {"not_after": 10**15},
        {"not_after": "soon"},
        {"subject": "x" * 65},
        {"subject": 7},
        {"alt_names": ["bücher"]},
        {"alt_names": "one"},
        {"usage_ra_tls": "maybe"},
    ],
)
async def test_a_certificate_that_cannot_be_is_refused(wanted: dict[str, Json]) -> None:
    async with simulating() as asked:
        status, answer = await asked.post("/GetTlsKey", **wanted)

    assert status == 400
    assert answer["error"]


def inner(certificate: x509.Certificate, number: int) -> bytes:
    """What one of dstack's own extensions holds, out of its octet string."""
    oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.62397.1.{number}")
    value = certificate.extensions.get_extension_for_oid(oid).value
    assert isinstance(value, x509.UnrecognizedExtension)
    data = value.value
    assert data[0] == 0x04
    return data[2:] if data[1] < 0x80 else data[2 + (data[1] & 0x7F) :]


# -- which release has which method


METHODS = {
    "0.3.6": "tappd: DeriveKey Info RawQuote TdxQuote",
    "0.4.2": "v0: GetKey GetQuote GetTlsKey Info; tappd: DeriveK256Key DeriveKey Info RawQuote TdxQuote",
    "0.5.5": "v0: EmitEvent GetKey GetQuote GetTlsKey Info; tappd: DeriveK256Key DeriveKey Info RawQuote TdxQuote",
    "0.5.11": "v0: Attest EmitEvent GetKey GetQuote GetTlsKey Info Sign Verify Version; "
    "tappd: DeriveK256Key DeriveKey Info RawQuote TdxQuote Version",
    "0.6.0": "v0: Attest EmitEvent GetKey GetQuote GetTlsKey Info Sign Verify Version; "
    "v1: Attest AttestGpu GetKey Info IssueCert Version; "
    "tappd: DeriveK256Key DeriveKey Info RawQuote TdxQuote Version",
}
PREFIXES = {"v0": ["/"], "v1": ["/v1/"], "tappd": ["/prpc/", "/prpc/Tappd."]}


@pytest.mark.parametrize("era", ERAS)
async def test_a_release_has_its_methods_and_no_others(era: str) -> None:
    every = {word for line in METHODS.values() for part in line.split("; ") for word in part.split()[1:]}
    expected = {part.split(": ")[0]: part.split(": ")[1].split() for part in METHODS[era].split("; ")}

    async with simulating(era=era) as asked:
        for surface, prefixes in PREFIXES.items():
            for prefix in prefixes:
                known = {name for name in every if (await asked.raw("POST", prefix + name, b"{}"))[0] != 404}
                assert known == set(expected.get(surface, [])), (surface, prefix)


async def test_v0_is_the_same_under_its_own_name_from_0_6_on() -> None:
    async with simulating(era="0.6.0") as asked:
        assert await asked.told("/v0/GetKey", path="a") == await asked.told("/GetKey", path="a")
    async with simulating(era="0.5.11") as asked:
        assert (await asked.raw("POST", "/v0/GetKey", b"{}"))[0] == 404


async def test_an_unknown_method_is_json_and_an_unknown_surface_is_a_page() -> None:
    async with simulating() as asked:
        status, method = await asked.raw("POST", "/Nothing", b"{}")
        assert (status, json.loads(method)) == (404, {"error": "Service not found: Nothing"})

        status, surface = await asked.raw("POST", "/v1/Version", b"{}")
        assert status == 404
        assert surface.startswith(b"<!DOCTYPE html>")


async def test_nobody_extends_a_register_after_boot() -> None:
    for era, told in (
        ("0.5.5", "not supported"),
        ("0.5.11", "not supported"),
        ("0.6.0", "was removed in dstack 0.6.0"),
    ):
        async with simulating(era=era) as asked:
            before = await quoted(asked)
            status, answer = await asked.post("/EmitEvent", event="mine", payload="00")
            after = await quoted(asked)

        assert status == 400
        assert told in answer["error"]
        assert before == after


@pytest.mark.parametrize(
    ("path", "fields", "told"),
    [
        ("/GetQuote", {"report_data": "00" * 65}, "Report data is too long"),
        ("/GetQuote", {"report_data": "0g"}, "report_data: expected hex"),
        ("/GetQuote", {"report_data": 7}, "report_data: expected a string"),
        ("/GetKey", {"path": "a", "algorithm": "secp256k1_prehashed"}, "Unsupported algorithm"),
        ("/GetKey", {"path": ["a"]}, "path: expected a string"),
        ("/Sign", {"algorithm": "", "data": "00"}, "Unsupported algorithm"),
        ("/prpc/Tappd.TdxQuote", {"report_data": "00", "hash_algorithm": "raw"}, "invalid content length"),
        ("/prpc/Tappd.TdxQuote", {"report_data": "00", "hash_algorithm": "md5"}, "invalid hash algorithm"),
        ("/v1/AttestGpu", {"nonce": "00"}, "nonce must be exactly 32 bytes"),
        ("/v1/AttestGpu", {"nonce": "00" * 32}, "no GPU"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(path: str, fields: dict[str, Json], told: str) -> None:
    async with simulating(era="0.6.0") as asked:
        status, answer = await asked.post(path, **fields)

    assert status == 400
    assert told in answer["error"]


async def test_report_data_is_filled_up_on_the_right_and_may_begin_with_0x() -> None:
    async with simulating() as asked:
        answer = await asked.told("/GetQuote", report_data="0xABCD")

    padded = b"\xab\xcd" + bytes(62)
    assert answer["report_data"] == padded.hex()
    assert dcap_qvl.Quote.parse(bytes.fromhex(answer["quote"])).report.report_data == padded


async def test_tappd_quotes_the_hash_of_a_tag_and_the_content_and_adds_the_colon() -> None:
    async with simulating() as asked:
        for fields, expected in (
            ({}, legacy.report_data(b"{}")),
            ({"prefix": "mine"}, hashlib.sha512(b"mine:{}").digest()),
            ({"prefix": "mine:"}, hashlib.sha512(b"mine::{}").digest()),
            ({"hash_algorithm": "keccak256"}, keccak256(b"app-data:{}") + bytes(32)),
        ):
            answer = await asked.told("/prpc/Tappd.TdxQuote", report_data=b"{}".hex(), **fields)
            assert dcap_qvl.Quote.parse(bytes.fromhex(answer["quote"])).report.report_data == expected
            assert answer["prefix"] == "app-data"


# -- how it listens


async def test_a_get_asks_by_query_and_a_post_without_json_is_refused() -> None:
    async with simulating() as asked:
        posted = await asked.told("/GetKey", path="a b", purpose="p")
        status, got = await asked.raw("GET", "/GetKey?path=a%20b&purpose=p")
        assert (status, json.loads(got)) == (200, posted)

        for body, kind in (
            (b"\x0a\x01a", "application/octet-stream"),
            (b"{", "application/json"),
            (b"[]", "application/json"),
        ):
            status, answer = await asked.raw("POST", "/GetKey", body, kind)
            assert status == 400
            assert json.loads(answer)["error"]


async def test_a_question_that_is_too_long_is_not_read() -> None:
    async with simulating() as asked:
        status, answer = await asked.raw("POST", "/GetKey", b" " * (sim_http.BODY_LIMIT + 1))

    assert (status, json.loads(answer)) == (413, {"error": "payload too large"})


WORDS = st.sampled_from(["secp256k1", "ed25519", "secp256k1_prehashed", "raw", "\ud800"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANY = st.recursive(
    PLAIN | WORDS | st.binary(max_size=66).map(bytes.hex),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["path", "purpose", "algorithm", "domain", "report_data", "data", "signature", "public_key", "hash_algorithm",
         "prefix", "subject", "alt_names", "usage_ra_tls", "not_before", "not_after", "nonce", "random_seed"]
    ),
    ANY,
)  # fmt: skip
NEWEST = Simulator(SEED, era="0.6.0")
EVERY = [
    prefix + name
    for prefix, methods in NEWEST.methods.surfaces().items()
    for name in methods
]  # fmt: skip


@fuzzed()
@given(st.sampled_from(EVERY), FIELDS)
def test_any_fields_are_answered_or_refused(path: str, fields: dict[str, Json]) -> None:
    reply = asyncio.run(NEWEST._answer(path, fields))

    assert reply.status in (200, 400)
    assert ("error" in json.loads(reply.body)) == (reply.status == 400)


@pytest.mark.parametrize(
    "target", [b"//[", b"/%ff", b"/GetKey?", b"/GetKey?" + b"&" * 5_000, b"/?x=%", b"/GetKey/", b"/prpc/Tappd."]
)
async def test_any_path_is_answered(target: bytes) -> None:
    async with simulating() as asked:
        status, _ = await asked.raw("GET", target.decode())

    assert status in (200, 404)


@pytest.mark.parametrize("line", [b"nonsense\r\n\r\n", b"DELETE /GetKey HTTP/1.1\r\n\r\n", b"POST /" + b"x" * 20_000])
async def test_who_speaks_no_http_is_hung_up_on(line: bytes) -> None:
    async with simulating() as asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
        writer.write(line)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert await asked.told("/Version") == {"version": "0.5.11", "rev": "teehee-simulator"}


async def test_one_connection_may_ask_twice_and_closing_drops_it() -> None:
    question = b"POST /Version HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    async with simulating() as asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
        for _ in range(2):
            writer.write(question)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        await asked.simulator.close()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_its_socket_is_for_its_user_only_replaces_a_leftover_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "dstack.sock"
    leftover = socket.socket(socket.AF_UNIX)
    leftover.bind(str(path))
    leftover.close()

    async with Simulator(SEED) as simulator:
        assert await simulator.listen(socket=path) == str(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert path.name not in os.listdir(tmp_path)


async def test_a_place_that_cannot_be_listened_at_is_told(tmp_path: Path) -> None:
    plain_file = tmp_path / "file"
    plain_file.write_text("kept")
    async with Simulator(SEED) as first, Simulator(SEED) as second:
        port = int((await first.listen()).rpartition(":")[2])
        for where in ({"port": port}, {"socket": plain_file}, {"socket": tmp_path / "no" / "such" / "folder"}):
            with pytest.raises(ConfigError, match="cannot listen at"):
                await second.listen(**where)

    assert plain_file.read_text() == "kept"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"era": "0.5.0"}, "unknown era '0.5.0'"),
        ({"provider": "tpm"}, "unknown provider 'tpm'"),
        ({"fault": "rain"}, "unknown fault 'rain'"),
        ({"app_id": b"x"}, "an app id 20"),
        ({"app_compose": b"[]"}, "no JSON object"),
        ({"app_compose": b"\xff"}, "no JSON object"),
        ({"app_compose": b'{"key_provider_id": "zz"}'}, "no hex in 'key_provider_id'"),
    ],
)
def test_what_it_cannot_be_is_told(how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Simulator(SEED, **how)


# -- its faults that only evidence shows (those of the wire are in test_tee_client)


async def test_the_fault_debug_makes_a_machine_that_can_be_debugged() -> None:
    async with simulating(fault="debug") as asked:
        quote, _ = await quoted(asked)

        with pytest.raises(ValueError, match="Debug mode is enabled"):
            strictly(asked.simulator, quote)


async def test_the_fault_dev_os_differs_in_rtmr2_and_the_image_alone() -> None:
    prod, dev = Simulator(SEED).machine, Simulator(SEED, fault="dev-os").machine

    assert prod.mrtd == dev.mrtd
    assert [a == b for a, b in zip(prod.rtmrs[:3], dev.rtmrs[:3], strict=True)] == [True, True, False]
    assert prod.os_image_hash != dev.os_image_hash
    async with simulating(fault="dev-os") as asked:
        quote, log = await quoted(asked)
        assert strictly(asked.simulator, quote)
    assert replayed(log) == registers(quote)


async def test_the_fault_stale_collateral_is_40_days_old() -> None:
    async with simulating(fault="stale-collateral") as asked:
        quote, _ = await quoted(asked)

        with pytest.raises(ValueError, match="TCBInfo expired"):
            strictly(asked.simulator, quote)


@pytest.mark.parametrize(
    ("fault", "name", "last"),
    [("forged-late-event", "app-id", "app-id"), ("duplicate-compose-hash", "compose-hash", "")],
)
async def test_a_forged_event_is_measured_like_any_other(fault: str, name: str, last: str) -> None:
    async with simulating(fault=fault) as asked:
        quote, log = await quoted(asked)

        assert strictly(asked.simulator, quote)
    names = [event["event"] for event in log]
    assert replayed(log) == registers(quote)
    assert names.count(name) == 2
    assert names[-1] == (last or "system-ready")


def test_every_fault_is_told_in_a_sentence() -> None:
    assert set(FAULTS) == {
        "slow", "status-400", "garbage", "vanish", "wrong-chain", "debug", "dev-os", "stale-collateral",
        "forged-late-event", "duplicate-compose-hash",
    }  # fmt: skip
    assert all(FAULTS.values())


# -- the command


RUN = """
import sys, typer
from teehee.cli.simulator import simulator
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(simulator)
app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_where_it_listens_and_ends_when_it_is_told(tmp_path: Path, number: int) -> None:
    compose, seed, path = tmp_path / "app-compose.json", tmp_path / "seed", tmp_path / "d.sock"
    compose.write_bytes(COMPOSE)
    seed.write_text(SEED.hex() + "\n")
    arguments = ["--seed", str(seed), "--socket", str(path), "--compose", str(compose), "--era", "0.6.0"]
    command = subprocess.Popen(  # noqa: ASYNC220 - its pipes are read in threads
        [sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    lines = [await asyncio.to_thread(command.stdout.readline) for _ in range(3)]
    is_there = path.is_socket()
    command.send_signal(number)
    _, errors = await asyncio.to_thread(command.communicate, None, 10)

    assert lines[0] == f"guest agent 0.6.0 at {path}\n"
    assert hashlib.sha256(COMPOSE).hexdigest() in lines[1]
    assert lines[2].startswith("trust: dev")
    assert (is_there, path.exists()) == (True, False)
    assert (command.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seed", "nothing-here"], "cannot read 'nothing-here'"),
        (["--seed", __file__], "is not 32 bytes, nor 64 hex digits"),
        (["--compose", "nothing-here"], "cannot read 'nothing-here'"),
        (["--era", "0.7"], "unknown era '0.7'"),
        (["--fault", "rain"], "unknown fault 'rain'"),
        (["--socket", "x", "--port", "7"], "are both given"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: list[str], told: str) -> None:
    ended = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=30)

    assert ended.returncode != 0
    assert told in ended.stderr

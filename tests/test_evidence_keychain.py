"""Chains behind keys: derived as dstack derives them, and traced to a root that came from elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import parsed_or_refused, read_json, refused
from teehee.errors import VerificationError
from teehee.evidence import anchors, keychain
from teehee.evidence.keychain import ORDER, Roots

VECTORS = read_json("getkey_vectors.json")
ROOT = bytes.fromhex(VECTORS["root"])
KMS, OTHER_KMS = b"\x07" * 32, b"\x08" * 32
APP = b"\x2a" * 20
NAME, PURPOSE = "teehee/v1/ada/evm/secp256k1", "teehee"

KMS_PUBLIC = keychain.public_key(KMS, "secp256k1")
APP_ROOT = keychain.derive_app_root(KMS, APP)
APP_PUBLIC = keychain.public_key(APP_ROOT, "secp256k1")
PUBLIC = keychain.public_key(keychain.derive_v0(APP_ROOT, NAME.encode()), "secp256k1")
CLAIM = keychain.claim_v0(PURPOSE, PUBLIC)
LINKS = (keychain.sign(APP_ROOT, CLAIM), keychain.sign(KMS, keychain.issued(APP, APP_PUBLIC)))


def high_s(signature: bytes) -> bytes:
    """The same signature in its other form, which holds for whoever does not look."""
    s = ORDER - int.from_bytes(signature[32:64])
    return signature[:32] + s.to_bytes(32) + bytes([signature[64] ^ 1])


# Published vectors


@pytest.mark.parametrize("vector", VECTORS["v1"], ids=lambda vector: f"{vector['domain_hex']}-{vector['algorithm']}")
def test_a_key_of_v1_is_derived_as_published(vector: dict[str, str]) -> None:
    key = keychain.derive_v1(ROOT, bytes.fromhex(vector["domain_hex"]).decode(), vector["algorithm"])

    assert key.hex() == vector["key"]
    assert keychain.public_key(key, vector["algorithm"]).hex() == vector["public_key"]


def test_a_link_of_v1_is_signed_as_published() -> None:
    link = VECTORS["v1_link0"]
    key = keychain.derive_v1(ROOT, link["domain"], link["algorithm"])
    claim = keychain.claim_v1(link["domain"], link["algorithm"], keychain.public_key(key, link["algorithm"]))

    assert keychain.sign(ROOT, claim).hex() == link["signature"]
    assert keychain.recover(claim, bytes.fromhex(link["signature"])) == keychain.public_key(ROOT, "secp256k1")


def test_a_link_of_v0_is_signed_as_published() -> None:
    link = VECTORS["v0_link0"]
    key = keychain.derive_v0(ROOT, link["path"].encode())
    claim = keychain.claim_v0(link["purpose"], keychain.public_key(key, link["algorithm"]))

    assert keychain.sign(ROOT, claim).hex() == link["signature"]
    assert keychain.recover(claim, bytes.fromhex(link["signature"])) == keychain.public_key(ROOT, "secp256k1")


def test_the_old_simulators_root_has_the_address_of_the_tutorials() -> None:
    keys = read_json("dstack-simulator-0.5.5/appkeys.json")
    app_public = keychain.public_key(bytes.fromhex(keys["k256_key"]), "secp256k1")
    issued = keychain.issued(bytes.fromhex("ea549f02e1a25fabd1cb788380e033ec5461b2ff"), app_public)

    root = keychain.recover(issued, bytes.fromhex(keys["k256_signature"]))

    assert keychain.address(root) == "0x8f2cF602C9695b23130367ed78d8F557554de7C5".lower()
    assert {root, app_public} <= anchors.refused_keys()


def test_the_new_simulator_has_another_root_which_is_refused_too() -> None:
    keys = read_json("dstack-simulator-head/appkeys.json")
    app_public = keychain.public_key(bytes.fromhex(keys["k256_key"]), "secp256k1")
    issued = keychain.issued(bytes.fromhex("5bb4ff9a3837357f19dc176407a5709c62eb6c56"), app_public)

    root = keychain.recover(issued, bytes.fromhex(keys["k256_signature"]))

    assert keychain.address(root) == "0xa7f6043c29f9cc1d9d6acf554c53e0c6792aaeaf"
    assert {root, app_public} <= anchors.refused_keys()


# Whole chains


def test_a_chain_leads_to_the_anchor() -> None:
    roots = keychain.verify(CLAIM, LINKS, app_id=APP, provider="kms", anchor=KMS_PUBLIC)

    assert roots == Roots(APP_PUBLIC, KMS_PUBLIC)


def test_a_chain_of_v1_leads_to_the_anchor() -> None:
    public = keychain.public_key(keychain.derive_v1(APP_ROOT, NAME, "ed25519"), "ed25519")
    claim = keychain.claim_v1(NAME, "ed25519", public)
    chain = (keychain.sign(APP_ROOT, claim), LINKS[1])

    assert keychain.verify(claim, chain, app_id=APP, provider="kms", anchor=KMS_PUBLIC).kms_root == KMS_PUBLIC


@pytest.mark.parametrize("provider", ["local-sgx", "tpm", "none"])
def test_without_a_kms_nobody_vouches_for_the_root(provider: str) -> None:
    roots = keychain.verify(CLAIM, (LINKS[0], b""), app_id=APP, provider=provider)

    assert roots == Roots(APP_PUBLIC, None)


def test_one_path_of_v0_is_one_secret_whatever_it_is_for() -> None:
    key = keychain.derive_v0(ROOT, b"wallet")

    assert keychain.derive_v1(ROOT, "wallet", "secp256k1") != keychain.derive_v1(ROOT, "wallet", "ed25519") != key
    with pytest.raises(ValueError, match="secp256k1 or ed25519, got 'p256'"):
        keychain.public_key(key, "p256")


# Refused, each by its defect

FORGED = (LINKS[0], keychain.sign(OTHER_KMS, keychain.issued(APP, APP_PUBLIC)))
REFUSED: dict[str, tuple[str, str, dict[str, object]]] = {
    "no_links": ("keychain.3", "got 0 links", {"chain": ()}),
    "three_links": ("keychain.3", "got 3 links", {"chain": (*LINKS, LINKS[0])}),
    "short_app_id": ("keychain.3", "20 bytes", {"app_id": APP[:19]}),
    "link0_empty": ("keychain.1", "expected 65 bytes", {"chain": (b"", LINKS[1])}),
    "link0_without_v": ("keychain.1", "expected 65 bytes", {"chain": (LINKS[0][:64], LINKS[1])}),
    "link0_of_der": ("keychain.1", "expected 65 bytes", {"chain": (b"\x30" * 70, LINKS[1])}),
    "link0_high_s": ("keychain.1", "lower half", {"chain": (high_s(LINKS[0]), LINKS[1])}),
    "link1_high_s": ("keychain.1", "lower half", {"chain": (LINKS[0], high_s(LINKS[1]))}),
    "v_of_ethereum": ("keychain.1", "v from 0 to 3", {"chain": (LINKS[0][:64] + b"\x1b", LINKS[1])}),
    "r_zero": ("keychain.1", "r, s", {"chain": (bytes(32) + LINKS[0][32:], LINKS[1])}),
    "s_zero": ("keychain.1", "r, s", {"chain": (LINKS[0][:32] + bytes(32) + LINKS[0][64:], LINKS[1])}),
    "r_of_the_order": ("keychain.1", "r, s", {"chain": (ORDER.to_bytes(32) + LINKS[0][32:], LINKS[1])}),
    "no_such_key": ("keychain.2", "of a key", {"chain": (LINKS[0][:64] + b"\x03", LINKS[1])}),
    "link1_empty_with_kms": ("keychain.4", "got none from 'kms'", {"chain": (LINKS[0], b"")}),
    "link1_without_kms": ("keychain.4", "got 65 bytes from 'local-sgx'", {"provider": "local-sgx"}),
    "other_kms": ("keychain.6", "expected the KMS root", {"chain": FORGED}),
    "other_app": ("keychain.6", "expected the KMS root", {"app_id": b"\x2b" * 20}),
    "other_claim": ("keychain.6", "expected the KMS root", {"claim": keychain.claim_v0("other", PUBLIC)}),
    "no_anchor": ("keychain.6", "an anchor from elsewhere", {"anchor": None}),
    "empty_anchor": ("keychain.6", "an anchor from elsewhere", {"anchor": b""}),
    "refused_kms": ("keychain.5", "expected a root that is secret", {"refused": {KMS_PUBLIC}}),
    "refused_app_root": ("keychain.5", "expected a root that is secret", {"refused": {APP_PUBLIC}}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_chain_is_refused_by_name(name: str) -> None:
    step, says, changes = REFUSED[name]
    good = {"claim": CLAIM, "chain": LINKS, "app_id": APP, "provider": "kms", "anchor": KMS_PUBLIC}

    refused(step, says, keychain.verify, **{**good, **changes})


def test_a_refused_root_is_refused_even_as_an_anchor() -> None:
    for chain, provider in ((LINKS, "kms"), ((LINKS[0], b""), "none")):
        named = {"app_id": APP, "provider": provider, "anchor": KMS_PUBLIC, "refused": {KMS_PUBLIC, APP_PUBLIC}}
        refused("keychain.5", "expected a root that is secret", keychain.verify, CLAIM, chain, **named)


# What went wrong elsewhere


def test_r1_a_key_from_a_remote_host_leads_to_no_anchor() -> None:
    """A Python TEE plugin posted to a public host for its key. Whoever answers can make a whole chain of their own."""
    root = b"\x66" * 32
    app_root = keychain.derive_app_root(root, APP)
    claim = keychain.claim_v0(PURPOSE, keychain.public_key(keychain.derive_v0(app_root, NAME.encode()), "secp256k1"))
    own = keychain.issued(APP, keychain.public_key(app_root, "secp256k1"))
    chain = (keychain.sign(app_root, claim), keychain.sign(root, own))

    named = {"app_id": APP, "provider": "kms", "anchor": KMS_PUBLIC}
    refused("keychain.6", "expected the KMS root", keychain.verify, claim, chain, **named)


def test_r2_a_key_needs_the_root_and_not_only_its_name() -> None:
    """Keys were derived from a salt in the settings alone, so whoever read the settings had them."""
    derived: list[bytes] = []
    for root in (ROOT, APP_ROOT, KMS):
        derived += [keychain.derive_v0(root, NAME.encode()), keychain.derive_v0(root, NAME.encode(), b"/2")]
        derived += [keychain.derive_v1(root, NAME, algorithm) for algorithm in ("secp256k1", "ed25519")]

    assert len(set(derived)) == 12


def test_r36_a_chain_that_could_not_be_traced_is_not_a_chain_that_was() -> None:
    """What was skipped counted as passed. Without a KMS there is no root to believe, and the answer says so."""
    assert keychain.verify(CLAIM, (LINKS[0], b""), app_id=APP, provider="none").kms_root is None
    refused("keychain.6", "elsewhere", keychain.verify, CLAIM, LINKS, app_id=APP, provider="kms")


# Anything at all


@fuzzed()
@given(st.binary(max_size=70), st.binary(max_size=70), st.sampled_from(["kms", "none", ""]))
def test_any_chain_is_verified_or_refused(link0: bytes, link1: bytes, provider: str) -> None:
    def check() -> None:
        keychain.verify(CLAIM, (link0, link1), app_id=APP, provider=provider, anchor=KMS_PUBLIC)

    parsed_or_refused(check)
    parsed_or_refused(keychain.recover, CLAIM, link0.ljust(64, b"\1")[:64] + b"\1")


@fuzzed()
@given(st.integers(0, 129), st.integers(1, 255))
def test_no_flipped_bit_of_a_chain_leads_to_the_anchor(at: int, bits: int) -> None:
    both = bytearray(LINKS[0] + LINKS[1])
    both[at] ^= bits
    chain = (bytes(both[:65]), bytes(both[65:]))

    with pytest.raises(VerificationError):
        keychain.verify(CLAIM, chain, app_id=APP, provider="kms", anchor=KMS_PUBLIC)

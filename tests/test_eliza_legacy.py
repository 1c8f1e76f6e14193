"""The wallets of `eliza-legacy` are those Eliza's own plugin makes of a tappd key, byte for byte."""

import base64
import hashlib
import json
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dev_machine import NOW, Machine
from teehee.errors import ConfigError, VerificationError
from teehee.evidence import address, keychain, verify
from teehee.evidence.bundle import ChainedKey
from teehee.evidence.keccak import keccak256
from teehee.tee import legacy
from teehee.tee.client import Client
from teehee.tee.sim_keys import p256
from teehee.tee.simulator import Simulator
from teehee.testing import running, teehee
from teehee.testing.command_line import Ended

# From the run of the published plugin: its DER, and what it made of it.
DER = bytes.fromhex(
    "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b020101042004b29f0b0df629fcb702d7cf3099a3ec46da2d44"
    "1c8190e1579d51f5d266fbc8a14403420004b31cbb39358d3c20bc7b55f9f806833fb2f191876d1a1b59d4b7d3099d2790dda3b610fff2de"
    "84acf2eab0c9dbf33e9dbcd5269dd18ae27ea77de8b91e1f9344"
)


def pem(der: bytes, label: str = "PRIVATE KEY") -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_wallets_of_a_key_are_those_of_the_published_plugin() -> None:
    wallets = legacy.wallets(pem(DER))

    assert wallets.solana_seed.hex() == "6c26f0cace3074857660a939dfec6b7f5ed543eae5c373dccecfb168cd3e0793"
    assert wallets.evm_key.hex() == "170145d0888e727c7d46d01050e14ec7ae5b64e690c64ed9e54c65afdef5cd97"
    assert wallets.evm_address == "0x72d49E4e5E3e0B4Af106E717472dfE2E970d9773"
    assert wallets.solana_address == "3mW4UeY1R7SmwJ7boDmCSqzmYQFf11yNjy1p188A8rBR"


def test_the_whole_way_from_app_key_and_salt_is_that_of_the_published_plugin() -> None:
    secret = keychain.derive_v0(bytes(range(1, 33)), b"secret_salt")

    wallets = legacy.wallets(pem_of(p256(secret)))

    assert secret.hex() == "a1c3c641f7d58c25428a79622d2fa4f924f0afae6b7a8fe74a9eb36cf3902cb8"
    assert wallets.solana_seed.hex() == "8eefa05b1a9eb5497ec3b7ea29890027ecb1b6f1e8db664473f7634cdf29c21b"
    assert wallets.evm_key.hex() == "8ab1a343d6b2eee75139b10c6c55b0ee428a0963feff4a259b279ae6d23267a5"
    assert wallets.evm_address == "0xEF7fccFA81844483a56ce6d8F4f0b81F3C63CEA7"
    assert wallets.solana_address == "6XamMM9vnBJ2AnkXfLk62ANGpBfWuqCk7YMhJot1Xho9"


@pytest.mark.parametrize("era", ["0.3.6", "0.5.11", "0.6.0"])
async def test_an_agent_gives_one_salt_the_same_wallets_whatever_the_subject(era: str) -> None:
    async with Simulator(bytes(32), era=era) as simulator:
        client = Client(await simulator.listen())
        await client.probe("tappd")

        evm = legacy.wallets(await client.derive_pem("secret_salt", "evm"))
        solana = legacy.wallets(await client.derive_pem("secret_salt", "solana"))
        other = legacy.wallets(await client.derive_pem("another salt", "evm"))

    assert evm == solana
    assert evm.evm_address != other.evm_address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(pem(DER[:-1]), "has 137 bytes", id="one byte short"),
        pytest.param(pem(DER + b"\x00"), "has 139 bytes", id="one byte long"),
        pytest.param(pem(DER[:67]), "has 67 bytes", id="without its public half"),
        pytest.param(pem(bytes([0x31]) + DER[1:]), "expected the 138", id="another structure of that length"),
        pytest.param(pem(DER[:69] + b"\x43" + DER[70:]), "expected the 138", id="another structure inside"),
        pytest.param(pem_of(ed25519.Ed25519PrivateKey.generate()), "bytes, expected", id="another curve"),
        pytest.param(pem_of(ec.generate_private_key(ec.SECP256K1())), "bytes, expected", id="the wallet's own curve"),
        pytest.param(pem(DER, "EC PRIVATE KEY"), "PEM form", id="another kind of PEM"),
        pytest.param(DER.hex(), "PEM form", id="hex"),
        pytest.param("", "PEM form", id="nothing"),
        pytest.param(pem(DER) + "x" * 2000, "PEM form", id="far too long"),
        pytest.param(pem(DER).replace("M", "?"), "base64", id="not base64"),
        pytest.param(pem(DER).replace("MIGHAg", "MIGH\u00c4g"), "base64", id="not ASCII"),
    ],
)
def test_a_key_in_another_form_makes_no_wallets(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        legacy.wallets(text)


def test_wallets_show_their_public_halves_and_nothing_else() -> None:
    wallets = legacy.wallets(pem(DER))

    assert repr(wallets.evm_public) in repr(wallets)
    for secret in (wallets.evm_key, wallets.solana_seed):
        assert secret.hex() not in repr(wallets)
        assert repr(secret) not in repr(wallets)


def test_a_leading_zero_byte_of_an_address_is_a_one() -> None:
    assert address.base58(b"\x00\x00\x01") == "112"
    assert address.base58(b"") == ""


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("", hashlib.sha512(b"app-data:{}").digest()),
        ("sha256", hashlib.sha256(b"app-data:{}").digest()),
        ("sha384", hashlib.sha384(b"app-data:{}").digest()),
        ("sha3-512", hashlib.sha3_512(b"app-data:{}").digest()),
        ("keccak256", keccak256(b"app-data:{}")),
    ],
)
def test_report_data_is_a_tagged_hash_filled_up_on_the_right(algorithm: str, digest: bytes) -> None:
    assert legacy.report_data(b"{}", algorithm) == digest + bytes(64 - len(digest))


def test_a_prefix_takes_the_place_of_the_tag_and_its_colon_is_added() -> None:
    assert legacy.report_data(b"{}", prefix="mine") == hashlib.sha512(b"mine:{}").digest()


@pytest.mark.parametrize(("algorithm", "content"), [("raw", b"x" * 63), ("raw", b"x" * 65), ("md5", b"x")])
def test_raw_report_data_has_64_bytes_and_an_unknown_hash_is_refused(algorithm: str, content: bytes) -> None:
    with pytest.raises(ValueError, match="invalid"):
        legacy.report_data(content, algorithm)


# -- chosen by a character


def moved(path: Path, salt: str = "secret_salt", **settings: object) -> str:
    """The file of an agent that came from Eliza with its wallets."""
    told = {"tee": {"derivation": "eliza-legacy"}, "secrets": {"WALLET_SECRET_SALT": salt}, **settings}
    path.write_text(json.dumps({"name": "Ada", "bio": ["A machinist."], "settings": told}))
    return str(path)


async def asked(folder: Path, file: str, environment: dict[str, str] | None = None) -> Ended:
    """A start of this character, and one question."""
    return await teehee("ask", "hello", "--character", file, "--data", folder / "data", environment=environment)


async def test_a_character_that_asks_for_it_keeps_its_eliza_wallets(tmp_path: Path) -> None:
    file = moved(tmp_path / "ada.json")
    async with running(tmp_path / "data", [file]) as up:
        root = tmp_path / "data" / "dev-root.pem"
        done = await teehee("verify", up.url, "--dev-root", root, "--json")
    seed = (tmp_path / "data" / "developer-seed").read_bytes()
    async with Simulator(seed) as simulator:
        expected = legacy.wallets(await Client(await simulator.listen()).derive_pem("secret_salt"))

    verdict = json.loads(done.out)
    assert (done.code, verdict["rejects"], verdict["rung"]) == (0, [], 2)
    assert verdict["facts"]["addresses"] == {"evm": expected.evm_address, "solana": expected.solana_address}
    assert verdict["facts"]["unchained"] == ["evm", "solana"]
    assert any("the same salt" in power for power in verdict["residual_powers"])


async def test_the_recipe_is_pinned_at_the_first_start(tmp_path: Path) -> None:
    async with running(tmp_path / "data", [moved(tmp_path / "ada.json")]):
        pass
    other = await teehee(
        "ask", "hello", "--character", moved(tmp_path / "ada.json", "another"), "--data", tmp_path / "data"
    )
    plain = await teehee(
        "ask", "hello", "--character", moved(tmp_path / "ada.json", tee={}), "--data", tmp_path / "data"
    )

    assert (other.code, plain.code) == (2, 2)
    assert "the wallets of 'Ada' come from another salt: they were pinned at its first start" in other.err
    assert "come from eliza-legacy, not from the vault's own keys" in plain.err
    assert "another" not in other.err.replace("another salt", "")


async def test_the_environment_cannot_choose_the_wallets(tmp_path: Path) -> None:
    file = moved(tmp_path / "ada.json", "")
    steering = {"WALLET_SECRET_SALT": "mine", "CHARACTER.ADA.WALLET_SECRET_SALT": "mine"}

    done = await asked(tmp_path, file, steering)

    assert done.code == 2
    assert "eliza-legacy wallets need WALLET_SECRET_SALT in the character's settings or secrets" in done.err
    assert "an environment variable does not count" in done.err


async def test_an_unknown_recipe_is_named(tmp_path: Path) -> None:
    file = moved(tmp_path / "ada.json", tee={"derivation": "eliza"})

    done = await asked(tmp_path, file)

    assert done.code == 2
    assert "settings.tee.derivation is 'eliza'" in done.err


# -- nobody names a wallet they do not hold


def test_a_wallet_signs_for_the_agent_that_holds_it_and_for_no_other() -> None:
    wallets, key_id = legacy.wallets(pem(DER)), "ab" * 16
    signed = keychain.sign(wallets.evm_key, keychain.claim_wallet(key_id, wallets.evm_public))
    seed = ed25519.Ed25519PrivateKey.from_private_bytes(wallets.solana_seed)
    by_solana = seed.sign(keychain.claim_wallet(key_id, wallets.solana_public))

    keychain.check_wallet(key_id, "secp256k1", wallets.evm_public, signed)
    keychain.check_wallet(key_id, "ed25519", wallets.solana_public, by_solana)
    for agent, algorithm, public, signature in (
        ("cd" * 16, "secp256k1", wallets.evm_public, signed),
        ("cd" * 16, "ed25519", wallets.solana_public, by_solana),
        (key_id, "ed25519", wallets.solana_public, b""),
        (key_id, "secp256k1", b"\x02" + b"\x11" * 32, signed),
    ):
        with pytest.raises(VerificationError) as caught:
            keychain.check_wallet(agent, algorithm, public, signature)
        assert caught.value.step == "keychain.7"


class Boaster(Machine):
    """An agent that calls somebody else's wallet its own, by the recipe that needs no chain."""

    def keys(self) -> dict[str, ChainedKey]:
        others = keychain.public_key(bytes(range(1, 33)), "secp256k1")
        found = super().keys()
        return {**found, "evm": replace(found["evm"], name="eliza-legacy/evm", public=others.hex())}


def test_somebody_elses_wallet_under_the_name_of_the_recipe_is_rejected() -> None:
    boaster = Boaster(Simulator(bytes(32)))

    verdict = verify.verify(boaster.evidence(), verify.Terms(now=NOW, dev_root=boaster.simulator.root_der))

    assert [reject.code for reject in verdict.rejects] == ["K2"]
    assert verdict.rung == 0

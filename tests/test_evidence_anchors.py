"""What is taken on trust: dated, with its source, and never what the agent sends along."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tee_vectors import LOGGED, events, quote_bytes, read_json, refused
from teehee.errors import VerificationError
from teehee.evidence import anchors, eventlog, keychain, quote
from teehee.evidence.anchors import KmsAnchor, OsImage, RefusedKey
from teehee.tee import sim_log

DATA = Path(anchors.__file__).parent / "data"
PROD, DEV = (read_json(f"near-mpc/{flavour}_os_0.5.8_tcb_info.json") for flavour in ("prod", "dev"))
IMAGES = [*anchors.os_images(), *anchors.simulator_images()]


def registers(info: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(info[name]) for name in ("mrtd", "rtmr1", "rtmr2", "os_image_hash")]


# The data


@pytest.mark.parametrize("item", [*anchors.kms_anchors(), *IMAGES], ids=lambda item: getattr(item, "name", ""))
def test_a_fact_says_where_it_was_read_and_when(item: KmsAnchor | OsImage) -> None:
    assert "@" in item.source or item in anchors.simulator_images()
    assert item.as_of >= "2026-06-10"


def test_a_kms_is_known_by_its_keys_or_by_its_contract() -> None:
    for anchor in anchors.kms_anchors():
        assert bool(anchor.contract) != bool(anchor.k256), anchor.name
        assert bool(anchor.k256) == bool(anchor.ca)
        if anchor.k256:
            assert keychain.address(bytes.fromhex(anchor.k256)).startswith("0x")


def test_no_anchor_is_a_refused_key() -> None:
    known = {bytes.fromhex(key) for anchor in anchors.kms_anchors() for key in (anchor.k256, anchor.ca) if key}

    assert known.isdisjoint(anchors.refused_keys())
    assert len(anchors.refused_keys()) == 5


def test_the_simulators_ca_is_refused() -> None:
    provider = eventlog.boot(events("simHEAD")).key_provider

    assert provider is not None
    assert provider.id in anchors.refused_keys()


def test_no_two_images_have_the_same_registers() -> None:
    assert len({(image.mrtd, image.rtmr1, image.rtmr2) for image in IMAGES}) == len(IMAGES)


@pytest.mark.parametrize("image", anchors.simulator_images(), ids=lambda image: f"{image.release}-{image.flavour}")
def test_a_simulated_image_is_what_the_simulator_measures(image: OsImage) -> None:
    era = image.release.removeprefix("simulator-")
    measured = sim_log.registers(sim_log.boot_events(era, "dev" if image.flavour == "dev" else ""))

    assert (image.rtmr1, image.rtmr2) == (measured[1].hex(), measured[2].hex())
    assert image.mrtd == hashlib.sha384(b"teehee simulator firmware").hexdigest()


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        (KmsAnchor, {"k256": "04" + "00" * 32}),
        (KmsAnchor, {"contract": "0x2f83172a49584c017f2b256f0fb2dca14126ba9c"}),
        (KmsAnchor, {"as_of": "soon"}),
        (KmsAnchor, {"note": ""}),
        (RefusedKey, {"key": "00"}),
        (RefusedKey, {"source": ""}),
        (OsImage, {"flavour": "debug"}),
        (OsImage, {"mrtd": "00" * 47}),
        (OsImage, {"rtmr2": "AA" * 48}),
        (OsImage, {"os_image_hash": "00"}),
    ],
)
def test_data_of_another_form_is_refused(
    record: type[KmsAnchor | RefusedKey | OsImage], changes: dict[str, str]
) -> None:
    names = {KmsAnchor: "kms_anchors", RefusedKey: "refused_keys", OsImage: "os_images"}
    good = json.loads((DATA / f"{names[record]}.json").read_text())[0]

    with pytest.raises(VerificationError, match=r"record\.[24]"):
        record.read({**good, **changes})


# OS images


def test_a_production_image_is_known() -> None:
    image = anchors.check_os_image(*registers(PROD))

    assert (image.release, image.flavour) == ("0.5.8", "prod")


def test_a_development_image_is_refused_unless_asked_for() -> None:
    refused("anchors.3", "expected a production image, got 0.5.8 dev", anchors.check_os_image, *registers(DEV))
    assert anchors.check_os_image(*registers(DEV), allow_dev=True).flavour == "dev"


def test_production_and_development_differ_in_rtmr2_alone() -> None:
    """A verifier that pins MRTD, RTMR0 and RTMR1 takes an image with a root shell."""
    same = {name for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "os_image_hash") if PROD[name] == DEV[name]}

    assert same == {"mrtd", "rtmr0", "rtmr1"}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_unknown_register_is_refused(index: int) -> None:
    changed = registers(PROD)
    changed[index] = bytes(48)

    refused("anchors.1", "expected a known OS image", anchors.check_os_image, *changed)


def test_the_hash_of_the_log_is_that_of_the_image() -> None:
    mrtd, rtmr1, rtmr2, _ = registers(PROD)

    assert anchors.check_os_image(mrtd, rtmr1, rtmr2).release == "0.5.8"
    refused("anchors.2", "the log has 0000", anchors.check_os_image, mrtd, rtmr1, rtmr2, bytes(32))


def test_a_caller_may_bring_its_own_images() -> None:
    refused("anchors.1", "expected a known OS image", anchors.check_os_image, *registers(PROD), images=())


@pytest.mark.parametrize("name", LOGGED)
def test_of_the_quotes_here_only_one_is_of_a_known_image(name: str) -> None:
    td = quote.parse(quote_bytes(name)).td
    step = "anchors.3" if name == "near" else "anchors.1"

    refused(step, "expected", anchors.check_os_image, td.mrtd, td.rtmr1, td.rtmr2)

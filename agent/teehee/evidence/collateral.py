"""DCAP collateral: what Intel says about a kind of machine, signed, and for how long that holds.

Source: Intel PCS API v4; the JSON is that of dcap-qvl's QuoteCollateralV3.

    {"pck_crl_issuer_chain": PEM, "root_ca_crl": hex, "pck_crl": hex,
     "tcb_info_issuer_chain": PEM, "tcb_info": the JSON text as signed, "tcb_info_signature": hex,
     "qe_identity_issuer_chain": PEM, "qe_identity": the JSON text as signed, "qe_identity_signature": hex}

A tenth member, `pck_certificate_chain`, would take the place of the chain inside the quote, so it is dropped: whoever
brings the collateral must not choose the certificate. Signatures are for a DCAP verifier to check; the window is
read from what is signed, so that "too old" and "forged" are told apart.
"""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from cryptography import x509

from teehee.errors import VerificationError
from teehee.evidence import canonical
from teehee.evidence.canonical import Json

MAX_COLLATERAL_BYTES = 262_144
MAX_CRL_BYTES = 65_536
OVERRIDE = "pck_certificate_chain"

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_FMSPC = re.compile(r"[0-9A-F]{12}")
_TIME = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")
_FAULTS = (ValueError, x509.InvalidVersion, UserWarning)  # x509 warns of serial numbers; a warning may be made to raise
_PEM = re.compile(r"(?:-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]++-----END CERTIFICATE-----\n?){2}\0?")


@dataclass(frozen=True, slots=True)
class Window:
    """The times, in seconds, from and to which all parts hold, both included, and the part that ends first."""

    opens: int
    closes: int
    closed_by: str

    def __str__(self) -> str:
        return f"It holds from {_shown(self.opens)} until {self.closed_by} ends, {_shown(self.closes)}."


@dataclass(frozen=True, slots=True)
class Collateral:
    """The nine parts as they came, and what they say. `tcb_evaluation` is the lower of the two data numbers."""

    pck_crl_issuer_chain: str
    root_ca_crl: str
    pck_crl: str
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: str
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: str
    fmspc: str
    tcb_evaluation: int
    window: Window

    def encode(self) -> bytes:
        """The JSON that dcap-qvl reads, without a certificate chain of its own."""
        return canonical.canonical({name: value for name, value in asdict(self).items() if name in _PARTS})

    def valid_at(self, seconds: int) -> Window:
        """The window, if this time lies in it.

        7. The time lies in the window.
        """
        if not self.window.opens <= seconds <= self.window.closes:  # 7
            raise VerificationError(
                "collateral.7",
                f"expected a time from {self.window.opens} to {self.window.closes}, got {seconds}",
                hint=f"{self.window} For an older quote, check as of the time it was made; for today, fetch anew.",
            )
        return self.window


_PARTS = tuple(name for name in Collateral.__annotations__ if name not in ("fmspc", "tcb_evaluation", "window"))


def parse(data: bytes) -> Collateral:
    """The collateral these bytes are.

    1. They are at most 256 KiB of JSON (steps json.1 to json.8): an object of the nine texts and maybe the tenth.
    2. TCB info is JSON for TDX, version 3, with its dates; its signature has 64 bytes.
    3. QE identity is JSON for the TD quoting enclave, version 2, with its dates; its signature has 64 bytes.
    4. Both revocation lists are DER of at most 64 KiB, and say when the next one comes.
    5. Each issuer chain is two certificates in PEM.
    6. There is a time at which all of it holds.
    """
    members = canonical.loads(data, limit=MAX_COLLATERAL_BYTES)
    if type(members) is not dict or members.keys() - {OVERRIDE} != set(_PARTS):  # 1
        got = sorted(members) if type(members) is dict else type(members).__name__
        raise VerificationError("collateral.1", f"expected an object of {', '.join(_PARTS)}, got {got!r:.300}")
    if not all(type(value) is str for value in members.values()):  # 1
        raise VerificationError("collateral.1", "expected every member to be a text")
    members.pop(OVERRIDE, None)
    tcb, qe = _signed(members, "tcb_info", "TDX", 3, "2"), _signed(members, "qe_identity", "TD_QE", 2, "3")
    fmspc = tcb.get("fmspc")
    if type(fmspc) is not str or not _FMSPC.fullmatch(fmspc):  # 2
        raise VerificationError("collateral.2", f"tcb_info: expected an FMSPC of 12 hex digits, got {fmspc!r:.64}")
    spans = {"tcb_info": _dates(tcb, "tcb_info", "2"), "qe_identity": _dates(qe, "qe_identity", "3")}
    for name in ("root_ca_crl", "pck_crl"):
        spans[name] = _crl(members[name], name)
    for name in ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"):
        spans[name] = _chain(members[name], name)
    closed_by = min(spans, key=lambda name: spans[name][1])
    window = Window(max(opens for opens, _ in spans.values()), spans[closed_by][1], closed_by)
    if window.opens > window.closes:  # 6
        raise VerificationError("collateral.6", f"expected a time at which all parts hold, got none. {window}")
    evaluation = min(_number(tcb, "tcb_info", "2"), _number(qe, "qe_identity", "3"))
    return Collateral(**members, fmspc=fmspc, tcb_evaluation=evaluation, window=window)


def _signed(members: dict[str, str], name: str, kind: str, version: int, step: str) -> dict[str, Json]:
    """A text of Intel's that is JSON, with a signature beside it."""
    said = canonical.loads(members[name].encode(), limit=MAX_COLLATERAL_BYTES)
    if type(said) is not dict or said.get("id") != kind or said.get("version") != version:
        got = {key: said.get(key) for key in ("id", "version")} if type(said) is dict else type(said).__name__
        raise VerificationError(
            f"collateral.{step}", f"{name}: expected id {kind}, version {version}, got {got!r:.200}"
        )
    if not _SIGNATURE.fullmatch(members[f"{name}_signature"]):
        raise VerificationError(f"collateral.{step}", f"{name}_signature: expected 64 bytes in hex")
    return said


def _number(said: dict[str, Json], name: str, step: str) -> int:
    number = said.get("tcbEvaluationDataNumber")
    if type(number) is not int or number < 0:
        raise VerificationError(f"collateral.{step}", f"{name}: expected an evaluation number, got {number!r:.64}")
    return number


def _dates(said: dict[str, Json], name: str, step: str) -> tuple[int, int]:
    opens, closes = (_seconds(said.get(key), f"{name}, {key}", step) for key in ("issueDate", "nextUpdate"))
    return opens, closes


def _seconds(value: Json, where: str, step: str) -> int:
    try:
        if type(value) is not str or not _TIME.fullmatch(value):
            raise ValueError("not that form")
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError:
        raise VerificationError(
            f"collateral.{step}", f"{where}: expected a time such as 2026-08-13T10:45:38Z, got {value!r:.64}"
        ) from None


def _crl(written: str, name: str) -> tuple[int, int]:
    if len(written) > 2 * MAX_CRL_BYTES or not _HEX.fullmatch(written):  # 4
        raise VerificationError("collateral.4", f"{name}: expected at most {MAX_CRL_BYTES} bytes in lower-case hex")
    try:
        crl = x509.load_der_x509_crl(bytes.fromhex(written))
        opens, closes = crl.last_update_utc, crl.next_update_utc
    except _FAULTS as fault:
        raise VerificationError("collateral.4", f"{name}: expected a revocation list in DER: {fault!s:.100}") from None
    if closes is None:  # 4
        raise VerificationError("collateral.4", f"{name}: expected a time of the next update, got none")
    return int(opens.timestamp()), int(closes.timestamp()) - 1  # at that second verifiers want the next list


def _chain(written: str, name: str) -> tuple[int, int]:
    if not _PEM.fullmatch(written):  # 5
        raise VerificationError("collateral.5", f"{name}: expected two certificates in PEM, got {written[:64]!r}...")
    try:
        chain = x509.load_pem_x509_certificates(written.encode())
        if any(certificate.serial_number <= 0 for certificate in chain):
            raise ValueError("a serial number that is not positive")
        opens = max(certificate.not_valid_before_utc for certificate in chain)
        closes = min(certificate.not_valid_after_utc for certificate in chain)
    except _FAULTS as fault:
        raise VerificationError("collateral.5", f"{name}: expected two certificates in PEM: {fault!s:.100}") from None
    return int(opens.timestamp()), int(closes.timestamp())


def _shown(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

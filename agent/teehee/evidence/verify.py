"""The check of an agent: numbered steps over what it published, each with its reject codes.

Nothing is fetched and nothing the agent sends is an anchor: roots and lists come from `anchors`, or from whoever
checks (`Terms`). A step that cannot be taken for want of evidence is `not checked`, and lowers the rung.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from teehee.errors import VerificationError
from teehee.evidence import (
    address,
    anchors,
    bundle,
    checkpoint,
    collateral,
    compose,
    eventlog,
    governance,
    keychain,
    merkle,
    mrconfig,
    quote,
    signatures,
    statement,
)  # fmt: skip
from teehee.evidence.verdict import Outcome, Reject, Step, Verdict

Json = Any
CLOSED = "the app-compose lets nobody in"  # rung 2; the steps before it and behind it are rung 1
ACCEPTED_STATUS = ("UpToDate",)
DEVELOPER_NAME = re.compile(rb"\bDEV\b")
UNCHAINED = ("owner-channel",)  # no chain names an X25519 key: that the quote is over it is all there is
LEGACY = {"evm": "eliza-legacy/evm", "solana": "eliza-legacy/solana"}  # tappd's keys have no chain either
ADDRESS_OF: Mapping[str, Callable[[bytes], str]] = {"evm": address.evm, "solana": address.base58}
# A step has the code it is listed with in `run`, but for these faults, by the step of the parser that found them.
CODE_OF: Mapping[str, str] = {
    "quote.2": "Q2", "dcap.status": "Q4", "dcap.root": "D1", "eventlog.5": "E2", "eventlog.8": "E2",
    "eventlog.10": "E4", "anchors.3": "O2", "keys.4": "K1", "keychain.4": "K4", "keychain.5": "K3",
    "keychain.6": "K3", "governance.3": "G2", "governance.4": "G2", "governance.5": "G2", "governance.6": "G2",
    "keys.1": "R3", "keys.2": "R3", "keys.3": "R3",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What there is to check; everything but the quote may be missing, and is then not checked."""

    quote: bytes
    event_log: bytes | None = None
    app_compose: bytes | None = None
    collateral: bytes | None = None
    statement: bytes | None = None
    keys: Mapping[str, bundle.ChainedKey] = field(default_factory=dict)
    api: str = "v0"
    checkpoint: str = ""
    nonce: Mapping[str, Json] | None = None
    as_of: int = 0
    contract: governance.Governance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What whoever checks brings along: the time, roots they know from elsewhere, and what they ask for.

    `dev_root` is the DER of a developer's root certificate, `kms_root` a KMS's compressed key, `nonce` what they sent,
    `max_age_seconds` how old a statement may be, `asked` what they ask of the app contract.
    """

    now: int
    dev_root: bytes = b""
    kms_root: bytes = b""
    nonce: bytes = b""
    max_age_seconds: int = 0
    asked: governance.Asked = field(default_factory=governance.Asked)


def of_bundle(given: bundle.Bundle) -> Evidence:
    """The evidence in a bundle."""
    return Evidence(
        quote=bytes.fromhex(given.quote),
        event_log=given.event_log.encode(),
        app_compose=given.compose_bytes(),
        collateral=given.collateral.encode() or None,
        statement=given.statement.encode(),
        keys=given.keys,
        api=given.api,
        checkpoint=given.checkpoint,
        nonce=given.nonce,
        as_of=given.as_of,
    )


def verify(evidence: Evidence, terms: Terms) -> Verdict:
    """The verdict. Nothing is raised: what does not hold is a reject, by its code."""
    return _Check(evidence, terms).run()


class _Check:
    def __init__(self, evidence: Evidence, terms: Terms) -> None:
        self.evidence = evidence
        self.terms = terms
        self.steps: list[Step] = []
        self.rejects: list[Reject] = []
        self.facts: dict[str, Json] = {}
        self.findings: list[Mapping[str, Json]] = []
        self.trust = "none"
        self.now_holds: bool | None = None
        self.kms_root = ""
        self.worth: governance.Worth | None = None
        self.as_of = evidence.as_of or terms.now

    def run(self) -> Verdict:
        given = self.evidence
        parsed = self.step("Q1", "the quote is a TDX quote", lambda: quote.parse(given.quote))
        isolated = self.step("Q5", "the machine is not in debug mode", parsed and (lambda: self.attributes(parsed)))
        root = self.step("Q3", "the hardware signed it", parsed and (lambda: self.root(parsed)))
        covered = self.step("Q6", "Intel's word covers its time", root and given.collateral and (lambda: self.window()))
        self.step("Q3", "Intel's word on the platform is good", isolated and root and covered and (lambda: self.dcap()))
        events = self.step(
            "E1", "the event log is the machine's", parsed and given.event_log and (lambda: self.replay(parsed))
        )
        boot = self.step("E3", "the system booted as a known release does", events and (lambda: self.boot(events)))
        composed = self.step(
            "C1",
            "the app-compose is what was booted",
            boot and given.app_compose is not None and (lambda: self.compose(boot)),
        )
        self.step(
            "C2", "the compose hash was fixed before boot", parsed and boot and (lambda: self.config(parsed, boot))
        )
        self.step("C3", CLOSED, composed and (lambda: self.lint()))
        self.step(
            "O1",
            "the operating system is a known production image",
            root and parsed and boot and (lambda: self.image(parsed, boot)),
        )
        said = self.step(
            "R1", "the quote is over this statement", parsed and given.statement and (lambda: self.claim(parsed))
        )
        self.step("R1", "the statement is about this machine", said and boot and (lambda: self.about(said, boot)))
        self.step(
            "K2",
            "its keys are this app's, from a key service",
            root and said and boot and given.keys and (lambda: self.chains(said, boot)),
        )
        self.step("R2", "it is fresh", said and (lambda: self.fresh(said)))
        self.step("L1", "its log is the one it signed", said and given.checkpoint and (lambda: self.log(said)))
        self.step("G1", "who may change the code", boot and given.contract and (lambda: self.governed(boot)))
        return self.verdict()

    def step(self, code: str, title: str, check: Any) -> Any:
        """Takes one step, if what it needs is there; gives what it found."""
        outcome: Outcome = "not checked"
        detail, found = "", None
        if callable(check):
            outcome = "held"
            try:
                found = check()
            except VerificationError as error:
                outcome, detail = "rejected", str(error)
                self.rejects.append(Reject(CODE_OF.get(error.step, code), str(error), error.step))
            else:
                detail = found.says if isinstance(found, governance.Worth) else ""
        self.steps.append(Step(len(self.steps) + 1, title, outcome, detail))
        return found

    # -- the hardware

    def attributes(self, parsed: quote.Quote) -> bool:
        quote.check_closed(parsed)
        return True

    def root(self, parsed: quote.Quote) -> str:
        """Whose root signed; it decides the trust: nothing else can."""
        found = signatures.root_of(parsed)
        if found == signatures.INTEL_ROOT:
            self.trust = "tdx"
            return found
        if self.terms.dev_root and found == signatures.key_of(self.terms.dev_root):
            self.trust = "dev"
            return found
        if DEVELOPER_NAME.search(signatures.names_of(parsed)):
            raise VerificationError("dcap.root", "the quote is signed under a developer's root that nobody here trusts")
        raise VerificationError("dcap.chain", f"the quote is signed under an unknown root, {found[:16]}…")

    def window(self) -> collateral.Window:
        told = collateral.parse(self.evidence.collateral or b"")
        window = told.valid_at(self.as_of)
        self.now_holds = window.opens <= self.terms.now <= window.closes
        self.facts["collateral"] = {"from": window.opens, "until": window.closes, "ends_with": window.closed_by}
        return window

    def dcap(self) -> None:
        import dcap_qvl  # type: ignore[import-untyped]  # Rust, loaded only to verify

        told = dcap_qvl.QuoteCollateralV3.from_json(collateral.parse(self.evidence.collateral or b"").encode().decode())
        try:
            if self.trust == "dev":
                report = dcap_qvl.verify_with_root_ca(self.evidence.quote, told, self.terms.dev_root, self.as_of)
            else:
                report = dcap_qvl.verify(self.evidence.quote, told, self.as_of)
        except ValueError as error:
            raise VerificationError("dcap.verify", f"DCAP: {error}") from None
        self.facts["tcb"] = {"status": str(report.status), "advisories": list(report.advisory_ids)}
        if str(report.status) not in ACCEPTED_STATUS:
            known = ", ".join(report.advisory_ids) or "none named"
            raise VerificationError("dcap.status", f"Intel says {report.status} (advisories: {known})")

    # -- the machine

    def replay(self, parsed: quote.Quote) -> tuple[eventlog.Event, ...]:
        events = eventlog.parse(self.evidence.event_log or b"")
        self.facts["rtmrs_replayed"] = list(eventlog.check_replay(events, parsed.td.rtmrs))
        return events

    def boot(self, events: tuple[eventlog.Event, ...]) -> eventlog.Boot:
        boot = eventlog.boot(events)
        self.facts |= {"era": boot.era, "app_id": boot.app_id.hex(), "compose_hash": boot.compose_hash.hex()}
        self.facts["untrusted_events"] = [event.name for event in boot.untrusted]
        return boot

    def compose(self, boot: eventlog.Boot) -> bool:
        data = self.evidence.app_compose or b""
        eventlog.check_compose(boot, compose.compose_hash(data), compose.parse(data).event_log_version)
        return True

    def config(self, parsed: quote.Quote, boot: eventlog.Boot) -> None:
        provider = boot.key_provider or eventlog.KeyProvider("none", b"")
        config = mrconfig.Config(
            boot.compose_hash, boot.app_id, provider, boot.instance_id, boot.init_script_hashes, boot.gpu_policy_hash
        )
        self.facts["fixed_before_boot"] = list(mrconfig.verify(parsed.td.mrconfigid, config))

    def lint(self) -> None:
        found = compose.lint(compose.parse(self.evidence.app_compose or b""))
        self.findings = [asdict(finding) for finding in found]
        if grave := [finding.code for finding in found if finding.severity != "note"]:
            raise VerificationError("compose.lint", f"{len(grave)} findings: {', '.join(grave)}"[:400])

    def image(self, parsed: quote.Quote, boot: eventlog.Boot) -> None:
        td = parsed.td
        images = anchors.simulator_images() if self.trust == "dev" else anchors.os_images()
        known = anchors.check_os_image(td.mrtd, td.rtmr1, td.rtmr2, boot.os_image_hash, images=images)
        self.facts["os_image"] = {"release": known.release, "flavour": known.flavour, "source": known.source}

    # -- the agent

    def claim(self, parsed: quote.Quote) -> statement.Statement:
        said = statement.parse(self.evidence.statement or b"")
        if said.report_data() != parsed.td.report_data:
            raise VerificationError("statement.report-data", "the quote's report data is not this statement's hash")
        self.facts |= {
            "key_id": said.key_id, "package_hash": said.package_hash, "policy_hash": said.policy_hash,
            "addresses": dict(said.addresses), "accounts": dict(said.accounts), "issued_at": said.issued_at,
            "log": {"origin": said.log_origin, "size": said.log_size, "root": said.log_root},
        }  # fmt: skip
        return said

    def about(self, said: statement.Statement, boot: eventlog.Boot) -> None:
        for name, told, measured in (
            ("app id", said.app_id, boot.app_id.hex()),
            ("compose hash", said.compose_hash, boot.compose_hash.hex()),
            ("trust", said.trust, self.trust if self.trust != "none" else said.trust),
        ):
            if told != measured:
                raise VerificationError("statement.about", f"the statement's {name} is {told}, measured is {measured}")

    def chains(self, said: statement.Statement, boot: eventlog.Boot) -> None:
        """Every key of the statement is one of the app's, by its name; and all have the same roots."""
        provider = boot.key_provider.name if boot.key_provider else "none"
        if provider == "none":
            raise VerificationError("keys.4", "the machine has no key provider: its keys are new at each boot")
        anchor = self.terms.kms_root or (self.trusted_kms(boot) if self.trust == "tdx" else b"")
        refused = anchors.refused_keys() if self.trust != "dev" else frozenset[bytes]()
        roots = set()
        for name, public in said.keys.items():
            if name in UNCHAINED:
                continue
            key = self.evidence.keys.get(name)
            if key is None or key.public != public:
                raise VerificationError("keys.1", f"no chain is given for the {name} key {public[:16]}…")
            if key.name == LEGACY.get(name):
                algorithm = keychain.SECP256K1 if name == "evm" else keychain.ED25519
                keychain.check_wallet(said.key_id, algorithm, bytes.fromhex(public), bytes.fromhex(key.link0))
                self.facts.setdefault("unchained", []).append(name)
                continue
            if f"/{said.key_id}/" not in key.name and "/app/" not in key.name:
                raise VerificationError("keys.2", f"the {name} key has the name {key.name!r}, of another agent")
            roots.add(self.chain(key, boot.app_id, provider, anchor, refused))
        if len(roots) > 1:
            raise VerificationError("keychain.roots", "the keys are of several apps")
        self.kms_root = next((root.kms_root.hex() for root in roots if root.kms_root), "")
        for chain, derive in ADDRESS_OF.items():
            if chain in said.addresses and said.addresses[chain] != derive(bytes.fromhex(said.keys.get(chain, ""))):
                raise VerificationError("keys.3", f"the {chain} address is not that of the {chain} key")

    def chain(
        self, key: bundle.ChainedKey, app_id: bytes, provider: str, anchor: bytes, refused: frozenset[bytes]
    ) -> keychain.Roots:
        public = bytes.fromhex(key.public)
        v1 = self.evidence.api == "v1"
        claim = keychain.claim_v1(key.name, key.algorithm, public) if v1 else keychain.claim_v0(key.name, public)
        links = (bytes.fromhex(key.link0), bytes.fromhex(key.link1))
        if self.trust == "dev" and not anchor and links[1]:  # a developer's KMS is known to nobody else
            anchor = keychain.recover(keychain.issued(app_id, keychain.recover(claim, links[0])), links[1])
        return keychain.verify(claim, links, app_id=app_id, provider=provider, anchor=anchor, refused=refused)

    def trusted_kms(self, boot: eventlog.Boot) -> bytes:
        """The known KMS whose CA the event log names; none when it is unknown."""
        named = boot.key_provider.id if boot.key_provider else b""
        found = (item for item in anchors.kms_anchors() if item.ca and bytes.fromhex(item.ca) == named)
        return next((bytes.fromhex(item.k256) for item in found if item.k256), b"")

    def fresh(self, said: statement.Statement) -> None:
        asked, proof = self.terms.nonce, self.evidence.nonce
        if asked and said.nonce != asked.hex():
            if proof is None or proof["nonce"] != asked.hex():
                raise VerificationError("nonce.1", "the statement does not answer this nonce")
            path = [bytes.fromhex(node) for node in proof["path"]]
            leaf = merkle.leaf_hash(asked)
            merkle.verify_inclusion(leaf, proof["index"], proof["count"], path, bytes.fromhex(said.nonce))
        age = self.terms.now - said.issued_at // 1000
        self.facts["age_seconds"] = age
        if self.terms.max_age_seconds and age > self.terms.max_age_seconds:
            raise VerificationError(
                "nonce.2", f"the statement is {age} s old, at most {self.terms.max_age_seconds} s may be"
            )

    def log(self, said: statement.Statement) -> None:
        key = bytes.fromhex(said.keys.get("log", ""))
        if len(key) != 32:
            raise VerificationError("log.1", "the statement names no key of its log")
        head = checkpoint.verify(
            self.evidence.checkpoint, checkpoint.vkey(said.log_origin, key), origin=said.log_origin
        )
        if (head.size, head.root.hex()) != (said.log_size, said.log_root):
            raise VerificationError(
                "log.2", f"the checkpoint has {head.size} leaves and another root than the statement"
            )

    def governed(self, boot: eventlog.Boot) -> governance.Worth:
        found = self.evidence.contract
        assert found is not None
        self.facts["governance"] = governance.facts(found)
        provider = boot.key_provider.id.hex() if boot.key_provider else ""
        machine = governance.Machine(
            app_id=boot.app_id.hex(), compose_hash=boot.compose_hash.hex(), provider=provider, kms_root=self.kms_root
        )
        self.worth = governance.check(found, machine, self.terms.asked, self.terms.now)
        return self.worth

    # -- the end

    def verdict(self) -> Verdict:
        held = {step.title for step in self.steps if step.outcome == "held"}
        attested = {step.title for step in self.steps[:-1]} - {CLOSED} <= held
        rung = (2 if CLOSED in held else 1) if attested else 0
        if rung == 2 and self.worth:
            rung = max(rung, self.worth.rung)
        return Verdict(
            rung=rung,
            trust=self.trust,
            rejects=tuple(self.rejects),
            steps=tuple(self.steps),
            facts=self.facts,
            findings=tuple(self.findings),
            as_of=self.as_of,
            now=self.terms.now,
            powers=self.worth.powers if self.worth else None,
            now_holds=self.now_holds,
        )

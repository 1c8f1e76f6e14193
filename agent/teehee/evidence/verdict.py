"""What a check comes to: numbered steps, reject codes, a rung with the powers that remain; never one boolean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = Any
Outcome = Literal["held", "rejected", "not checked"]

# Each code: what it means, and what to do about it.
CODES: Mapping[str, tuple[str, str]] = {
    "Q1": ("the quote is no TDX quote in a form we know", "ask the agent for a new bundle; a proxy may have cut it"),
    "Q2": ("the quote is from another kind of enclave than TDX", "only Intel TDX is understood"),
    "Q3": (
        "the hardware's signature over the quote does not hold",
        "do not trust this agent: its quote is not Intel's",
    ),
    "Q4": ("Intel says this platform is not up to date, or has known faults", "the host must update its firmware"),
    "Q5": (
        "the machine runs in debug mode or with attributes that break isolation",
        "its operator can read its memory",
    ),
    "Q6": ("Intel's word on the platform does not cover the time of the quote", "ask for a bundle with its collateral"),
    "E1": ("the event log does not lead to the quote's registers", "the log is not that of this machine"),
    "E2": ("an event's digest is not that of its payload", "the log was edited after it was measured"),
    "E3": ("a system event is missing, twice, unknown or too late", "something on the machine posed as the system"),
    "E4": ("the system's events come in the order of no known release", "an unknown dstack release, or none"),
    "C1": ("the app-compose is not the one the machine booted", "it goes by bytes: compare with the file as deployed"),
    "C2": ("the compose hash fixed before boot is another, or none", "only the machine's own word names its code"),
    "C3": ("the app-compose lets people in or leaks", "read the findings; each says what a stranger can do"),
    "O1": ("the operating system is on no list of known images", "rebuild it from source, or wait for a newer list"),
    "O2": ("a development operating system: its operator has a root shell", "deploy on a production image"),
    "K1": ("the key provider is not one whose keys can be traced", "deploy with a KMS"),
    "K2": ("the chain of signatures behind a key does not hold", "the key is not this app's"),
    "K3": ("the KMS is not one known from elsewhere, or its private key is published", "name the KMS root you trust"),
    "K4": ("no KMS vouches for the keys although one should", "ask for a bundle from a machine with its KMS"),
    "R1": (
        "the quote is over something else than this statement",
        "the statement was edited, or the quote is another's",
    ),
    "R2": ("the statement does not answer this nonce, or is too old", "ask for a fresh one: /prove NONCE"),
    "R3": ("a key in the statement is not the one the chain is for", "the statement names keys of somebody else"),
    "L1": ("the log does not lead to the root in the statement", "history was rewritten, or belongs to another agent"),
    "G1": ("who may change the code is not what was asked for", "read the app contract by hand, or ask for less"),
    "G2": (
        "the app contract is, or was, code that nobody knows",
        "build it from source, compare the hash, and name it: --known-code ROLE=HASH",
    ),
    "D1": ("signed under a developer's root, not Intel's", "for development: --dev-root FILE, with your own root"),
}

RUNGS = ("none", "attested", "closed", "announced", "locked", "minimal trust")
# Who could still betray the agent's followers, by what was shown.
ANYONE = "anyone who runs the machine: nothing is shown about it"
LET_IN = "whoever may log in, read the logs or set the environment: the app-compose lets them"
AUTHORISE = "whoever may authorise another compose file for this app: it gets the same keys"
KEY_SERVICE = "the key service that derives the keys, and its operators"
KMS_OWNER = "whoever owns the key service's contract: they may replace it, and the systems and rules it accepts"
MAKERS = (
    "Intel, as maker of the hardware and of its attestation keys",
    "the host may stop, starve, clone or roll back the machine",
)
DEVELOPER = "the developer whose root signed this: it is their own machine, and they hold every key"
TWIN = "any other agent of this app with the same salt: wallets of the recipe eliza-legacy have no chain of their own"


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered check. A skipped one is `not checked`, which is never a pass."""

    number: int
    title: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a step was rejected: a code of CODES, what was found, and the parser's own step."""

    code: str
    found: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`trust` is `tdx`, `dev` or `none`; `facts` is what was proven, only filled from steps that held."""

    rung: int
    trust: str
    rejects: tuple[Reject, ...]
    steps: tuple[Step, ...]
    facts: Mapping[str, Json]
    findings: tuple[Mapping[str, Json], ...]
    as_of: int
    now: int
    powers: tuple[str, ...] | None  # who may change the code, as its contract says; None: it was not shown
    now_holds: bool | None  # does Intel's word still cover this very moment? None: it was not looked at

    @property
    def residual(self) -> tuple[str, ...]:
        """Who could still betray the agent's followers."""
        developer = (DEVELOPER,) if self.trust == "dev" else ()
        twin = (TWIN,) if self.facts.get("unchained") else ()
        if self.rung == 0:
            return (*developer, ANYONE, *twin)
        let_in = (LET_IN,) if self.rung == 1 else ()
        change = (AUTHORISE,) if self.powers is None else self.powers
        keys = (KEY_SERVICE, KMS_OWNER) if self.rung > 2 else (KEY_SERVICE,)
        return (*developer, *let_in, *change, *keys, *MAKERS, *twin)

    def to_json(self) -> dict[str, Json]:
        return {
            "rung": self.rung,
            "rung_name": RUNGS[self.rung],
            "trust": self.trust,
            "rejects": [
                {"code": r.code, "means": CODES[r.code][0], "found": r.found, "at": r.at, "do": CODES[r.code][1]}
                for r in self.rejects
            ],
            "steps": [
                {"number": s.number, "title": s.title, "outcome": s.outcome, "detail": s.detail} for s in self.steps
            ],
            "facts": dict(self.facts),
            "findings": [dict(finding) for finding in self.findings],
            "residual_powers": list(self.residual),
            "as_of": self.as_of,
            "now": self.now,
            "holds_now": self.now_holds,
        }

"""What each process is handed at its start: everything it may know, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept beside the log and the memories; 0: for ever.

    `journal_ms`: settled messages with the model's answers, and what was witnessed. `text_ms`: delivered words, sealed
    in the vault. `memories`: the newest of one kind in one room.
    """

    journal_ms: int = 0
    text_ms: int = 0
    memories: int = 0

    @property
    def pause_seconds(self) -> float:
        """Between two looks for what has had its time: ten looks in the shortest, ten minutes at most."""
        shortest = min((ms for ms in (self.journal_ms, self.text_ms) if ms), default=6_000_000)
        return min(max(shortest / 10_000, 1.0), 600.0)


@dataclass(frozen=True, slots=True)
class VaultBoot:
    """`data` holds the sealed store, `sockets` the four role sockets; `owner_keys` are hex Ed25519 keys.

    `guest` is where the guest agent listens; without one, keys come from a seed file and nothing is quoted.
    `era` is the guest's API a backup was made with, for a store that has none pinned yet.
    `measured` is what the owner would say in `configure`, said by the measured compose instead.
    """

    data: str
    sockets: str
    owner_keys: tuple[str, ...]
    failpoint: str = ""
    guest: str = ""
    era: str = ""
    keep: Keep = field(default_factory=Keep)
    measured: Json = None
    isolated: bool = False  # each agent's mind has a door of its own


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of `model` cost, in micro-dollars; not `known`: only its tokens are counted.

    `cached` is for prompt tokens read from the provider's cache, `written` for those written into it.
    """

    model: str
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0
    known: bool = True


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent in a day; 0 is no cap."""

    tokens: int = 0
    cents: int = 0


@dataclass(frozen=True, slots=True)
class Purse:
    """What one agent may spend on models in a day: in all, for one person, in one room."""

    agent: str
    name: str
    day: Cap
    user: Cap
    room: Cap


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One way out for the mind: `name` is what it asks for, `base_url` where that leads.

    `credential` names the vault's secret that the gate puts into the request, in the way of `scheme`: a bearer key,
    or `anthropic` for its own two headers. A rule with `prices` leads to models: each call is on
    `agent`'s account, for a model listed, with at most `max_tokens` of answer.
    """

    name: str
    base_url: str
    methods: tuple[str, ...]
    prefixes: tuple[str, ...]
    credential: str = ""
    timeout_seconds: float = 60.0
    scheme: str = "bearer"
    agent: str = ""
    prices: tuple[Price, ...] = ()
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Face:
    """What the gate shows of an agent: public words only."""

    agent: str
    slug: str
    name: str
    bio: str
    brain: str


@dataclass(frozen=True, slots=True)
class ConnectorBoot:
    """A connector to run for an agent: the plugin's, its module, and what the character says for it."""

    agent: str
    plugin: str
    module: str
    client_config: Json = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateBoot:
    sockets: str
    data: str
    host: str
    port: int
    faces: tuple[Face, ...]
    egress: tuple[EgressRule, ...]
    trust: str = "dev"  # as the vault judged its own machine
    log_level: str = "info"
    failpoint: str = ""
    collateral: str = ""  # a simulator's word on its own quotes, in JSON
    pccs: str = ""  # where Intel's word on real ones is fetched
    access_token: str = field(default="", repr=False)  # whoever wants to talk must show it; empty: everybody may
    purses: tuple[Purse, ...] = ()
    in_all: Cap = Cap()  # of all agents together
    metrics_token_hash: str = ""  # SHA-256, hex, of what /metrics asks for; empty: open on loopback, closed elsewhere
    otlp: str = ""  # where traces go; empty: nowhere
    otlp_content: bool = False  # what was said goes along
    isolated: bool = False  # each agent has a mind of its own
    connectors: tuple[ConnectorBoot, ...] = ()
    public_url: str = ""  # where people reach the web page, for links in what is said elsewhere


@dataclass(frozen=True, slots=True)
class Brain:
    """Which model answers for an agent: `rule` names its egress rule, `weights` is the file of a local one.

    Neither means the classic brain. `threads` of 0 are half the cores. `client` is the provider's name in LangChain, or
    empty for the thin client. `found` says that nobody named this model: it was there, so a plugin's goes before it.
    """

    rule: str = ""
    model: str = ""
    temperature: float = 0.7
    max_tokens: int = 1024
    timeout_seconds: float = 60.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    client: str = ""
    found: bool = False
    weights: str = ""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class MindAgent:
    """A redacted character, as JSON, with its pinned id; `fallbacks` answer, in order, while `brain` does not.

    `eyes` look at photos, `ears` write voice messages down; one without a rule does not.
    """

    agent: str
    character: Json
    brain: Brain = field(default_factory=Brain)
    fallbacks: tuple[Brain, ...] = ()
    eyes: Brain = field(default_factory=Brain)
    ears: Brain = field(default_factory=Brain)


@dataclass(frozen=True, slots=True)
class MindBoot:
    sockets: str
    data: str
    agents: tuple[MindAgent, ...]
    plugin_path: str = ""
    rooms_in_parallel: int = 64
    log_level: str = "info"
    failpoint: str = ""
    keep: Keep = field(default_factory=Keep)
    traced: bool = False  # the gate is told of every turn that ends

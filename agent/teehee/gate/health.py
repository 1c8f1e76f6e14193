"""Is this agent ready for people? Asked of vault and mind each time, with every reason why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from teehee.errors import Unavailable
from teehee.gate.alarms import Alarms
from teehee.gate.doorway import Doorway
from teehee.gate.mailroom import Mailroom
from teehee.wire.boot import Face
from teehee.wire.client import Client

Json = Any
PATIENCE = 2.0  # seconds for either to answer


@dataclass(frozen=True, slots=True)
class Report:
    """What a look around found. `reasons` are (code, sentence); none of them, and the agent is ready."""

    reasons: tuple[tuple[str, str], ...]
    links: Mapping[str, bool]
    stopped: Sequence[str] = ()
    mind: Mapping[str, Json] = field(default_factory=dict)  # what it said of itself
    alarms: Sequence[Mapping[str, str]] = ()  # open, though people may still talk here

    @property
    def ready(self) -> bool:
        return not self.reasons

    def to_json(self) -> Json:
        reasons = [{"code": code, "message": message} for code, message in self.reasons]
        told = {"ready": self.ready, "reasons": reasons, "stopped": list(self.stopped)}
        return told | ({"alarms": list(self.alarms)} if self.alarms else {})


class Health:
    """Looks at the other two processes from the gate."""

    def __init__(self, doorway: Doorway, mailroom: Mailroom, faces: Mapping[str, Face], alarms: Alarms) -> None:
        self.doorway = doorway
        self.mailroom = mailroom
        self.faces = faces
        self.alarms = alarms

    async def look(self) -> Report:
        """What is so just now; takes at most some seconds, whatever hangs."""
        reasons: list[tuple[str, str]] = []
        if self.doorway.closed:
            reasons.append(("stopping", "this agent is stopping and takes no new messages"))
        said = {
            name: await _asked(name, link, reasons)
            for name, link in (("vault", self.doorway.vault), ("mind", self.doorway.mind))
        }
        if (mind := said["mind"]) is not None:
            missing = [face.slug for face in self.faces.values() if face.agent not in mind["agents"]]
            if missing:
                reasons.append(("agents-closed", f"not open in the mind: {', '.join(missing)}"))
            if not mind["vault"]:
                reasons.append(("mind-without-vault", "the mind has no connection to the vault"))
        stopped = [slug for slug, face in self.faces.items() if face.agent in self.mailroom.stopped]
        links = {name: answer is not None for name, answer in said.items()}
        return Report(tuple(reasons), links, stopped, mind or {}, self.alarms.of())


async def _asked(name: str, link: Client, reasons: list[tuple[str, str]]) -> Json | None:
    """What a process says of its health; None, and a reason, when it says nothing."""
    try:
        said = await link.call_now("health", patience=PATIENCE)
    except Unavailable as error:
        reasons.append((f"{name}-{error.code}", str(error)))
        return None
    if said["disk"]:
        reasons.append((f"{name}-disk", f"the {name} cannot write: {said['disk']}"))
    return said

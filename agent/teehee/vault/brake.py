"""The brake: an agent halts or goes on at an owner's word, and the log keeps whose word it was."""

from collections.abc import Iterable

from teehee.evidence import leaf
from teehee.vault.core import Core
from teehee.vault.doors import Push
from teehee.vault.log import log
from teehee.wire.messages import Identity


def turn(core: Core, agents: Iterable[str], by: str, seq: int = 0, *, stopped: bool) -> list[Identity]:
    """Stops these agents, or lets them go on, inside the caller's transaction; those for whom that is a change.

    `by` is the owner's public key, or their platform id where the gate witnessed their word. Raises Refused for an
    agent that does not run here.
    """
    kind = leaf.Stop if stopped else leaf.Resume
    changed = []
    for known in [core.identities.get(agent) for agent in dict.fromkeys(agents)]:
        if known.identity.stopped == stopped:
            continue
        identity = core.identities.set_stopped(known.identity.agent, stopped).identity
        entry = kind(agent=identity.key_id, at=core.now_ms(), epoch=identity.epoch, by=by, seq=seq)
        core.log.append(identity.log, entry)
        changed.append(identity)
    return changed


def tell(push: Push, changed: Iterable[Identity], *, stopped: bool) -> None:
    """Lets the gate know, once it is committed."""
    for identity in changed:
        push("gate", "agent.stopped" if stopped else "agent.resumed", {"agent": identity.agent})
        log("agent_stopped" if stopped else "agent_resumed", agent=identity.name)

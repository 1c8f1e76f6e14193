"""Runs the actions a decision names, each on its own: one that fails never takes the others with it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from teehee.errors import ActionFailed, AskAgain
from teehee.log import get_logger
from teehee.mind import notes
from teehee.mind.respond import Decision
from teehee.plugin import Action, Result, Turn

Json = Any
ACTION_SECONDS = 30.0
SILENT = frozenset({"IGNORE", "NONE"})
CLOSED = Result()  # of an action that is not open to this turn
log = get_logger()


def find(actions: Sequence[Action], name: str) -> Action | None:
    """Eliza's match: the name, else a simile; case and underscores do not count."""
    wanted = _plain(name)
    for action in actions:
        if _plain(action.name) == wanted:
            return action
    for action in actions:
        if any(_plain(simile) == wanted for simile in action.similes):
            return action
    return None


def arguments(action: Action, named: str, parameters: Mapping[str, Json]) -> tuple[Any, ...]:
    """The handler's arguments after the turn. Raises AskAgain, naming the field that is wrong."""
    if action.arguments is None:
        return ()
    given = parameters.get(action.name, parameters.get(named, {}))
    try:
        return (action.arguments.model_validate(given),)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "arguments"
        raise AskAgain(f"parameters for {action.name}: {where}: {first['msg']}") from None


async def run(turn: Turn, decision: Decision) -> list[Result]:
    """What the named actions did, in order. Unknown names are skipped and logged.

    Raises AskAgain before anything has run when arguments are wrong, ActionFailed when nothing worked.
    """
    chosen = []
    for name in decision.actions:
        action = find(turn.actions, name)
        if action is None:
            log.info("action_unknown", action=name)
            _note(name, 0.0, "unknown")
        else:
            chosen.append((action, arguments(action, name, decision.parameters)))
    if not chosen:
        if not decision.text:
            raise AskAgain("it named no action there is and had no words")
        return [Result(decision.text)]
    results, failures = [], []
    for action, given in chosen:
        started = time.perf_counter()
        try:
            results.append(await _run_one(turn, action, given))
        except ActionFailed as error:
            failures.append(str(error))
            _note(action.name, started, "failed", str(error))
        else:
            _note(action.name, started, "done" if results[-1] is not CLOSED else "closed")
    if failures and not any(result.text or result.effects for result in results):
        raise ActionFailed("; ".join(failures))
    return results


def audible(decision: Decision) -> Decision:
    """The decision without IGNORE and NONE: beside words they count for nothing (Eliza's rule)."""
    loud = tuple(name for name in decision.actions if name not in SILENT)
    if not loud and decision.text:
        loud = ("REPLY",)
    return replace(decision, actions=loud)


def fits(turn: Turn, action: Action) -> bool:
    """Is the action open to this turn? One that cannot tell is not."""
    try:
        return action.fits is None or action.fits(turn)
    except Exception as error:
        log.warning("action_fits_failed", action=action.name, error=f"{type(error).__name__}: {error}")
        return False


async def _run_one(turn: Turn, action: Action, given: tuple[Any, ...]) -> Result:
    if not fits(turn, action):
        return CLOSED
    notes.BY.set(action.name)
    try:
        async with asyncio.timeout(ACTION_SECONDS):
            result = await action.handler(turn, *given)
    except ActionFailed:
        raise
    except Exception as error:
        log.exception("action_failed", action=action.name)
        raise ActionFailed(f"{action.name} failed: {type(error).__name__}") from error
    if not isinstance(result, Result):
        log.warning("action_failed", action=action.name, error=f"gave {type(result).__name__}, expected a Result")
        raise ActionFailed(f"{action.name} gave no Result")
    return result


def _note(name: str, started: float, how: str, reason: str = "") -> None:
    taken = notes.since(started) if started else 0.0
    notes.now().actions.append({"name": name, "ms": taken, "how": how, "reason": reason})


def _plain(name: str) -> str:
    return name.replace("_", "").lower()

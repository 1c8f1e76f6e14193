"""One turn, from an accepted event to a committed intent: the only file that calls the steps in order.

inbox row -> attachments -> state -> decide (journaled) -> actions -> last-mile check -> vault.submit -> remember on
outcome
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial

from teehee import ids, lastmile
from teehee.errors import ActionFailed, AskAgain, Refused, Unavailable
from teehee.log import get_logger
from teehee.mind import actions, attached, attachments, draft, models, notes, prompt, respond, saying
from teehee.mind.agent import Agent
from teehee.mind.files import Files
from teehee.mind.memory import RoomMemory
from teehee.mind.recent import Recent
from teehee.mind.record import Recorder, effect_facts
from teehee.plugin import Memory, Message, Part, Result, Spoken, State, Turn
from teehee.store.mind_store import MindStore, Row
from teehee.wire import failpoints, strict
from teehee.wire.client import Client
from teehee.wire.messages import Effect, Event

WITNESS_TRIES, WITNESS_PAUSE = 40, 0.05  # the gate may be a moment behind the mind
log = get_logger()


class Ending(Exception):
    """The turn ends with nothing to deliver; `code` is one of wire.notices."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Desk:
    """What every turn works with."""

    store: MindStore
    recent: Recent
    vault: Client
    files: Files | None = None
    records: Recorder = field(default_factory=Recorder)


async def run(desk: Desk, agent: Agent, row: Row, show: draft.Show = draft.unseen) -> list[Effect]:
    """Answers one inbox row; gives the committed effects. `show` is told what the answer reads while it comes.

    Raises Ending when nothing is to be said, Unavailable when the model or the vault is away and the row
    should be tried again.
    """
    if known := await _committed(desk, row.event):
        return known
    message = message_of(row.event)
    with notes.taken(desk.records.begin(row, message)):
        if row.answer is None and await attachments.read(desk.files, desk.store, agent, row, message):
            desk.recent.forget([message.room_id])
        turn = begin(desk, agent, row.event)
        parts = await decided(agent, turn, row.answer, partial(_journal, desk, agent, row), show)
        return await _submit(desk, row.event, parts)


def begin(desk: Desk, agent: Agent, event: Event, *, part: str = "turn") -> Turn:
    """The turn as plugins see it: who, where, when, and chance seeded by the message.

    `part` is `turn` or `after`: what each of them remembers has ids of its own.
    """
    message = message_of(event)
    recent = desk.recent.lines(message.room_id, message.agent_id)
    return turn_of(agent, event, RoomMemory(desk.store, message, part), recent)


def turn_of(agent: Agent, event: Event, memory: Memory, recent: Sequence[Spoken]) -> Turn:
    """The turn of an event with this memory and this past."""
    message = message_of(event)
    now = datetime.fromtimestamp(event.at / 1000, UTC)
    return Turn(
        message=message,
        character=agent.character,
        now=now,
        random=random.Random(f"{message.id}"),
        sample=random.Random(f"{message.room_id}/{now:%Y-%m-%d}"),
        memory=memory,
        recent=recent,
        actions=agent.actions,
        providers=agent.state.providers,
        evaluators=agent.evaluators,
        services=agent.services,
        settings=agent.settings,
    )


@lru_cache(maxsize=1024)  # asked several times in one turn
def message_of(event: Event) -> Message:
    """The event under Eliza's ids."""
    room_id = ids.create_unique_uuid(event.agent, ids.platform_base(event.room))
    return Message(
        id=ids.message_id(event.agent, event.source, event.event, event.message),
        entity_id=ids.create_unique_uuid(event.agent, ids.platform_base(event.principal)),
        room_id=room_id,
        agent_id=event.agent,
        text=attached.words(event.text, event.content),
        name=event.name or "someone",
        source=event.source,
        room_type=event.room_type,
        at=datetime.fromtimestamp(event.at / 1000, UTC),
        kind=event.kind,
        content=event.content,
    )


async def decided(
    agent: Agent, turn: Turn, answer: str | None, keep: Callable[[str], None], show: draft.Show = draft.unseen
) -> tuple[Part, ...]:
    """What this turn says, still without a room; `answer` is what an earlier life journaled, `keep` journals a new one.

    Raises Ending when there is nothing to say, Unavailable when the model is away.
    """
    try:
        return await _decide(agent, turn, answer, keep, draft.Draft(show, prompt.instructions(agent.character.name)))
    except AskAgain as error:
        log.warning("answer_unfit", reason=str(error))
        raise Ending("model-unfit") from error
    except ActionFailed as error:
        log.warning("turn_failed", reason=str(error), hint=error.hint)
        raise Ending(error.code) from error


async def _decide(
    agent: Agent, turn: Turn, answer: str | None, keep: Callable[[str], None], hear: draft.Draft
) -> tuple[Part, ...]:
    """What this turn says. What does not parse or may not be shown is asked again, once, with the reason."""
    noted = notes.now()
    asked = prompt.keys(prompt.arrangement(turn.character, turn.message.source))
    stable, fresh = await agent.state.stable(turn), await agent.state.fresh(turn, keys=asked)
    values = notes.Watched({**stable.values, **fresh.values}, noted)
    turn.state = State({**stable.texts, **fresh.texts}, values)
    noted.stable, noted.recent, noted.frame = stable, turn.recent, prompt.frame(turn)
    noted.fresh.append(fresh)
    reason = ""
    for attempt in (1, 2):
        try:
            if answer is None:
                failpoints.hit("mind.model.before-call")
                answer = await _ask(agent, turn, stable, fresh, reason, hear)
                failpoints.hit("mind.model.after-call")
                keep(answer)
            _seed(turn, attempt)
            return await _act(agent, turn, respond.parse(answer))
        except AskAgain as error:
            noted.reasons.append(str(error))
            if attempt == 2:
                raise
            log.info("answer_asked_again", reason=str(error))
            answer, reason = None, str(error)
    raise AssertionError("unreachable: the second attempt returns or raises")


def _seed(turn: Turn, attempt: int) -> None:
    """Chance for the actions, whatever providers drew before: which of them were asked differs from turn to turn."""
    turn.random.seed(f"{turn.message.id}/{attempt}")
    turn.sample.seed(f"{turn.message.room_id}/{turn.now:%Y-%m-%d}")


async def _ask(agent: Agent, turn: Turn, stable: State, fresh: State, reason: str, hear: draft.Draft) -> str:
    """The brain's answer; asked once more when it wants to consult providers first."""
    answer = await _call(agent, turn, stable, fresh, reason, notes.AGAIN if reason else notes.ASKED, hear)
    named = _providers_named(answer)
    if named and not reason and agent.state.offers(named):
        asked = prompt.keys(prompt.arrangement(turn.character, turn.message.source))
        fresh = await agent.state.fresh(turn, named, asked)
        notes.now().fresh.append(fresh)
        answer = await _call(agent, turn, stable, fresh, reason, notes.CONSULTED, hear)
    return answer


async def _call(agent: Agent, turn: Turn, stable: State, fresh: State, reason: str, why: str, hear: draft.Draft) -> str:
    """One call of the model, noted down, its draft shown meanwhile."""
    hear.begin()
    noted, started = notes.now(), time.perf_counter()
    call = noted.called(why)
    try:
        answer = await models.within(agent.brain, agent.patience, turn, stable, fresh, reason, hear)
    except (ActionFailed, Unavailable) as error:
        call["error"] = "unfit" if isinstance(error, AskAgain) else error.code
        noted.answers.append([call["error"], str(error)])
        raise
    finally:
        hear.end()
        call["ms"] = notes.since(started)
    noted.answers.append(["said", answer])
    return answer


def _providers_named(answer: str) -> tuple[str, ...]:
    try:
        return respond.parse(answer).providers
    except AskAgain:
        return ()


def _journal(desk: Desk, agent: Agent, row: Row, answer: str) -> None:
    """Writes the answer down while the turn goes on: a crash from here on does not pay the model twice."""

    row.answer, noted = answer, notes.now()

    def write() -> None:
        desk.store.journal(row.seq, answer)
        desk.records.keep(desk.store, agent, noted)
        failpoints.hit("mind.journal.before-commit")

    written = desk.store.commit.run(write)
    written.add_done_callback(
        lambda done: failpoints.hit("mind.journal.after-commit") if not done.exception() else None
    )


async def _act(agent: Agent, turn: Turn, decision: respond.Decision) -> tuple[Part, ...]:
    """Runs what was decided; gives what to send. Raises Ending when there are to be none."""
    noted = notes.now()
    noted.decision = {name: getattr(decision, name) for name in ("actions", "providers", "text", "parameters")}
    noted.decided = notes.now_ms()
    decision = actions.audible(decision)
    if not decision.actions:
        raise Ending("ignored")
    ours = prompt.instructions(agent.character.name)
    turn.reply = _shown(decision.text, ours) if decision.text else ""
    noted.acting = True
    results = await actions.run(turn, decision)
    noted.acting = False
    said = [
        saying.Words(text, result.choices, result.who)
        for result in results
        if (text := _result_text(result, turn, ours))
    ]
    effects = [effect for result in results for effect in result.effects if _may_be_shown(effect, ours)]
    if parts := saying.parts(agent.answering(turn.message.source), said, effects):
        noted.texts = [part.text for part in parts]
        return parts
    if set(decision.actions) == {"REPLY"}:
        raise AskAgain("it had no words to say")
    raise Ending("ignored")  # an action ran: asking again would run it twice


def _shown(text: str, ours: Sequence[str]) -> str:
    """The words as a person may see them. Raises AskAgain when they may not."""
    verdict = lastmile.check(text, instructions=ours)
    if verdict.refused:
        raise AskAgain(f"the words cannot be shown to a person ({verdict.rule})")
    return verdict.text


def _result_text(result: Result, turn: Turn, ours: Sequence[str]) -> str:
    """An action's own words; those that may not be shown are left out, by name."""
    if not result.text or result.text == turn.reply:
        return result.text
    verdict = lastmile.check(result.text, instructions=ours)
    if verdict.refused:
        log.warning("action_words_held_back", rule=verdict.rule)
        return ""
    return verdict.text


def _may_be_shown(effect: Part, ours: Sequence[str]) -> bool:
    """An action's effect carries words too, and is held to the same."""
    verdict = lastmile.check(effect.text, instructions=ours)
    if verdict.refused:
        log.warning("effect_held_back", verb=effect.verb, rule=verdict.rule)
    return not verdict.refused


async def _committed(desk: Desk, event: Event) -> list[Effect]:
    """What an earlier life of this turn got committed already; asked only when there was one."""
    if event.event not in desk.recent.reopened:
        return []
    question = {"agent": event.agent, "source": event.source, "event": event.event}
    found = await desk.vault.call("effect.for_event", question)
    return [strict.parse(Effect, item, "effect") for item in found["effects"]]


async def _submit(desk: Desk, event: Event, parts: Sequence[Part]) -> list[Effect]:
    """Asks the vault for one intent per part, all in one commit. Raises Ending when a rule says no."""
    wanted = {
        "agent": event.agent,
        "source": event.source,
        "event": event.event,
        "parts": [_told(part, event.room) for part in parts],
    }
    failpoints.hit("mind.submit.before-call")
    for attempt in range(WITNESS_TRIES):
        try:
            given = await desk.vault.call("effect.submit", wanted)
            break
        except Refused as refused:
            if refused.rule == "base.event-not-witnessed" and attempt < WITNESS_TRIES - 1:
                await asyncio.sleep(WITNESS_PAUSE)
                continue
            log.warning("submission_refused", rule=refused.rule, reason=refused.reason)
            notes.now().policy = {"verdict": "refused", "rule": refused.rule, "reason": refused.reason}
            raise Ending(_ending_code(refused.rule)) from refused
    failpoints.hit("mind.submit.after-call")
    effects = [strict.parse(Effect, item, "effect") for item in given["effects"]]
    noted = notes.now()
    noted.policy = {"verdict": "allowed", "rule": str(given.get("rule", "")), "reason": ""}
    noted.effects = [effect_facts(effect) for effect in effects]
    return effects


def _told(part: Part, room: str) -> dict[str, object]:
    told: dict[str, object] = {"verb": part.verb, "room": room, "text": part.text}
    return told | {"choices": part.choices, "who": part.who} if part.choices else told


def _ending_code(rule: str) -> str:
    return {"base.stopped": "stopped", "base.event-not-witnessed": "unwitnessed"}.get(rule, "refused")


def spoken(agent: Agent, effect: Effect) -> Spoken:
    """A reply as a line of the room's recent past."""
    return Spoken(agent.character.name, effect.text, own=True)

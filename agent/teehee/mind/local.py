"""The local model as a brain, in two steps: which action by examples and a grammar, then the words as plain chat."""

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from teehee.errors import AskAgain
from teehee.log import get_logger
from teehee.mind import actions, local_prompt, models, respond
from teehee.mind.engine import Engine
from teehee.plugin import Action, Character, State, Turn
from teehee.wire import boot

Json = Any
ROUTING, TALKING = 0, 1  # slots of the engine, each with a static prefix of its own
NAME_TOKENS, ARGUMENT_TOKENS, WORDS_TOKENS = 32, 200, 200
WARM_SECONDS = 900.0  # some hundred tokens on a machine whose cores others want
ADDRESS = re.compile(r"[0-9A-Za-z]{20,}")
LONG = 400  # characters; what is shorter was not cut
SENTENCE_END = re.compile(r"[.!?…](?=[\s\"'”’)]|$)")
log = get_logger()


class Local:
    """A character on this machine's own model. Until that is warm the classic brain answers."""

    def __init__(
        self, engine: Engine, brain: boot.Brain, character: Character, able: Sequence[Action], meanwhile: models.Brain
    ) -> None:
        self.engine = engine
        self.brain = brain
        self.name = character.name
        self.meanwhile = meanwhile
        self.persona = local_prompt.persona(character)
        self.routing = local_prompt.routing(character, local_prompt.choices(able))
        self.chooses = bool(local_prompt.choices(able))
        engine.warm_with(self.warm)

    async def warm(self) -> None:
        """Has the engine read what every prompt begins with, so that the first message need not wait for it."""
        first = local_prompt.asked("hello")
        if self.chooses:
            await self.engine.ask(ROUTING, [*self.routing, *first], max_tokens=1, seconds=WARM_SECONDS)
        await self.engine.ask(TALKING, [*self.persona, *first], max_tokens=1, seconds=WARM_SECONDS)

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: models.Hear) -> str:
        if not self.engine.is_warm:
            log.info("model_not_warm", model=self.brain.model)
            return await self.meanwhile.answer(turn, stable, fresh, reason, hear)
        action = None if reason else await self._routed(turn)
        if action is None:
            return await self._said(turn, fresh, reason, hear)
        return respond.write("", (action.name,), await self._arguments(turn, action))

    async def _routed(self, turn: Turn) -> Action | None:
        """The action the message asks for; None when it only wants an answer."""
        open_now = [item for item in local_prompt.choices(turn.actions) if actions.fits(turn, item)]
        names = [item.name for item in open_now if respond.NAME_SHAPE.fullmatch(item.name)]
        if not names:
            return None
        chat = [*self.routing, *local_prompt.asked(turn.message.text)]
        bound = local_prompt.grammar([local_prompt.REPLY, *names])
        said = await self.engine.ask(ROUTING, chat, grammar=bound, temperature=0, max_tokens=NAME_TOKENS)
        return next((item for item in open_now if item.name == said.strip()), None)

    async def _arguments(self, turn: Turn, action: Action) -> Json:
        """The action's arguments, as its schema has them. Raises AskAgain for one that nobody named."""
        if action.arguments is None:
            return {}
        schema = {"name": action.name, "schema": action.arguments.model_json_schema()}
        form = {"type": "json_schema", "json_schema": schema}
        chat = local_prompt.arguments(action, turn.message.text)
        said = await self.engine.ask(ROUTING, chat, response_format=form, temperature=0, max_tokens=ARGUMENT_TOKENS)
        if made_up := [word for word in ADDRESS.findall(said) if word not in turn.message.text]:
            raise AskAgain(f"{made_up[0]!r} is not in the message")
        try:
            return {action.name: json.loads(said)}
        except ValueError:
            raise AskAgain(f"the arguments of {action.name} were no JSON") from None

    async def _said(self, turn: Turn, fresh: State, reason: str, hear: models.Hear) -> str:
        hear("<response><actions>REPLY</actions><text>")
        said = await self.engine.ask(
            TALKING,
            [*self.persona, *local_prompt.reply(turn, fresh, reason)],
            lambda piece: hear(escape(piece, quote=False)),
            max_tokens=min(self.brain.max_tokens, WORDS_TOKENS),
            temperature=self.brain.temperature,
            top_p=0.9,
            repeat_penalty=1.05,
            frequency_penalty=self.brain.frequency_penalty,
            presence_penalty=self.brain.presence_penalty,
        )
        hear("</text></response>")
        return respond.write(spoken(said, self.name), (local_prompt.REPLY,))


def spoken(said: str, name: str) -> str:
    """The words alone: no name in front, and no sentence that was cut when the tokens ran out."""
    text = said.strip().removeprefix(f"{name}:").strip().strip('"').strip()
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    if not ends or len(text) < LONG:
        return text
    return text[: ends[-1]]

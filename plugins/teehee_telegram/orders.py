"""What people tell the agent to do by command or button, and the sentences that code says in its place."""

import contextlib

from telegram import Bot
from telegram.error import TelegramError

from teehee.connector import Event, Office, Refused, Unavailable
from teehee_telegram import commands, events, sending
from teehee_telegram.inbound import Inbound, Me
from teehee_telegram.manners import Manners

DECIDING = (*commands.OWNERS, *commands.ADMINS, "forget")


def decides(inbound: Inbound) -> bool:
    """May it change what later updates of its chat are to the agent?"""
    return inbound.moved is not None or (inbound.command is not None and inbound.command.name in DECIDING)


class Orders:
    """Carries them out by way of the office. `bot` is there while there is one; `quiet` are chats to be silent in."""

    def __init__(self, office: Office, manners: Manners) -> None:
        self.office, self.manners = office, manners
        self.bot: Bot | None = None
        self.quiet: frozenset[str] = frozenset()

    async def say(self, inbound: Inbound, me: Me, text: str, suffix: str) -> None:
        """A sentence of code's about a message that gets no answer of the model's."""
        event = events.event_of(self.office.agent, inbound, "command", me, "", f"-{inbound.sender.id}-{suffix}")
        await self._witnessed(event, text)

    async def _witnessed(self, event: Event, text: str) -> None:
        await self.office.receive(event)
        with contextlib.suppress(Refused):  # answered in an earlier life, or stopped
            await self.office.answer(event, text, sending.SAY_TO_ONE)

    async def obey(self, event: Event, inbound: Inbound) -> None:
        """A command that is witnessed: done, and answered. Raises TeeheeError when it should be tried again."""
        name = inbound.command.name if inbound.command else ""
        if name in commands.OWNERS:
            done = "I am silent now. /resume lets me speak again." if name == "stop" else "I speak again."
            with contextlib.suppress(Refused):
                await self.office.order(event, name, done, sending.SAY)
                return
        if name in commands.ADMINS and await self._is_admin(inbound):
            await self._hush(event, name == "quiet")
            return
        if commands.wants_to_be_forgotten(inbound):
            await self._forget(event)
            return
        text = await commands.answer(commands.Asked(self.office, event, inbound))
        with contextlib.suppress(Refused):
            await self.office.answer(event, text, sending.SAY_TO_ONE)

    async def _is_admin(self, inbound: Inbound) -> bool:
        """Is the sender an admin of the group, by Telegram's own word just now?"""
        if inbound.chat.type == "private" or self.bot is None:
            return False
        try:
            member = await self.bot.get_chat_member(inbound.chat.id, inbound.sender.id)
        except TelegramError as error:
            raise Unavailable("Telegram did not say who is an admin here", code="telegram-away") from error
        return member.status in ("creator", "administrator")

    async def _hush(self, event: Event, quiet: bool) -> None:
        await self.office.quiet(event, quiet)
        self.quiet = await self.office.quiet_chats()
        text = "I am quiet here, and read along. /speak lets me talk again." if quiet else "I talk here again."
        with contextlib.suppress(Refused):
            await self.office.answer(event, text, sending.SAY)

    async def moved(self, event: Event, old: str) -> None:
        """A group that was quiet is quiet in its new place."""
        if old in self.quiet:
            await self.office.quiet(event, True)
            self.quiet = await self.office.quiet_chats()

    async def _forget(self, event: Event) -> None:
        """Destroys, tells, and destroys what the telling left behind once it has left."""
        told = events.about(event, events.FORGOTTEN)
        try:
            effects = await self.office.answers(told)  # in an earlier life
            ended = bool(effects) and not any(effect.state in ("due", "sending") for effect in effects)
        except Refused:  # and that it was told is forgotten as well
            effects, ended = (), True
        if ended:
            await self.office.forget(event.principal)  # this very command has come again
        if effects or ended:
            return
        receipt = await self.office.forget(event.principal)
        self.manners.forget(int(event.principal.partition(":")[2]))
        await self._witnessed(told, commands.forgotten(receipt))

    async def press(self, inbound: Inbound, me: Me) -> None:
        """A pressed button: witnessed with whose it is and what it said, told to the mind once."""
        assert inbound.callback is not None
        event = events.event_of(self.office.agent, inbound, "choice", me, "", f"-{inbound.sender.id}")
        option = int(inbound.callback.data) if inbound.callback.data.isdecimal() else -1
        pressed = await self.office.press(event, f"telegram:{inbound.chat.id}/{inbound.message_id}", option)
        if pressed.state == "taken":
            content = {**event.content, "choice": {"option": option, "label": pressed.label}}
            await self.office.receive(events.reworded(event, pressed.label, content))
        notes = {
            "taken": pressed.label,
            "again": f"You chose {pressed.label!r} before.",
            "theirs-not": "This choice is for somebody else.",
        }
        if self.bot is not None:
            with contextlib.suppress(TelegramError):  # the button stops turning a little later
                note = notes.get(pressed.state, "This choice is closed.")
                await self.bot.answer_callback_query(inbound.callback.id, note[:200])

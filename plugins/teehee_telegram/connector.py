"""The gate's half of the plugin: one bot of one agent, from its token to its last message."""

import asyncio
import contextlib
import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from typing import Any

from telegram import BotCommand
from telegram.error import ChatMigrated, InvalidToken, TelegramError

from teehee.connector import (
    ConfigError,
    Connector,
    Effect,
    Failed,
    Later,
    Office,
    Refused,
    Result,
    Sent,
    Settings,
    TeeheeError,
    Unavailable,
    get_logger,
)
from teehee_telegram import albums, commands, custody, events, files, orders, polling, progress, sending
from teehee_telegram import settings as settings_of
from teehee_telegram.api import Api
from teehee_telegram.autopost import AutoPoster
from teehee_telegram.flood import LONGEST, Flood, Limits
from teehee_telegram.inbound import Inbound, Me, Skipped
from teehee_telegram.manners import Manners, Verdict
from teehee_telegram.quota import Recent
from teehee_telegram.settings import TelegramSettings
from teehee_telegram.updates import read

Json = Any
BASIC_GROUP = re.compile(r"-(?!100)[0-9]{1,15}|-100[0-9]{0,9}")  # supergroups have longer ids
MOST_FOLLOWED = 100
MOST_JUDGED = 4096  # updates
TRIES = 3  # of an update that a mistake of ours meets
MOST_ASKERS = 4096  # messages whose answer is awaited
UNREADY_SECONDS = 1.0  # while there is no bot to send with
MOST_SHOWN = 16  # turns that chats see the progress of; in a crowd, showing would cost more than answering
COMMAND_SECONDS = 10.0  # a command that takes longer is answered beside what comes next
STALE = (
    "I was away when you wrote that. I have read it now, and only answer what is new: say it again if it still matters."
)
OVER = "That is a lot at once. I read on, and answer again in a while."
log = get_logger()


@contextlib.asynccontextmanager
async def connect(office: Office, settings: Settings) -> AsyncIterator[Connector]:
    """The connector of one agent; what was odd in its settings is told."""
    config = settings.client_config.get("telegram")
    found, told = settings_of.read(config, settings.settings)
    for sentence in told:
        log.warning("telegram_setting", agent=office.name, reason=sentence)
    connector = TelegramConnector(office, found)
    try:
        yield connector
    finally:
        await connector.close()


class TelegramConnector:
    """Receives updates, and sends effects with whichever bot there is just now."""

    def __init__(self, office: Office, settings: TelegramSettings) -> None:
        self.office, self.settings = office, settings
        self.flood = Flood(Limits(per_second=settings.messages_per_second))
        self.manners = Manners()
        self.albums = albums.Albums()
        self.me = Me(0, "")
        self._void: custody.Held | None = None  # the token that Telegram refused last
        self.sender: sending.Sender | None = None
        self.posts: AutoPoster | None = None
        self.orders = orders.Orders(office, self.manners)
        self._judged: Recent[list[Verdict]] = Recent(MOST_JUDGED, list)  # by update: one that comes again counts once
        self._failed: Recent[list[str]] = Recent(MOST_JUDGED, list)  # by update: at what it failed
        self._askers: Recent[list[int]] = Recent(MOST_ASKERS, list)  # by event
        self._has_recalled = False
        self._deciding: dict[int, asyncio.Task[None]] = {}  # by chat: the last order that is being carried out
        self._told_stale: set[int] = set()  # chats that know since this start
        self._tasks: set[asyncio.Task[None]] = set()
        self._shows: set[asyncio.Task[None]] = set()

    # -- in

    async def run(self) -> None:
        """One life of one bot: until its token changes, is refused, or this is cancelled."""
        root = self.settings.api_root
        held = await custody.held(self.office, self.settings.managed_bot_id, custody.replace_at(root), self._void)
        async with Api(held.token, root) as api:
            try:
                self.me = await api.me()
            except InvalidToken as error:
                self._void = held
                raise ConfigError(custody.VOID) from error
            except TelegramError as error:
                raise Unavailable("Telegram does not answer", code="telegram-away") from error
            self.office.tell("token", "")
            await self.office.account(str(self.me.id), held.secrets, *custody.told(held))
            self.orders.quiet = await self.office.quiet_chats()
            log.info("telegram_ready", agent=self.office.name, bot=self.me.id)
            await self._recall()
            self.sender = sending.Sender(api, self.flood, time.monotonic)
            self.orders.bot = api.bot
            self.posts = AutoPoster(self.office, self.settings, self.me)
            try:
                await self._serve(api, held)
            finally:
                self.sender = self.orders.bot = None

    async def _serve(self, api: Api, held: custody.Held) -> None:
        """Takes updates in and posts what is due; ends when the token is another."""
        await self._follow_groups(api)
        with contextlib.suppress(TelegramError):  # a menu that is not shown is no loss
            await api.bot.set_my_commands([BotCommand(name, about) for name, about in commands.ABOUT.items()])
        assert self.posts is not None
        works = [custody.changed(self.office, held.seen), self.posts.run(), self._updates(api)]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _recall(self) -> None:
        """Once: what an earlier life of the gate sent a moment ago still counts for Telegram."""
        if self._has_recalled:
            return
        for gone in await self.office.lately(LONGEST):
            with contextlib.suppress(ValueError):
                where = events.place(gone.room, gone.event)
                self.flood.recall(str(where.chat), where.is_group, time.monotonic() - gone.seconds)
        self._has_recalled = True

    async def _follow_groups(self, api: Api) -> None:
        """Groups that the character allows by an id they had once are allowed by the one they have now."""
        named = self.settings.allowed_groups | (self.settings.allowed_chats or frozenset())
        for old in sorted(one for one in named if BASIC_GROUP.fullmatch(one))[:MOST_FOLLOWED]:
            try:
                await api.bot.get_chat(int(old))
            except ChatMigrated as moved:
                self.settings = self.settings.moved(int(old), moved.new_chat_id)
            except TelegramError:
                continue

    async def _updates(self, api: Api) -> None:
        if not self.settings.webhook_url:
            await polling.poll(self.office, api, self.take)
            return
        webhook = polling.Webhook(f"{self.settings.webhook_url}/hooks/{self.office.slug}/telegram", self.take)
        with self.office.hook(webhook.posted):
            try:
                await webhook.open(api)
            except TelegramError as error:
                raise Unavailable("Telegram took no webhook", code="telegram-webhook") from error
            await webhook.watch(self.office, api)

    async def take(self, updates: Sequence[Json]) -> None:
        """Keeps a batch of updates, in the order they came, and returns when all are on disk.

        Raises TeeheeError when one could not be kept: the batch may be given again, whole.
        """
        read_now = [read(update, self.me) for update in updates]
        for skipped in (one for one in read_now if isinstance(one, Skipped)):
            log.info("update_skipped", reason=skipped.reason, update=skipped.update_id)
        taken = self.albums.together([one for one in read_now if isinstance(one, Inbound)])
        await asyncio.gather(*(self._in_turn(inbound, is_part) for inbound, is_part in taken))

    async def _in_turn(self, inbound: Inbound, is_part: bool) -> None:
        """One update. In a chat all go side by side, but what decides over later ones is carried out before them."""
        chat = inbound.chat.id
        work = self._after(self._deciding.get(chat), inbound, is_part)
        if not orders.decides(inbound):
            await work
            return
        task = self._deciding[chat] = asyncio.ensure_future(work)
        try:
            await task
        finally:
            if self._deciding.get(chat) is task:
                del self._deciding[chat]

    async def _after(self, decision: "asyncio.Task[None] | None", inbound: Inbound, is_part: bool) -> None:
        if decision is not None:
            await asyncio.wait({decision}, timeout=COMMAND_SECONDS)  # who floods with orders holds up nobody for longer
            if decision.done() and (decision.cancelled() or decision.exception() is not None):
                raise Unavailable("what decides over an update was not kept", code="telegram-update")
        await self._kept(inbound, is_part)

    async def _kept(self, inbound: Inbound, is_part: bool) -> None:
        """One update. A mistake of ours that it meets again and again costs this update, and no other."""
        try:
            await self._take(inbound, is_part)
        except TeeheeError:
            raise
        except OSError:  # the machine's, and no mistake of ours: it may do better later
            raise Unavailable("an update was not kept", code="telegram-update") from None
        except Exception as error:
            failed = self._failed.get(inbound.update_id)
            failed.append(type(error).__name__)  # and not its words, which may hold the token
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.name}:{place.lineno}"
            log.error("update_failed", update=inbound.update_id, error=failed[-1], where=where, tries=len(failed))
            if len(failed) < TRIES:
                raise Unavailable("an update was not kept", code="telegram-update") from None

    async def _take(self, inbound: Inbound, is_part: bool) -> None:
        """One update: judged, witnessed and kept; then whatever follows from it. `is_part` is the rest of an album."""
        now = time.time_ns() // 1_000_000
        verdict = self._verdict(inbound, is_part, now)
        if self.posts is not None and verdict.kind != "drop":
            self.posts.heard(inbound, now)
        log.debug("update_judged", kind=verdict.kind, reason=verdict.reason, update=inbound.update_id)
        match verdict.kind:
            case "drop":
                if verdict.reason == "leave":
                    await self._leave(inbound)
            case "member":
                await self._member(inbound, verdict)
            case "command":
                await self._obeyed(inbound, self._command(inbound))
            case "choice":
                await self._obeyed(inbound, self.orders.press(inbound, self.me))
            case "moved":
                await self._obeyed(inbound, self._moved(inbound))
            case kind:
                await self._said(inbound, kind, verdict.reason, is_part)

    def _verdict(self, inbound: Inbound, is_part: bool, now: int) -> Verdict:
        """What an update is to the agent; the same again for one that is brought again."""
        judged = self._judged.get(inbound.update_id)
        if not judged:
            if is_part and self.manners.admits(inbound, self.settings, self.me):
                verdict = Verdict("heard", "album")
            else:
                verdict = self.manners.judge(inbound, self.settings, self.me, now)
            if verdict.kind == "message" and inbound.room.partition("/")[0] in self.orders.quiet:
                verdict = Verdict("heard", "quiet")
            judged.append(verdict)
        return judged[0]

    async def _said(self, inbound: Inbound, kind: str, reason: str, is_part: bool) -> None:
        text = None
        if inbound.reactions:
            text = " ".join(inbound.reactions.new) or "(took the reaction back)"
        event = events.event_of(self.office.agent, inbound, kind, self.me, "" if is_part else text)
        new = await self.office.receive(event)
        if kind == "message" and new and self.sender is not None:
            self._askers.get(event.event).append(inbound.sender.id)
            if len(self._shows) < MOST_SHOWN:
                show = self._spawn(progress.show(self.office, self.sender.api, event, time.monotonic))
                self._shows.add(show)
                show.add_done_callback(self._shows.discard)
        if reason == "stale" and inbound.chat.id not in self._told_stale:
            self._told_stale.add(inbound.chat.id)
            await self.orders.say(inbound, self.me, STALE, "stale")
        elif reason.endswith("_hint"):
            await self.orders.say(inbound, self.me, OVER, "quota")

    async def _obeyed(self, inbound: Inbound, work: Awaitable[None]) -> None:
        """What the vault is asked to allow: a refusal would be the same however often Telegram brought the update."""
        try:
            await work
        except Refused as refused:
            if refused.rule == "base.agent-unknown":  # a vault that has just come back knows nobody yet
                raise
            log.warning("update_refused", rule=refused.rule, update=inbound.update_id)

    async def _command(self, inbound: Inbound) -> None:
        """Witnesses a command and answers it; one that takes long is answered beside what comes next."""
        event = events.event_of(
            self.office.agent, inbound, "command", self.me, inbound.text[:200], f"-{inbound.sender.id}"
        )
        await self.office.receive(event)
        task = self._spawn(self.orders.obey(event, inbound))
        done, _ = await asyncio.wait({task}, timeout=COMMAND_SECONDS)
        for one in done:
            one.result()

    async def _moved(self, inbound: Inbound) -> None:
        assert inbound.moved is not None
        self.settings = self.settings.moved(inbound.moved.old, inbound.moved.new)
        if inbound.chat.id == inbound.moved.new:
            event = events.event_of(self.office.agent, inbound, "moved", self.me, "")
            await self.office.receive(event)
            await self.orders.moved(event, f"{events.SOURCE}:{inbound.moved.old}")

    async def _member(self, inbound: Inbound, verdict: Verdict) -> None:
        """Somebody let the bot in, or put it out. Where it is not to be, it leaves."""
        log.info("telegram_member", change=verdict.reason, chat_type=inbound.chat.type)
        if verdict.reason == "leave":
            await self._leave(inbound)

    async def _leave(self, inbound: Inbound) -> None:
        if self.sender is not None:
            with contextlib.suppress(TelegramError):
                await self.sender.bot.leave_chat(inbound.chat.id)

    # -- out

    def wait(self, effect: Effect) -> float:
        if self.sender is None:
            return UNREADY_SECONDS
        try:
            where = events.place(effect.room, effect.event)
        except ValueError:
            return 0.0  # `deliver` says so
        return self.flood.take(str(where.chat), where.is_group, time.monotonic())

    def over(self, effect: Effect) -> None:
        with contextlib.suppress(ValueError):
            where = events.place(effect.room, effect.event)
            self.flood.done(str(where.chat), where.is_group, time.monotonic())

    async def deliver(self, effect: Effect) -> Result:
        if self.sender is None:
            return Later(UNREADY_SECONDS)
        try:
            result = await self.sender.send(effect)
        except ValueError:
            return Failed("no-such-place")
        if isinstance(result, Sent):
            where = events.place(effect.room, effect.event)
            now = time.time_ns() // 1_000_000
            for user in self._askers.peek(effect.event) or ():
                self.manners.told(effect.room, user, now, effect.text)
            if self.posts is not None:
                self.posts.said(where.chat, now)
        return result

    async def file(self, id: str) -> bytes:
        if self.sender is None:
            raise Unavailable("there is no bot just now", code="telegram-away")
        return await files.fetched(self.sender.api, id)

    async def settled(self, effect: Effect) -> None:
        """Its outcome is on disk: now the last of somebody who is to be forgotten can go."""
        if effect.event.endswith(events.FORGOTTEN):
            await self.office.forget(f"{events.SOURCE}:{events.place(effect.room, effect.event).user}")

    # -- the rest

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            level = log.warning if isinstance(error, TeeheeError) else log.error
            level("telegram_task_failed", error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Ends what runs beside."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

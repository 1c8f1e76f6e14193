"""What models cost today, kept under its caps: reserved before each call, settled by what the answer tells.

Only the gate counts: a mind says for which message it asks, and is believed when the gate itself has taken that
message in. What it asks for on nobody's behalf has a tenth of the agent's day.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from teehee import ids
from teehee.errors import ConfigError, Unavailable
from teehee.gate.bound import Bounded
from teehee.gate.usage import Usage
from teehee.log import get_logger
from teehee.wire.boot import Cap, Price, Purse
from teehee.wire.messages import Event

DAY_MS = 86_400_000
PICOS_PER_CENT = 10**10  # tokens times micro-dollars per million tokens are pico-dollars, exactly
UNATTRIBUTED_PART = 10
KEPT_DAYS = 92
LATE_SECONDS = 0.1  # how long what may be lost waits for the next call's row, to be written in one piece with it
SCOPES_KEPT = 10_000
LOG_PAGES = 256  # of the write-ahead log, before they go into the database
MESSAGES, MESSAGE_DAYS = 20_000, 7  # how many, and how old, may still be named by a turn that was postponed
MARKS = (50, 80)  # percent of a cap that are told; 100 is told with the first refusal
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (agent TEXT, message TEXT, principal TEXT, room TEXT, day INTEGER);
CREATE TABLE IF NOT EXISTS calls (
  id INTEGER PRIMARY KEY, day INTEGER, at INTEGER, agent TEXT, model TEXT, message TEXT, principal TEXT, room TEXT,
  state TEXT, tokens INTEGER, picos INTEGER, priced INTEGER
);
CREATE INDEX IF NOT EXISTS calls_by_day ON calls (day);
CREATE TABLE IF NOT EXISTS marks (day INTEGER, scope TEXT, percent INTEGER, PRIMARY KEY (day, scope, percent));
"""
CALL = (
    "INSERT INTO calls (day, at, agent, model, message, principal, room, state, tokens, picos, priced)"
    " VALUES (?,?,?,?,?,?,?,'open',?,?,?)"
)
log = get_logger()


class OverBudget(Exception):
    """This call does not fit under a cap any more; `code` is one of wire.notices."""

    def __init__(self, code: str, scope: str) -> None:
        super().__init__(f"no room left under the cap of {scope}")
        self.code = code


@dataclass(slots=True)
class Used:
    """Of one cap: spent for good, and held for calls in the air."""

    tokens: int = 0
    picos: int = 0
    held_tokens: int = 0
    held_picos: int = 0

    def fits(self, cap: Cap, tokens: int, picos: int) -> bool:
        fit_tokens = not cap.tokens or self.tokens + self.held_tokens + tokens <= cap.tokens
        fit_money = not cap.cents or self.picos + self.held_picos + picos <= cap.cents * PICOS_PER_CENT
        return fit_tokens and fit_money

    def percent(self, cap: Cap) -> int:
        of_tokens = self.tokens * 100 // cap.tokens if cap.tokens else 0
        return max(of_tokens, self.picos * 100 // (cap.cents * PICOS_PER_CENT) if cap.cents else 0)


@dataclass(frozen=True, slots=True)
class Scope:
    """One cap that a call counts against, and what is used of it; `code` is what people are told when that is all."""

    key: str
    code: str
    cap: Cap
    shown: str
    used: Used


@dataclass(frozen=True, slots=True)
class Reservation:
    """A call that may be made; it ends with `settle` or `release`, or stays spent."""

    call: int
    day: int
    scopes: tuple[Scope, ...]
    tokens: int
    picos: int
    price: Price


def cost(usage: Usage, price: Price) -> int:
    """Pico-dollars."""
    prompt = usage.prompt * price.prompt + usage.cached * price.cached + usage.written * price.written
    return prompt + usage.completion * price.completion


class Spend:
    """The day's account, in `gate.db`. `clock` gives milliseconds since 1970; `tell` speaks to who runs this.

    A call's row is in the file before the call goes out. What only lowers an account, or can be lost, is written with
    the next such row, or when `later` runs what it was given.
    """

    def __init__(
        self,
        path: Path,
        purses: tuple[Purse, ...],
        in_all: Cap,
        clock: Callable[[], int],
        tell: Callable[[str], None],
        later: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        self.purses: Mapping[str, Purse] = {purse.agent: purse for purse in purses}
        self.in_all = in_all
        self.clock = clock
        self.tell = tell
        self.later = later
        self.db = _opened(path)
        self._waiting: list[tuple[str, tuple[object, ...]]] = []  # rows to be written, with their statements
        self._is_late = False  # `later` has been asked to write them
        self.day = int(self._fact("day") or 0)
        self._used: dict[str, Used] = {}
        self._known: dict[tuple[str, str, str], tuple[Scope, ...]] = {}  # by agent, principal and room
        self._marked: set[tuple[str, int]] = set()  # marks that were told today
        self._messages: dict[tuple[str, str], tuple[str, str]] = {}  # (agent, message) -> (principal, room)
        self._behind = False
        # What was in the air when the gate died may have been answered, and paid.
        self.db.execute("UPDATE calls SET state='unknown' WHERE state='open'")
        caps = {"in_all": asdict(in_all), "purses": [asdict(purse) for purse in purses]}
        self._keep_fact("caps", json.dumps(caps))
        self._today()
        self._count_up()

    def close(self) -> None:
        self.flush()
        self.db.close()

    def flush(self) -> None:
        """Writes what waits. What cannot be written is lost: an account is then the higher, or somebody's nobody's."""
        try:
            self._write()
        except sqlite3.Error as error:
            log.warning("account_not_written", error=str(error), rows=len(self._waiting))
            self._waiting.clear()

    def _write(self) -> int:
        """Writes what waits, all of it or nothing; the last row's id. Raises sqlite3.Error."""
        if not self._waiting:
            return 0
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for statement, row in self._waiting:
                done = self.db.execute(statement, row)
            self.db.execute("COMMIT")
        except sqlite3.Error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        self._waiting.clear()
        return done.lastrowid or 0

    def _wait(self, statement: str, *row: object) -> None:
        self._waiting.append((statement, row))
        if not self._is_late:
            self._is_late = True
            self.later(self._late)

    def _late(self) -> None:
        self._is_late = False
        self.flush()

    # -- messages

    def note(self, event: Event) -> None:
        """A message came in here: calls for it are on its sender's and its room's account. The first telling counts."""
        key = (event.agent, ids.message_id(event.agent, event.source, event.event, event.message))
        if event.agent not in self.purses or key in self._messages:
            return
        self._messages[key] = (event.principal, event.room)
        if len(self._messages) > MESSAGES:
            del self._messages[next(iter(self._messages))]
        # Lost, its calls are on nobody's account after a restart, which is the smaller one.
        self._wait("INSERT INTO messages VALUES (?,?,?,?,?)", *key, event.principal, event.room, self._today())

    def forget(self, agent: str, principal: str) -> None:
        """Takes a person out of the account. What they used today is held in memory: it gives nobody a new cap.

        Raises Unavailable while the account cannot be written.
        """
        for key in [k for k, (who, _) in self._messages.items() if (k[0], who) == (agent, principal)]:
            del self._messages[key]
        self.flush()
        who = (agent, principal)
        try:
            self.db.execute("DELETE FROM messages WHERE agent=? AND principal=?", who)
            self.db.execute("UPDATE calls SET principal='', room='', message='' WHERE agent=? AND principal=?", who)
            self.db.execute("DELETE FROM marks WHERE instr(scope, ?)", (principal,))
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise Unavailable(f"the account cannot be written: {error}", code="account-away") from None

    # -- calls

    def reserve(self, agent: str, message: str, asked: Bounded) -> Reservation:
        """Room for the most that `asked` can cost. Raises OverBudget."""
        day = self._today()
        tokens, picos = asked.most.tokens, cost(asked.most, asked.price)
        principal, room = self._messages.get((agent, message), ("", ""))
        scopes = self._scopes(agent, principal, room)
        for scope in scopes:
            if not scope.used.fits(scope.cap, tokens, picos):
                self._mark(scope, 100, f"{scope.shown}: today's model budget is used up ({_shown(scope.cap)})")
                raise OverBudget(scope.code, scope.shown)
        row = (day, self.clock(), agent, asked.price.model, message if room else "", principal, room)
        self._waiting.append((CALL, (*row, tokens, picos, asked.price.known)))
        try:
            call = self._write()
        except sqlite3.Error:
            self._waiting.pop()
            raise
        for scope in scopes:
            scope.used.held_tokens += tokens
            scope.used.held_picos += picos
        return Reservation(call, day, scopes, tokens, picos, asked.price)

    def settle(self, held: Reservation, usage: Usage | None) -> None:
        """The call's end: what it told is spent; when it told nothing, all that was held is."""
        if usage is None:
            self._end(held, "unknown", held.tokens, held.picos)
            return
        picos = cost(usage, held.price)
        if usage.tokens > held.tokens or picos > held.picos:
            log.warning("usage_above_bound", model=held.price.model, told=usage.tokens, held=held.tokens)
        self._end(held, "told", usage.tokens, picos)

    def release(self, held: Reservation) -> None:
        """The call was not made, or refused by the provider: nothing is spent."""
        self._end(held, "free", 0, 0)

    def _end(self, held: Reservation, state: str, tokens: int, picos: int) -> None:
        if held.day == self._today():
            for scope in held.scopes:
                used = scope.used
                used.held_tokens -= held.tokens
                used.held_picos -= held.picos
                used.tokens += tokens
                used.picos += picos
                if scope.code == "budget-day":
                    self._notice(scope)
        # Lost, the row stays open: the next start counts it as spent.
        self._wait("UPDATE calls SET state=?, tokens=?, picos=? WHERE id=?", state, tokens, picos, held.call)

    # -- notices

    def _notice(self, scope: Scope) -> None:
        percent = scope.used.percent(scope.cap)
        if mark := max((mark for mark in MARKS if percent >= mark), default=0):
            self._mark(scope, mark, f"{scope.shown}: {mark} % of today's model budget is used")

    def _mark(self, scope: Scope, percent: int, sentence: str) -> None:
        """Logs and tells it once a day, surviving restarts; people's and rooms' own caps are logged only."""
        if (scope.key, percent) in self._marked:
            return
        try:
            done = self.db.execute("INSERT OR IGNORE INTO marks VALUES (?,?,?)", (self.day, scope.key, percent))
        except sqlite3.Error as error:
            log.warning("mark_not_kept", error=str(error))
            return
        self._marked.add((scope.key, percent))
        if done.rowcount != 1:
            return
        log.warning("budget_mark", scope=scope.key, percent=percent)
        if scope.code == "budget-day":
            self.tell(f"{sentence}; it renews at 00:00 UTC (see `teehee costs`)")

    # -- the day and its scopes

    def _scopes(self, agent: str, principal: str, room: str) -> tuple[Scope, ...]:
        known = self._known.get((agent, principal, room))
        if known is None:
            if len(self._known) >= SCOPES_KEPT:
                self._known.clear()
            known = self._known[agent, principal, room] = tuple(self._counted(agent, principal, room))
        return known

    def _counted(self, agent: str, principal: str, room: str) -> Iterator[Scope]:
        """Every cap that a call of this person in this room counts against."""
        purse = self.purses[agent]

        def scope(key: str, code: str, cap: Cap, shown: str) -> Scope:
            return Scope(key, code, cap, shown, self._of(key))

        yield scope("all", "budget-day", self.in_all, "all agents")
        yield scope(f"agent/{agent}", "budget-day", purse.day, purse.name)
        if not room:
            yield scope(f"rest/{agent}", "budget-day", _part(purse.day), f"{purse.name}, on nobody's behalf")
        if room and purse.user != Cap():
            yield scope(f"user/{agent}/{principal}", "budget-user", purse.user, principal)
        if room and purse.room != Cap():
            yield scope(f"room/{agent}/{room}", "budget-room", purse.room, room)

    def _of(self, key: str) -> Used:
        return self._used.setdefault(key, Used())

    def _today(self) -> int:
        """The latest day ever seen: a clock that goes back renews nothing."""
        now = self.clock() // DAY_MS
        if now > self.day:
            self.day = now
            self._used.clear()
            self._known.clear()
            self._marked.clear()
            self._keep_fact("day", str(now))
            self.db.execute("DELETE FROM calls WHERE day<=?", (now - KEPT_DAYS,))
            self.db.execute("DELETE FROM messages WHERE day<=?", (now - MESSAGE_DAYS,))
            self.db.execute("DELETE FROM marks WHERE day<?", (now,))
        if (now < self.day) != self._behind:
            self._behind = now < self.day
            if self._behind:
                log.warning("clock_behind", day=now, latest=self.day)
        return self.day

    def _count_up(self) -> None:
        """Whose messages came in and what today's calls have used, from the rows an earlier life left."""
        latest = "SELECT agent, message, principal, room FROM messages ORDER BY rowid DESC LIMIT ?"
        for agent, message, principal, room in self.db.execute(latest, (MESSAGES,)).fetchall()[::-1]:
            self._messages[agent, message] = (principal, room)
        totals = "SELECT agent, principal, room, SUM(tokens), SUM(picos) FROM calls WHERE day=? GROUP BY 1, 2, 3"
        for agent, principal, room, tokens, picos in self.db.execute(totals, (self.day,)):
            scopes = self._scopes(agent, principal, room) if agent in self.purses else ()
            for used in [scope.used for scope in scopes] or [self._of("all")]:
                used.tokens += tokens
                used.picos += picos

    def _fact(self, name: str) -> str | None:
        row = self.db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _keep_fact(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?,?)", (name, value))


def _part(cap: Cap) -> Cap:
    """A tenth of a cap, at least one of what it counts: 0 would be no cap."""
    tenth = replace(cap, tokens=cap.tokens // UNATTRIBUTED_PART, cents=cap.cents // UNATTRIBUTED_PART)
    return Cap(max(tenth.tokens, 1 if cap.tokens else 0), max(tenth.cents, 1 if cap.cents else 0))


def _shown(cap: Cap) -> str:
    money = f"${cap.cents / 100:.2f}" if cap.cents else ""
    return " or ".join(part for part in (money, f"{cap.tokens:,} tokens" if cap.tokens else "") if part)


def _opened(path: Path) -> sqlite3.Connection:
    """The database, autocommitting: a row is in the file before its call goes out, so `kill -9` loses none."""
    try:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA synchronous=NORMAL")  # never waits for the disk but at a checkpoint
        db.executescript(SCHEMA)
        path.chmod(0o600)
    except sqlite3.Error as error:
        raise ConfigError(
            f"the account of model calls in {str(path)!r} cannot be used: {error}",
            hint="free some disk space; if it is damaged, move it away: today's count then starts anew",
        ) from error
    return db

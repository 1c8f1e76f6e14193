"""The day's account: reserved and spent never pass a cap, whatever order things happen in and whoever dies."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teehee import ids
from teehee.errors import ConfigError, Unavailable
from teehee.gate import costs
from teehee.gate.bound import Bounded
from teehee.gate.spend import DAY_MS, PICOS_PER_CENT, OverBudget, Reservation, Spend, cost
from teehee.gate.usage import OPENAI, Usage
from teehee.wire.boot import Cap, Price, Purse
from teehee.wire.messages import Event

Json = Any
NOON = 20_000 * DAY_MS + DAY_MS // 2
CENT = Price("m", 10_000, 10_000, 10_000, 10_000)  # a million tokens for one cent
UNKNOWN = Price("m", known=False)
NONE, THOUSAND = Cap(), Cap(1000)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Desk:
    """An account on disk that can be opened again, its clock, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.said: list[str] = []
        self.spend: Spend | None = None
        self.late: list[Callable[[], None]] | None = None  # a list: what may be written late waits in it

    def open(
        self, day: Cap = THOUSAND, *, user: Cap = NONE, room: Cap = NONE, in_all: Cap = NONE, agents: str = "ada"
    ) -> Spend:
        self.close()
        purses = tuple(Purse(agent, agent.title(), day, user, room) for agent in agents.split())
        later = _now if self.late is None else self.late.append
        self.spend = Spend(self.folder / costs.FILE, purses, in_all, self.clock, self.said.append, later)
        return self.spend

    def die(self) -> None:
        """As `kill -9` would: what waits to be written is lost."""
        if self.spend is not None:
            self.spend.db.close()
            self.spend = None

    def close(self) -> None:
        if self.spend is not None:
            self.spend.close()
            self.spend = None

    @property
    def report(self) -> Json:
        return costs.read(self.folder, 1)


def _now(work: Callable[[], None]) -> None:
    work()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def asked(tokens: int, price: Price = UNKNOWN) -> Bounded:
    return Bounded(b"", OPENAI, price, Usage(tokens - tokens // 4, tokens // 4))


def hear(spend: Spend, event: str, *, person: str = "sam", room: str = "hall", agent: str = "ada") -> str:
    """A message comes in; gives its id."""
    spend.note(Event(agent, "web", event, person, room, "message", "hi", NOON))
    return ids.message_id(agent, "web", event)


def refusal(spend: Spend, message: str, tokens: int, price: Price = UNKNOWN, agent: str = "ada") -> str:
    with pytest.raises(OverBudget) as refused:
        spend.reserve(agent, message, asked(tokens, price))
    return refused.value.code


def test_what_is_told_is_spent_and_the_rest_of_what_was_held_is_free_again(desk: Desk) -> None:
    spend = desk.open()
    message = hear(spend, "1")

    held = spend.reserve("ada", message, asked(900))
    assert refusal(spend, message, 200) == "budget-day"
    spend.settle(held, Usage(50, 50))

    spend.release(spend.reserve("ada", message, asked(900)))
    assert refusal(spend, message, 901) == "budget-day"


def test_money_is_counted_to_the_pico_dollar(desk: Desk) -> None:
    price = Price("m", 150_000, 600_000, 75_000, 187_500)

    assert cost(Usage(1, 1, 1, 1), price) == 150_000 + 600_000 + 75_000 + 187_500
    assert cost(Usage(1_000_000), price) == 15 * PICOS_PER_CENT


def test_a_cap_of_money_holds_and_knows_nothing_of_what_has_no_price(desk: Desk) -> None:
    spend = desk.open(Cap(0, 1))
    message = hear(spend, "1")

    spend.settle(spend.reserve("ada", message, asked(600_000, CENT)), Usage(600_000))

    assert refusal(spend, message, 400_004, CENT) == "budget-day"
    spend.reserve("ada", message, asked(10**9, UNKNOWN))
    spend.reserve("ada", message, asked(400_000, CENT))


@pytest.mark.parametrize(
    ("caps", "code"),
    [
        ({"user": Cap(100)}, "budget-user"),
        ({"room": Cap(100)}, "budget-room"),
        ({"day": Cap(100)}, "budget-day"),
        ({"in_all": Cap(100)}, "budget-day"),
    ],
)
def test_every_cap_holds_on_its_own_and_leaves_the_others_alone(desk: Desk, caps: dict[str, Cap], code: str) -> None:
    spend = desk.open(**caps, agents="ada eve")
    spend.reserve("ada", hear(spend, "1"), asked(80))

    assert refusal(spend, hear(spend, "2"), 40) == code
    elsewhere = hear(spend, "3", person="kim", room="attic")
    if code == "budget-day":
        assert refusal(spend, elsewhere, 40) == code
    else:
        spend.reserve("ada", elsewhere, asked(40))
    if "in_all" in caps:
        assert refusal(spend, hear(spend, "1", agent="eve"), 40, agent="eve") == code
    else:
        spend.reserve("eve", hear(spend, "1", agent="eve"), asked(40))


def test_calls_for_no_message_and_for_forged_ones_share_a_tenth(desk: Desk) -> None:
    spend = desk.open(Cap(1000))
    hear(spend, "1")
    others = ids.message_id("eve", "web", "1")

    spend.reserve("ada", "", asked(60))

    assert {refusal(spend, claim, 60) for claim in ("", "forged", others, "' OR 1=1 --", "\x00")} == {"budget-day"}
    spend.reserve("ada", "forged", asked(40))
    spend.reserve("ada", ids.message_id("ada", "web", "1"), asked(900))


def test_nothing_told_leaves_all_that_was_held_spent_and_says_so(desk: Desk) -> None:
    spend = desk.open()
    message = hear(spend, "1")

    spend.settle(spend.reserve("ada", message, asked(700)), None)

    assert refusal(spend, message, 301) == "budget-day"
    (agent,) = desk.report["agents"]
    assert (agent["tokens"], agent["unknown"], agent["unpriced"]) == (700, 1, 1)


def test_what_was_in_the_air_when_the_gate_died_stays_spent(desk: Desk) -> None:
    spend = desk.open()
    message = hear(spend, "1")
    spend.reserve("ada", message, asked(700))
    spend.settle(spend.reserve("ada", message, asked(100)), Usage(90))

    spend = desk.open()

    assert refusal(spend, message, 211) == "budget-day"
    assert desk.report["in_all"] | {"cap": 0, "left": 0} == {
        "calls": 2, "tokens": 790, "microdollars": 0, "unknown": 1, "open": 0, "unpriced": 2, "cap": 0, "left": 0,
    }  # fmt: skip


def test_an_end_that_was_not_written_before_a_death_leaves_all_that_was_held_spent(desk: Desk) -> None:
    desk.late = []
    spend = desk.open()
    message = hear(spend, "1")
    spend.settle(spend.reserve("ada", message, asked(700)), Usage(90))
    desk.die()

    spend = desk.open()

    assert refusal(spend, message, 301) == "budget-day"
    assert desk.report["in_all"]["unknown"] == 1


def test_ends_are_written_with_the_next_call_or_a_little_later(desk: Desk) -> None:
    desk.late = []
    spend = desk.open()
    message = hear(spend, "1")
    first = spend.reserve("ada", message, asked(100))
    spend.settle(first, Usage(90))
    second = spend.reserve("ada", message, asked(100))
    with_the_call = desk.report["in_all"]
    spend.release(second)
    for work in desk.late:
        work()

    assert (with_the_call["tokens"], with_the_call["open"]) == (190, 1)
    assert (desk.report["in_all"]["tokens"], desk.report["in_all"]["open"]) == (90, 0)


def test_a_message_is_known_after_a_restart_but_not_for_ever(desk: Desk) -> None:
    message = hear(desk.open(), "1")

    spend = desk.open()
    spend.release(spend.reserve("ada", message, asked(900)))
    desk.clock.now += 8 * DAY_MS
    hear(spend, "2")
    spend = desk.open()

    assert refusal(spend, message, 900) == "budget-day"


def test_a_message_said_again_stays_its_first_senders(desk: Desk) -> None:
    spend = desk.open(user=Cap(100))
    message = hear(spend, "1")
    hear(spend, "1", person="kim", room="attic")
    spend.reserve("ada", message, asked(100))

    assert refusal(spend, hear(spend, "2"), 4) == "budget-user"
    spend.reserve("ada", hear(spend, "3", person="kim"), asked(100))


def test_a_new_day_renews_every_cap(desk: Desk) -> None:
    spend = desk.open(Cap(100), user=Cap(100), room=Cap(100), in_all=Cap(100))
    message = hear(spend, "1")
    late = spend.reserve("ada", message, asked(100))
    desk.clock.now += DAY_MS

    held = spend.reserve("ada", message, asked(100))
    spend.settle(late, Usage(100))
    spend.settle(held, Usage(60))

    assert refusal(spend, message, 41) == "budget-day"
    spend.reserve("ada", message, asked(40))


def test_a_clock_that_goes_back_renews_nothing_not_even_over_a_restart(desk: Desk) -> None:
    spend = desk.open(Cap(100))
    message = hear(spend, "1")
    spend.settle(spend.reserve("ada", message, asked(100)), Usage(100))

    for back in (1, 2, 400):
        desk.clock.now = NOON - back * DAY_MS
        assert refusal(spend, message, 4) == "budget-day"
        spend = desk.open(Cap(100))
        assert refusal(spend, message, 4) == "budget-day"
    desk.clock.now = NOON + DAY_MS
    spend.reserve("ada", message, asked(100))


def test_half_most_and_all_of_a_day_are_told_once_each(desk: Desk) -> None:
    spend = desk.open(Cap(1000))
    message = hear(spend, "1")

    for _ in range(12):
        try:
            spend.settle(spend.reserve("ada", message, asked(100)), Usage(100))
        except OverBudget:
            spend = desk.open(Cap(1000))

    assert [sentence.split(";")[0] for sentence in desk.said] == [
        "Ada: 50 % of today's model budget is used",
        "Ada: 80 % of today's model budget is used",
        "Ada: today's model budget is used up (1,000 tokens)",
    ]
    desk.clock.now += DAY_MS
    spend.settle(spend.reserve("ada", message, asked(500)), Usage(500))
    assert len(desk.said) == 4


def test_a_persons_or_a_rooms_cap_is_not_the_operators_terminals_business(desk: Desk) -> None:
    spend = desk.open(Cap(1000), user=Cap(10), room=Cap(10))

    assert refusal(spend, hear(spend, "1"), 12) == "budget-user"

    assert desk.said == []


def test_the_report_names_agent_model_room_and_person_with_what_is_left(desk: Desk) -> None:
    spend = desk.open(Cap(0, 10), user=Cap(0, 5), room=Cap(2_000_000, 8), in_all=Cap(0, 20))
    spend.settle(spend.reserve("ada", hear(spend, "1"), asked(1_000_000, CENT)), Usage(1_000_000))
    spend.settle(spend.reserve("ada", "", asked(4, UNKNOWN)), Usage(4))

    found = desk.report

    assert (found["day"], found["renews"]) == ("2024-10-04", "2024-10-05T00:00:00Z")
    assert found["in_all"]["left"] == {"microdollars": 190_000}
    assert [(a["name"], a["microdollars"], a["left"]) for a in found["agents"]] == [
        ("Ada", 10_000, {"microdollars": 90_000})
    ]
    assert [(r["room"], r["tokens"], r.get("left")) for r in found["rooms"]] == [
        ("hall", 1_000_000, {"tokens": 1_000_000, "microdollars": 70_000}),
        ("", 4, None),
    ]
    assert [(p["principal"], p.get("left")) for p in found["people"]] == [("sam", {"microdollars": 40_000}), ("", None)]
    assert [(m["model"], m["calls"], m["unpriced"]) for m in found["models"]] == [("m", 2, 1)]


def test_the_report_looks_back_as_many_days_as_asked(desk: Desk) -> None:
    spend = desk.open()
    for _ in range(3):
        spend.settle(spend.reserve("ada", hear(spend, "1"), asked(100)), Usage(100))
        desk.clock.now += DAY_MS
    spend.settle(spend.reserve("ada", hear(spend, "2"), asked(100)), Usage(100))

    assert [costs.read(desk.folder, days)["in_all"]["tokens"] for days in (1, 2, 4, 1000)] == [100, 200, 400, 400]
    assert [day["day"][-2:] for day in costs.read(desk.folder, 3)["days"]] == ["07", "06", "05"]


def test_a_damaged_account_says_what_to_do(desk: Desk) -> None:
    (desk.folder / costs.FILE).write_bytes(b"no database at all, whatever its name says" * 100)

    with pytest.raises(ConfigError) as told:
        desk.open()

    assert "move it away" in told.value.hint


def test_a_call_that_cannot_be_written_down_does_not_go_out(desk: Desk) -> None:
    spend = desk.open()
    message = hear(spend, "1")
    spend.db.execute("PRAGMA query_only=ON")

    with pytest.raises(sqlite3.Error):
        spend.reserve("ada", message, asked(100))
    spend.db.execute("PRAGMA query_only=OFF")

    spend.reserve("ada", message, asked(1000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), cap=st.integers(50, 2000))
def test_reserved_and_spent_never_pass_a_cap(tmp_path: Path, seed: int, cap: int) -> None:
    """Reserving, settling, releasing, losing, dying and clocks at random; the rows are added up after each."""
    chance = random.Random(seed)
    folder = tmp_path / f"{seed}-{cap}"
    folder.mkdir(exist_ok=True)
    (folder / costs.FILE).unlink(missing_ok=True)
    desk = Desk(folder)
    desk.late = []
    caps = {"day": Cap(cap), "user": Cap(cap // 2), "room": Cap(cap // 3), "in_all": Cap(cap + cap // 2)}
    spend = desk.open(**caps, agents="ada eve")
    flying: list[Reservation] = []
    for step in range(60):
        what = chance.random()
        if what < 0.55:
            agent = chance.choice(["ada", "eve"])
            claim = hear(spend, str(step), person=chance.choice("pq"), room=chance.choice("rs"), agent=agent)
            try:
                size = chance.randint(4, cap)
                flying.append(spend.reserve(agent, chance.choice([claim, claim, ""]), asked(size)))
            except OverBudget:
                pass
        elif what < 0.9 and flying:
            held = flying.pop(chance.randrange(len(flying)))
            told = chance.choice([Usage(chance.randint(0, held.tokens)), None])
            spend.release(held) if chance.random() < 0.2 else spend.settle(held, told)
        elif what < 0.92 and desk.late:
            desk.late.pop(0)()
        elif what < 0.96:
            flying.clear()
            desk.late.clear()
            if chance.random() < 0.7:
                desk.die()
            spend = desk.open(**caps, agents="ada eve")
        else:
            desk.clock.now += chance.choice([-3, -1, 1]) * DAY_MS
        for most, columns in ((cap + cap // 2, "day"), (cap, "day, agent"), (cap // 2, "day, agent, principal"),
                              (cap // 3, "day, agent, room")):  # fmt: skip
            whose = "1" if most >= cap else "room<>''"
            rows = spend.db.execute(f"SELECT SUM(tokens) FROM calls WHERE {whose} GROUP BY {columns}")
            assert all(used <= most for (used,) in rows)
    desk.close()


def test_a_person_is_not_taken_for_forgotten_while_the_account_cannot_be_written(desk: Desk) -> None:
    spend = desk.open()
    spend.settle(spend.reserve("ada", hear(spend, "one", person="sam"), asked(10)), None)
    spend.db.execute("PRAGMA query_only=ON")
    with pytest.raises(Unavailable):
        spend.forget("ada", "sam")

    spend.db.execute("PRAGMA query_only=OFF")
    spend.forget("ada", "sam")

    assert spend.db.execute("SELECT 1 FROM calls WHERE principal='sam'").fetchall() == []

"""The last lines of each room, in memory: a reply is known here before its delivery is."""

from collections import OrderedDict
from collections.abc import Iterable

from teehee.mind import attached
from teehee.plugin import Spoken
from teehee.store.mind_store import MindStore

STEP = 16  # the window moves by this many lines at once, so that prompts share their beginning
LONGEST = 2 * STEP
ROOMS = 4096


class Recent:
    """A ring per room, read from the store when a room is first heard of."""

    def __init__(self, store: MindStore) -> None:
        self.store = store
        self.waiting: set[str] = set()  # ids of messages whose turn has not begun: kept, but not yet past
        self.reopened: set[str] = set()  # events taken up again after a restart
        self._rooms: OrderedDict[str, _Ring] = OrderedDict()

    def lines(self, room_id: str, agent_id: str) -> list[Spoken]:
        """The room's last 16 to 31 lines, oldest first."""
        return self._ring(room_id, agent_id).window()

    def add(self, room_id: str, agent_id: str, line: Spoken) -> None:
        self._ring(room_id, agent_id).add(line)

    def forget(self, rooms: Iterable[str]) -> None:
        """Drops these rooms: they are read from the store again when they are next heard of."""
        for room in rooms:
            self._rooms.pop(room, None)

    def _ring(self, room_id: str, agent_id: str) -> "_Ring":
        ring = self._rooms.get(room_id)
        if ring is None:
            ring = self._rooms[room_id] = self._load(room_id, agent_id)
            if len(self._rooms) > ROOMS:
                self._rooms.popitem(last=False)
        else:
            self._rooms.move_to_end(room_id)
        return ring

    def _load(self, room_id: str, agent_id: str) -> "_Ring":
        latest = self.store.latest(room_id, "messages", LONGEST + len(self.waiting))
        past = [memory for memory in reversed(latest) if memory.id not in self.waiting]
        lines = [
            Spoken(
                str(m.content.get("name", "")),
                attached.later(str(m.content.get("text", "")), m.content),
                m.entity_id == agent_id,
            )
            for m in past
        ]
        return _Ring(lines, self.store.count(room_id, "messages") - (len(latest) - len(past)))


class _Ring:
    def __init__(self, lines: list[Spoken], total: int) -> None:
        self.kept = lines
        self.total = total

    def add(self, line: Spoken) -> None:
        self.kept.append(line)
        self.total += 1
        if len(self.kept) > 2 * LONGEST:
            del self.kept[:LONGEST]

    def window(self) -> list[Spoken]:
        return self.kept[-(STEP + self.total % STEP) :]

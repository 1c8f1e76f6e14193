"""What a part in a container remembers of its store, so that none is begun anew in silence.

A mark with one word lies in the volume of its data and in one of its sockets' volumes. The loss of the first is told
by the second; the second is made again from the first. Both are written once the part is ready: its store is there.
"""

import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from teehee.errors import ConfigError
from teehee.wire.paths import socket_in

STORES = {"vault": "vault.db", "mind": "mind.db"}  # the gate has one only where models cost something
REMEMBERED = {"vault": "vault-owner", "mind": "mind", "gate": "gate"}  # the socket whose volume tells, by part
WORD = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Marks:
    """Where the marks of `part` lie."""

    part: str
    data: Path
    sockets: Path

    @property
    def here(self) -> Path:
        return self.data / "born"

    @property
    def there(self) -> Path:
        return socket_in(self.sockets, REMEMBERED[self.part]).parent / f"{self.part}-born"

    def due(self, lost: Collection[str]) -> dict[str, str]:
        """The marks to be written once the part is ready, by path, in this order.

        Raises ConfigError when a store was here and is gone, unless `lost` holds the word it is told with.
        """
        here, there = _read(self.here), _read(self.there)
        gone = (there if there != here else "") or (here if self._is_empty() else "")
        if gone and gone not in lost:
            raise ConfigError(
                f"the {self.part}'s store is gone: {str(self.data)!r} does not hold the one that was here before",
                hint="put its volume back; to go on without what it held, add `--lost "
                f"{gone}` to the command of this part, which is measured (docs/data.md)",
            )
        word = here if here and here != gone else secrets.token_hex(8)
        return {str(self.here): word, str(self.there): word}

    def _is_empty(self) -> bool:
        if self.part not in STORES:
            return False
        store = self.data / STORES[self.part]
        return not store.exists() or os.path.getsize(store) == 0


def _read(mark: Path) -> str:
    """The word of a mark, or nothing."""
    try:
        word = mark.read_text()
    except FileNotFoundError:
        return ""
    return word if WORD.fullmatch(word) else "0" * 16  # a damaged mark still tells that something was here

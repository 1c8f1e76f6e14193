"""Albums: several updates that people see as one message, made one again."""

from collections.abc import Sequence
from dataclasses import replace

from teehee_telegram.inbound import Inbound
from teehee_telegram.quota import Recent

MOST = 2_000  # albums remembered


class Albums:
    """Remembers which albums were told already, so that a part that comes late starts no second turn."""

    def __init__(self) -> None:
        self._seen: Recent[list[int]] = Recent(MOST, list)  # the update that stands for an album, by chat and id

    def together(self, batch: Sequence[Inbound]) -> list[tuple[Inbound, bool]]:
        """The batch in its order, and whether each is only part of an album that another update stands for.

        The one with the caption stands for it, else the first; what is attached to the others is attached to it too.
        """
        albums: dict[tuple[int, str], list[Inbound]] = {}
        for one in batch:
            if one.album and one.kind == "message":
                albums.setdefault((one.chat.id, one.album), []).append(one)
        chosen: dict[int, Inbound] = {}
        for key, parts in albums.items():
            seen = self._seen.get(key)
            if not seen:
                seen.append((next((one for one in parts if one.text), parts[0])).update_id)
            for one in parts:
                if one.update_id == seen[0]:
                    files = tuple(file for part in parts for file in part.attachments)
                    chosen[one.update_id] = replace(one, attachments=files)
        return [
            (chosen.get(one.update_id, one), bool(one.album and one.kind == "message" and one.update_id not in chosen))
            for one in batch
        ]

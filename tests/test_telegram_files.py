"""A file's path as Telegram gives it: any of its names is followed, and none that leads elsewhere."""

import pytest

from teehee.connector import ActionFailed
from teehee.testing import TelegramServer
from teehee_telegram.api import Api
from teehee_telegram.files import fetched


@pytest.mark.parametrize("path", ["voice/file_7.oga", "documents/file_1", "files/a-b_", "files/ends-with-", "a/b/.c"])
async def test_a_plain_path_is_followed(path: str) -> None:
    async with TelegramServer() as server, Api(server.world.me.token, server.url) as api:
        file = server.world.keep(b"a lamp")
        file["file_path"] = path
        assert await fetched(api, file["file_id"]) == b"a lamp"


@pytest.mark.parametrize(
    "path", ["", "x", "/etc/passwd", "a/../b", "..", "a/..", "a/.", "a//b", "a/b?c=d", "a/b#c", "a\\b", "a/%2e%2e/b", 7]
)
async def test_a_path_that_leads_elsewhere_is_no_file(path: object) -> None:
    async with TelegramServer() as server, Api(server.world.me.token, server.url) as api:
        file = server.world.keep(b"a lamp")
        file["file_path"] = path
        with pytest.raises(ActionFailed) as failed:
            await fetched(api, file["file_id"])
        assert failed.value.code == "gone"
        assert [call.method for call in server.world.calls] == ["getfile"]

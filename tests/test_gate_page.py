"""The chat page in a real Chromium, with and without script."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from teehee.testing import Running, running

Json = Any
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the WebDriver standard's name for an element reference
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,900"
).split()


class Browser:
    """A few verbs of the W3C WebDriver protocol."""

    def __init__(self, driver: str, *, script: bool) -> None:
        self.http = httpx.Client(base_url=driver, timeout=30, trust_env=False)
        content = {"profile.managed_default_content_settings.javascript": 1 if script else 2}
        options = {"args": FLAGS, "binary": shutil.which("chromium"), "prefs": content}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        created = self.http.post("/session", json={"capabilities": capabilities}).json()["value"]
        self.session = f"/session/{created['sessionId']}"

    def close(self) -> None:
        self.http.delete(self.session)
        self.http.close()

    def command(self, path: str, **body: Json) -> Json:
        return self.http.post(self.session + path, json=body).json()["value"]

    def read(self, path: str) -> Json:
        return self.http.get(self.session + path).json()["value"]

    def open(self, url: str) -> None:
        self.command("/url", url=url)

    def find(self, css: str) -> str:
        return str(self.command("/element", using="css selector", value=css)[ELEMENT])

    def texts(self, css: str) -> list[str]:
        found = self.command("/elements", using="css selector", value=css)
        return [self.read(f"/element/{item[ELEMENT]}/text") for item in found]

    def say(self, text: str) -> None:
        self.command(f"/element/{self.find('#text')}/value", text=text)
        self.command(f"/element/{self.find('form button')}/click")

    def wait_for(self, css: str) -> None:
        """Waits in the browser, by its own implicit wait, until `css` is there."""
        self.command("/timeouts", implicit=15_000)
        self.find(css)
        self.command("/timeouts", implicit=0)


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
            pytest.fail("chromium and chromedriver are needed: apt install chromium chromium-driver")
        pytest.skip("needs chromium and chromedriver (apt install chromium chromium-driver)")
    process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = next(found[1] for line in process.stdout if (found := re.search(r"on port (\d+)\.", line)))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)
    process.stdout.close()


@contextlib.asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Running]:
    async with running(folder) as up:
        yield up


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
async def test_a_visitor_talks_on_the_page_and_nothing_they_write_is_markup(
    tmp_path: Path, driver: str, script: bool
) -> None:
    async with agent(tmp_path) as up:
        browser = Browser(driver, script=script)
        try:
            browser.open(up.url)
            browser.say("hello <img src=x onerror=alert(1)> there")
            browser.wait_for("li.agent .receipt")
            browser.say("what is your best find?")
            browser.wait_for("li.agent ~ li.agent .receipt")

            assert browser.texts("li.you p") == ["hello <img src=x onerror=alert(1)> there", "what is your best find?"]
            assert len(browser.texts("li.agent p")) == 2
            assert "trust: dev" in browser.texts(".trust")[0]
            assert browser.command("/elements", using="css selector", value="img") == []

            browser.open(up.url)  # a reload shows the same talk, from the ledger and the mind

            assert len(browser.texts("li.agent p")) == 2
            assert len(browser.texts("li.you p")) == 2
        finally:
            browser.close()

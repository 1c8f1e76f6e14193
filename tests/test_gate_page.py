"""The chat page in a real Chromium, with and without script."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from teehee.testing import Running, ScriptedModel, running
from teehee.testing.scripted_model import Script, Streamed

Json = Any
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the WebDriver standard's name for an element reference
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,900"
).split()


class Browser:
    """A few verbs of the W3C WebDriver protocol."""

    def __init__(self, driver: str, *, script: bool = True, phone: bool = False, dark: bool = False) -> None:
        self.http = httpx.Client(base_url=driver, timeout=30, trust_env=False)
        content = {"profile.managed_default_content_settings.javascript": 1 if script else 2}
        options: Json = {"args": FLAGS, "binary": shutil.which("chromium"), "prefs": content}
        if phone:
            options["mobileEmulation"] = {"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2.0}}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        created = self.http.post("/session", json={"capabilities": capabilities}).json()["value"]
        self.session = f"/session/{created['sessionId']}"
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"media": "", "features": [scheme]})

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
        self.click("form button")

    def click(self, css: str) -> None:
        self.command(f"/element/{self.find(css)}/click")

    def run(self, script: str) -> Json:
        return self.command("/execute/sync", script=script, args=[])

    def count(self, css: str) -> int:
        return len(self.command("/elements", using="css selector", value=css))

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


@contextlib.contextmanager
def browsing(driver: str, **how: bool) -> Iterator[Browser]:
    browser = Browser(driver, **how)
    try:
        yield browser
    finally:
        browser.close()


@contextlib.asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Running]:
    async with running(folder) as up:
        yield up


WORDS = "one two three four five six seven eight nine ten"
EVIL_NAME = "<img src=x onerror=alert(1)>"
EVIL = {"name": EVIL_NAME, "bio": ["</p><script>alert(2)</script>"]}


def slowly(request: Json) -> Script:
    head = "<response><thought>t</thought><actions>REPLY</actions><text>"
    return Streamed([head, *(f"{word} " for word in WORDS.split()), "</text></response>"], pause_seconds=0.15)


# What a watcher in the page has seen of the draft: its texts, in order.
WATCH_DRAFT = """
window.seen = [];
new MutationObserver(() => window.seen.push(document.getElementById("draft").textContent))
  .observe(document.getElementById("draft"), {childList: true, subtree: true, characterData: true});
"""


async def test_a_draft_is_seen_growing_and_is_gone_when_the_answer_is_there(tmp_path: Path, driver: str) -> None:
    async with ScriptedModel(speak=slowly) as model, running(tmp_path, model_url=model.url) as up:

        def look() -> None:
            with browsing(driver) as browser:
                browser.open(up.url)
                browser.run(WATCH_DRAFT)
                browser.say("hello")
                browser.wait_for("#draft.writing")
                assert browser.count("#talk li.agent") == 0
                assert browser.count("#draft a") == 0  # nothing that was not sent has a receipt
                browser.wait_for("li.agent .receipt")

                seen = [text for text in browser.run("return window.seen") if text]
                assert len(seen) >= 4
                assert all(WORDS.startswith(text) for text in seen)
                assert browser.texts("li.agent p:first-child") == [WORDS]
                assert browser.run("return document.getElementById('draft').hidden") is True

        await asyncio.to_thread(look)


async def test_a_visitor_reads_receipt_and_reasons_and_is_forgotten(tmp_path: Path, driver: str) -> None:
    async with agent(tmp_path) as up:
        with browsing(driver, script=False) as browser:
            browser.open(up.url)
            browser.say("hello, canary here")
            browser.wait_for("li.agent .receipt")
            browser.click(".receipt")
            browser.wait_for(".verdict.good")
            assert browser.texts(".verdict") == ["✓ Said by this agent, in exactly these words"]

            browser.click(".inner a")
            browser.wait_for("#talk")
            browser.click(".why")
            browser.wait_for(".bars")
            assert "the classic brain" in browser.texts(".facts td")
            assert "character" in browser.texts(".bars li span:first-child")

            browser.click(".inner a")
            browser.wait_for("#talk")
            browser.click(".foot a")
            browser.wait_for(".grave")
            assert files_with(tmp_path, b"canary")
            browser.click(".grave")
            browser.wait_for(".verdict.good")
            assert "1 reply," in browser.texts("main")[0]
            assert not files_with(tmp_path, b"canary")

            browser.open(up.url)
            assert browser.count("#talk li.you") == 0


def files_with(folder: Path, word: bytes) -> list[Path]:
    return [file for file in folder.glob("*.db*") if word in file.read_bytes()]


async def test_markup_in_a_characters_name_and_bio_is_text_on_every_page(tmp_path: Path, driver: str) -> None:
    (tmp_path / "evil.json").write_text(json.dumps(EVIL))
    async with running(tmp_path / "data", [str(tmp_path / "evil.json")]) as up:
        with browsing(driver) as browser:
            browser.open(up.url)
            browser.say("<b>hi</b>")
            browser.wait_for("li.agent .why")
            pages = browser.run(
                "return [...document.querySelectorAll('li.agent a, .foot a, .trust a')].map(a => a.href)"
            )
            assert len(pages) == 4
            for page in [up.url, *pages]:
                browser.open(page)
                browser.wait_for("h1")
                assert EVIL_NAME in browser.texts("body")[0]
                assert browser.count("img") == browser.count("body script:not([src])") == browser.count("li b") == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone_and_can_be_read(tmp_path: Path, driver: str, dark: bool) -> None:
    async with running(tmp_path, ["wren", "snib", "moss"]) as up:
        with browsing(driver, phone=True, dark=dark) as browser:
            browser.open(f"{up.url}/chat/snib")
            browser.say("a" * 300)
            browser.wait_for("li.agent .why")
            pages = browser.run(
                "return [...document.querySelectorAll('li.agent a, .foot a, .trust a')].map(a => a.href)"
            )
            for page in [up.url, f"{up.url}/chat/snib", *pages]:
                browser.open(page)
                browser.wait_for("h1")
                assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), page
                paper, ink = (browser.run(f"return getComputedStyle(document.body).{it}") for it in COLOURS)
                assert contrast(paper, ink) > 7, page
                assert (luminance(paper) < 0.2) is dark
                soft = browser.run("return [...document.querySelectorAll('.bio, .meta, .soft, th')].map("
                                   "it => getComputedStyle(it).color)")  # fmt: skip
                assert all(contrast(paper, colour) >= 4.5 for colour in soft), page


COLOURS = ("backgroundColor", "color")


def luminance(colour: str) -> float:
    """WCAG's relative luminance of an `rgb(…)` colour."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


async def test_a_visitor_from_elsewhere_shows_the_token_once(tmp_path: Path, driver: str) -> None:
    async with running(tmp_path, ["wren"], host="0.0.0.0") as up:
        with browsing(driver) as browser:
            browser.open(up.url.replace("0.0.0.0", "127.0.0.1"))
            browser.command(f"/element/{browser.find('#token')}/value", text=up.supervisor.plan.access_token)
            browser.click("form button")
            browser.wait_for("#talk")
            browser.say("hello")
            browser.wait_for("li.agent .receipt")

            assert "token" not in browser.read("/url")


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
            assert len(browser.texts("li.agent > p:first-child")) == 2
            assert "trust: dev" in browser.texts(".trust")[0]
            assert browser.command("/elements", using="css selector", value="img") == []

            browser.open(up.url)  # a reload shows the same talk, from the ledger and the mind

            assert len(browser.texts("li.agent > p:first-child")) == 2
            assert len(browser.texts("li.you p")) == 2
        finally:
            browser.close()

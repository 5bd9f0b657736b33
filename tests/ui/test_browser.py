"""The page in a real browser, over the real engine, started as people start it: ``python -m ui``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ui import text

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip("no chromium on this machine (apt-get install chromium)", allow_module_level=True)

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
QUESTION = "国内出張の日当はいくらですか。"


@pytest.fixture(scope="module")
def address(tiny_index: Path) -> Iterator[str]:
    """The page's address; the server is a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if "RAGJP_" not in name}
    command = [sys.executable, "-m", "ui", f"--index={tiny_index}", f"--port={port}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            said = server.communicate(timeout=30)[0].decode("utf-8")
    assert f"http://127.0.0.1:{port}" in said


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        assert server.poll() is None, "the server stopped before it answered"
        try:
            with opener.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail("the server did not answer")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh page that notes where it goes; every test checks that it went nowhere but to this machine."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, locale="ja-JP")
    reached: list[str] = []
    opened.on("request", lambda request: reached.append(request.url))
    opened.on("websocket", lambda socket: reached.append(socket.url))
    opened.goto(address)
    yield opened
    opened.close()
    hosts = {
        urlsplit(url).netloc for url in reached if urlsplit(url).scheme not in ("data", "blob")
    }
    assert len(reached) > 10
    assert hosts == {urlsplit(address).netloc}


def test_a_question_is_answered_and_its_citation_opens_with_the_quote_marked(page: Page) -> None:
    """Guards against everything that only a browser shows: the main job of the page, from question to source."""
    page.get_by_label(text.QUESTION_LABEL, exact=True).fill(QUESTION)
    page.keyboard.press("Enter")
    answer = page.locator(".st-key-answer")
    expect(answer).to_contain_text("2,500円", timeout=30_000)
    expect(page.locator(".st-key-quote-1")).to_contain_text("2,500円")
    page.get_by_role("button", name=text.OPEN_PAGE).first.click()
    mark = page.locator(".st-key-marked [data-testid='stText']")
    expect(mark).to_contain_text("2,500円")
    expect(mark).to_be_in_viewport()
    assert mark.evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(255, 240, 168)"
    # The quote stands in its line: the text after it goes on beside it, not in a block of its own.
    assert mark.evaluate("node => getComputedStyle(node).display") == "inline"
    (ROOT / ".artifacts").mkdir(exist_ok=True)
    page.wait_for_timeout(500)  # the drawer slides in
    page.screenshot(path=ROOT / ".artifacts" / "ui.png")


def test_the_whole_page_can_be_shown(page: Page) -> None:
    """Guards against a drawer that closes, or forgets its place, when its switch is used."""
    page.get_by_role("button", name=QUESTION).click()
    page.get_by_role("button", name=text.OPEN_PAGE).first.click(timeout=30_000)
    paper = page.locator(".st-key-paper")
    expect(paper).not_to_contain_text("第1条（目的）")
    page.get_by_text(text.WHOLE_PAGE).click()
    expect(paper).to_contain_text("第1条（目的）")
    expect(paper).to_contain_text("取締役会の決議による")
    expect(page.locator(".st-key-marked")).to_contain_text("2,500円")


def test_the_enter_that_ends_a_conversion_does_not_ask(page: Page) -> None:
    """Guards against sending half a question while a Japanese input method is still converting it."""
    box = page.get_by_label(text.QUESTION_LABEL, exact=True)
    box.fill("にっとう")
    enter = {"key": "Enter", "keyCode": 229, "isComposing": True, "bubbles": True}
    for kind in ("keydown", "keypress"):
        box.dispatch_event(kind, enter)
    page.wait_for_timeout(1500)
    expect(page.locator(".st-key-asked")).to_have_count(0)
    box.press("Enter")
    expect(page.locator(".st-key-asked")).to_contain_text("にっとう", timeout=30_000)


def test_a_hostile_document_is_only_text(page: Page) -> None:
    """Guards against a document that fetches, links, draws or colours anything; the fixture checks the fetching."""
    page.get_by_role("link", name=text.SEARCH).click()
    page.get_by_label(text.QUERY_LABEL, exact=True).fill("毒入りの画像が入った不審なメール")
    page.keyboard.press("Enter")
    hit = page.locator("[class*='st-key-hit-']", has_text="通達/注意.txt").first
    expect(hit).to_contain_text("![毒](https://example.com/pixel.png)", timeout=30_000)
    hit.get_by_role("button", name=text.OPEN_PAGE).click()
    paper = page.locator(".st-key-paper")
    expect(paper).to_contain_text(":smile:")
    expect(paper).to_contain_text("$\\href{https://example.com/毒}{毒}$")
    for made in (
        "img[src*='example.com']",
        "a[href*='example.com']",
        ".katex",
        ".stMarkdownColoredText",
    ):
        assert page.locator(made).count() == 0
    assert paper.locator("a, img, script, iframe, svg").count() == 0


def test_a_hit_says_why_it_was_found(page: Page) -> None:
    """Guards against marks that are invisible or break the line, and against reasons that open by themselves."""
    page.get_by_role("link", name=text.SEARCH).click()
    page.get_by_label(text.QUERY_LABEL, exact=True).fill("国内出張の日当")
    page.keyboard.press("Enter")
    hit = page.locator(".st-key-hit-1")
    expect(hit).to_contain_text("旅費規程", timeout=30_000)
    expect(page.locator(".st-key-segments")).to_have_count(0)
    hit.get_by_text(text.WHY).click()
    mark = hit.locator("[class*='st-key-word-'] [data-testid='stText']", has_text="日当").first
    expect(mark).to_be_visible(timeout=30_000)
    assert mark.evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(255, 240, 168)"
    assert mark.evaluate("node => getComputedStyle(node).display") == "inline"
    page.get_by_text(text.HOW_READ).click()
    expect(page.locator(".st-key-segments")).to_contain_text("出張", timeout=30_000)
    expect(page.locator(".st-key-segments")).to_contain_text(text.FATES["particle"])
    (ROOT / ".artifacts").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / ".artifacts" / "why.png", full_page=True)


def test_another_name_for_this_machine_is_turned_away(address: str) -> None:
    """Guards against DNS rebinding: a page elsewhere that points its own name at 127.0.0.1."""
    port = urlsplit(address).port
    upgrade = (
        "GET /_stcore/stream HTTP/1.1\r\nHost: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(upgrade.format(port=port).encode("ascii"))
        status = wire.recv(64).decode("ascii").splitlines()[0]
    assert " 403 " in status

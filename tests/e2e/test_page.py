"""The page in a real browser, over the alerts of a real replay: from an alert to a closed case, by keyboard and by mouse."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from detector.alert import Reason
from detector.cases.store import Store
from detector.page import users
from detector.page.settings import PageSettings
from tests.detector.cases.made import alert
from tests.detector.page.visitor import serving
from tests.programs import program

ROOT = Path(__file__).parents[2]
MORNING = ROOT / "tests" / "data" / "morning"
PHONE = 360
PASSWORD = "correct horse battery"
PATHS = (
    "/cases",
    "/cases/1",
    "/findings",
    "/suppressions",
    "/runbooks",
    "/runbooks/port-scan",
    "/about",
    "/cases/1/evidence",
)
SERIOUS = {"serious", "critical"}


class Up(NamedTuple):
    """A detector with its page, after a replay."""

    url: str
    state: Path


def started(state: Path) -> Iterator[Up]:
    """`nigrani up` on the recorded morning, until it has judged all of it."""
    command = [
        sys.executable, "-m", "nigrani.cli", "up", "--state", state, "--agent-config", MORNING / "agent.yaml",
        "--config", MORNING / "detector.yaml", "--set", "metrics.listen=127.0.0.1:0", "--set", "page.listen=127.0.0.1:0",
        "--replay", MORNING / "capture.pcap", MORNING / "ai-gateway.log",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = "".join(process.stderr.readline() for _ in range(2))
        found = re.search(r"cases on (http://\S+)/", told)
        assert found, told
        threading.Thread(target=process.stderr.read, daemon=True).start()
        for line in process.stdout:
            if " open cases" in line:
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Up(found[1], state)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Up]:
    program("chromedriver", request)  # before the replay, which is for nothing without
    yield from started(tmp_path_factory.mktemp("up"))


class Browser:
    """Chromium without a screen, and a witness of all that it asked for and complained of."""

    def __init__(self, chromium: str, driver: str, url: str, width: int, scheme: str) -> None:
        options = ChromeOptions()
        options.binary_location = chromium
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options, Service(driver))
        self.url = url
        self.set("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        if width < 1280:
            self.set("Emulation.setDeviceMetricsOverride", width=width, height=720, deviceScaleFactor=1, mobile=True)
        self.set("Network.setCacheDisabled", cacheDisabled=True)

    def set(self, command: str, **words: object) -> None:
        self.driver.execute_cdp_cmd(command, words)

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def await_text(self, selector: str, text: str) -> None:
        waiting = WebDriverWait(self.driver, 10, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(lambda _: any(text in one.text for one in self.all(selector)), f"{selector}: {text}")

    def press(self, *keys: str) -> None:
        """To whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def focused(self) -> str:
        return str(self.driver.execute_script("return document.activeElement.textContent.trim().replace(/\\s+/g, ' ')"))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def assert_quiet(self) -> None:
        """Nothing was complained of, and nothing was asked of anybody else."""
        assert [line["message"] for line in self.driver.get_log("browser")] == []
        asked = set()
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.add(message["params"]["request"]["url"])
        assert asked
        assert {url for url in asked if not url.startswith((self.url, "data:"))} == set()


Open = Callable[..., Browser]


@pytest.fixture
def browser(up: Up, request: pytest.FixtureRequest) -> Iterator[Open]:
    opened: list[Browser] = []

    def begin(width: int = 1280, scheme: str = "dark", url: str = "") -> Browser:
        made = Browser(program("chromium", request), program("chromedriver", request), url or up.url, width, scheme)
        opened.append(made)
        return made

    yield begin
    for one in opened:
        one.driver.quit()


def number(page: Browser) -> str:
    return page.driver.current_url.partition("/cases/")[2].partition("?")[0].partition("#")[0]


def test_from_alert_to_closed_case_by_keyboard(browser: Open) -> None:
    page = browser()
    page.open("/cases")
    page.press("j")
    first = page.focused()
    page.press("j")
    assert page.focused() != first
    page.press("k")
    assert page.focused() == first
    page.press(Keys.ENTER)
    page.await_text("h1", first)
    case = number(page)
    page.press("a")
    page.await_text(".done", "The case is yours now.")
    page.press("j")
    assert page.run("return document.activeElement.tagName") == "SUMMARY"
    page.press("n")
    page.press(*"Called radiology: nobody scans jjj.")
    page.press(Keys.TAB, Keys.ENTER)
    page.await_text(".done", "The note is kept.")
    page.await_text(".history", "Called radiology: nobody scans jjj.")
    steps = page.all("button.step")
    steps[0].send_keys(Keys.SPACE)
    page.await_text("#steps-h", "1 of")
    assert page.all("button.step")[0].get_attribute("aria-checked") == "true"
    page.press("c")
    page.press(Keys.SPACE, Keys.TAB)
    page.press(*"It was a scan, and its port is shut.")
    page.press(Keys.TAB, Keys.ENTER)
    page.await_text(".done", "Closed.")
    page.await_text(".case-line", "True positive")
    page.press("u")
    page.await_text("h1", "Cases")
    assert page.all(f"#case-{case}") == []
    page.press("?")
    assert page.one("#keys").is_displayed()
    page.press(Keys.ESCAPE)
    page.press("/")
    page.press(*"nothing is like this", Keys.ENTER)
    page.await_text(".empty", "No case is like that")
    page.assert_quiet()


def test_from_alert_to_closed_case_by_mouse(browser: Open) -> None:
    page = browser(scheme="light")
    page.open("/")
    row = page.one(".row.state-open")
    title = row.find_element(By.CSS_SELECTOR, ".title").text
    ActionChains(page.driver).click(row.find_element(By.CSS_SELECTOR, ".c-risk")).perform()  # the whole row leads there
    page.await_text("h1", title)
    page.one(".mark").click()
    page.run("for (const one of document.querySelectorAll('[name=csrf]')) one.value = 'of before a restart'")
    page.run("return freshen()")
    page.one(".acts .primary").click()
    page.await_text(".done", "yours now")
    page.one("a[href='#assign']").click()
    field = page.one("#assign input[name=to]")
    field.clear()
    field.send_keys("asha")
    page.one("#assign button").click()
    page.await_text(".case-line", "assigned to asha")
    page.one("a[href='#close']").click()
    page.one("input[value='expected']").click()
    page.one("#close textarea").send_keys("a planned move")
    page.one("#close button").click()
    page.await_text(".done", "Closed.")
    page.one("a[href='#reopen']").click()
    page.one("#reopen textarea").send_keys("it was not")
    page.one("#reopen button").click()
    page.await_text(".case-line", "Open")
    page.one(".copy").click()
    page.await_text("#toast", "")
    page.assert_quiet()


def test_everything_essential_works_without_scripts(browser: Open) -> None:
    page = browser()
    page.set("Emulation.setScriptExecutionDisabled", value=True)
    page.open("/cases?state=all")
    page.all(".row .title")[-1].click()
    assert "nigrani" in page.driver.title
    page.one("#note > summary").click()
    page.one("#note textarea").send_keys("written without scripts")
    page.one("#note button").click()
    page.await_text(".history", "written without scripts")
    page.open("/cases?state=all")
    page.one("#search").send_keys("scan" + Keys.ENTER)
    page.await_text(".chips", "scan")


def test_a_phone_shows_it_without_scrolling_aside(browser: Open) -> None:
    page = browser(PHONE)
    for path in PATHS:
        page.open(path)
        assert page.run("return document.documentElement.scrollWidth") <= PHONE, path
    page.assert_quiet()


def test_what_changes_is_seen_without_reloading(up: Up, browser: Open) -> None:
    page = browser()
    page.open("/cases?state=all")
    page.press("j")
    before = page.focused()
    store = up.state / "cases.db"
    command = [sys.executable, "-m", "nigrani.cli", "case", "assign", "3", "--to", "newcomer", "--store", str(store)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    page.run("freshen()")
    page.await_text("#case-3", "newcomer")
    assert page.focused() == before
    page.assert_quiet()


def test_the_whole_way_of_the_focus_is_seen(browser: Open) -> None:
    """Every stop of the Tab key has an outline, is on the page, and has a name."""
    page = browser()
    page.open("/cases/2")
    seen = []
    for _ in range(60):
        page.press(Keys.TAB)
        stop = page.run(
            "const e = document.activeElement; const s = getComputedStyle(e); const ring = e.querySelector?.('.hit');"
            "return [e.tagName, s.outlineStyle !== 'none' || (ring && getComputedStyle(ring).stroke !== 'none'),"
            "(e.getAttribute('aria-label') || e.textContent || e.name || '').trim().length > 0]"
        )
        if stop[0] == "BODY":
            break
        seen.append(stop)
    assert len(seen) > 20
    assert [stop for stop in seen if not (stop[1] and stop[2])] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (PHONE, "light")])
def test_nobody_is_shut_out(browser: Open, scheme: str, width: int) -> None:
    """axe finds nothing serious, on any page, contrast included."""
    page = browser(width, scheme)
    found = []
    page.open("/cases/1")
    device = str(page.one(".token a").get_attribute("href")).removeprefix(page.url)
    for path in (*PATHS, device):
        page.open(path)
        page.run("for (const one of document.querySelectorAll('details')) one.open = true")
        page.run(AXE_SCRIPT)
        done = page.driver.execute_async_script("const done = arguments[0]; axe.run().then(done)")
        found += [
            (path, one["id"], [node["html"][:200] for node in one["nodes"]][:3])
            for one in done["violations"]
            if one["impact"] in SERIOUS
        ]
    assert found == []


def test_login_in_a_browser(tmp_path: Path, browser: Open, up: Up) -> None:
    path = tmp_path / "page.users"
    users.write(path, {"asha": users.User("asha", "respond", users.hashed(PASSWORD))})
    store = Store(up.state / "cases.db")
    server = serving(store, PageSettings(listen="127.0.0.1:0", users=path))
    try:
        page = browser(url=server.url.rstrip("/"))
        page.open("/cases/4")
        page.one("input[name=name]").send_keys("asha")
        page.one("input[name=password]").send_keys("wrong" + Keys.ENTER)
        page.await_text("[role=alert]", "do not match")
        page.one("input[name=name]").send_keys("asha")
        page.one("input[name=password]").send_keys(PASSWORD + Keys.ENTER)
        page.await_text(".who", "asha")
        assert page.driver.current_url.endswith("/cases/4")
        assert page.run("return document.cookie") == ""
        page.press("a")
        page.await_text(".history", "asha acknowledged")
        page.one(".who button").click()
        page.await_text("h1", "Log in")
        page.open("/cases")
        page.await_text("h1", "Log in")
    finally:
        server.close()
        store.close_store()


HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "</title><svg onload=alert(3)>", "javascript:alert(4)",
    "\u202eevil", "x" * 180, '" autofocus onfocus=alert(5) x="', "](javascript:alert(6)) <b>",
)  # fmt: skip


def test_what_an_attacker_writes_neither_runs_nor_spreads(tmp_path: Path, browser: Open) -> None:
    store = Store(tmp_path / "cases.db")
    for at, text in enumerate(HOSTILE):
        one = alert(text, text, minutes=at, level="high", peer=text)
        one.title, one.zone, one.device_class, one.because, one.first_steps = text, text, text, [text], [text]
        one.reasons = [Reason(text, 41, 2, 6, 504, own=False, minutes=503)]
        store.add([msgspec.json.encode(one.ocsf())])
    server = serving(store, PageSettings(listen="127.0.0.1:0"))
    try:
        page = browser(url=server.url.rstrip("/"))
        for path in ("/cases?state=all", "/findings", *(f"/cases/{number + 1}" for number in range(len(HOSTILE)))):
            page.open(path)
            page.run("for (const one of document.querySelectorAll('details')) one.open = true")
            assert page.run("return document.documentElement.scrollWidth") <= 1280, path
            assert page.all("img, b, [onload], [onerror], [onfocus], [href^='javascript']") == [], path
        page.assert_quiet()
    finally:
        server.close()
        store.close_store()

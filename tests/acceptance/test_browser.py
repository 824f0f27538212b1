"""The server in a real browser: every view, wide and narrow, light and dark, by keyboard, and as work goes on."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.cli.serve.server import listening
from bec_orch.settings.config import load_settings
from bec_orch.web.app import application
from tests.acceptance.conftest import ROOT, WAIT, Bec, ok

uvicorn = pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
MIRADOR = ROOT / "build" / "mirador" / "package" / "dist" / "mirador.min.js"
AXE = ROOT / "tests" / "support" / "axe" / "axe.min.js"
PECHA, BOOK = "W1BEC001/I1BEC0001", "W1BEC002/I1BEC0002"
VIEWS = (
    "/jobs",
    "/jobs/truth",
    "/jobs/truth?text=nothing",
    f"/volumes/{PECHA}",
    f"/volumes/{BOOK}",
    "/workers",
    "/workers?stopped=yes",
    "/queues",
    f"/view/truth/{PECHA}/2",
    f"/view/truth/{BOOK}/3",
    f"/view/truth/{BOOK}/7",
    "/jobs/nope",
)
WIDTHS = (1280, 400)
SEEN = ROOT / "build" / "views"
"""Where a picture of each view is kept, to be looked at."""

pytestmark = [
    pytest.mark.usefixtures("fresh_database"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]


@pytest.fixture
def base(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server over the true text of the samples."""
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    source = f"folder+{(ROOT / 'samples').as_uri()}"
    ok(bec("import", "truth", "--format", "alto", "--from", ROOT / "samples" / "truth", "--source", source))
    settings = load_settings({}).settings
    with open_parts(settings) as parts, listening(settings, "127.0.0.1", 0) as found:
        sight = sight_of(parts)
        server = uvicorn.Server(uvicorn.Config(application(sight, found.door), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [found.socket]})
        thread.start()
        yield found.url("")
        sight.close()
        server.should_exit = True
        thread.join(WAIT)


@contextmanager
def browser(**given: Any) -> Iterator[Any]:
    """A page of a browser that keeps what its console says, and what it asked for."""
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_context(**given).new_page()
        page.set_default_timeout(WAIT * 1000)
        page.said, page.asked = [], []
        page.on("console", lambda told: page.said.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        yield page
        chromium.close()


def opened(page: Any, address: str) -> None:
    page.said.clear()
    page.goto(address)
    if page.locator("#stage").count():
        page.wait_for_selector("#stage[data-ready]")


def serious(page: Any) -> list[str]:
    """Return what axe finds that keeps people from using a page."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.timeout(300)
def test_every_view_is_whole(base: str, light: str) -> None:
    faults: list[str] = []
    with browser(color_scheme=light) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for view in VIEWS:
                opened(page, base + view)
                expected = 1 if view == "/jobs/nope" else 0  # the browser itself notes a 404
                if len(page.said) > expected:
                    faults.append(f"{view} at {width}: {page.said}")
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    faults.append(f"{view} is wider than {width}")
                faults += [f"{view} at {width}: {found}" for found in serious(page)]
                name = re.sub(r"\W+", "-", view.strip("/"))
                page.screenshot(path=SEEN / f"{name}-{width}-{light}.png", full_page=True)
        assert [url for url in page.asked if not url.startswith(base)] == []
    assert faults == []


def test_lines_light_up_with_their_text_both_ways(base: str) -> None:
    with browser(viewport={"width": 1280, "height": 900}) as page:
        opened(page, f"{base}/view/truth/{PECHA}/2")
        shape, text = page.locator("#lines g[data-line='3']"), page.locator("#line-3")
        box = shape.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector("#line-3.lit")
        page.mouse.down()
        page.mouse.up()
        page.wait_for_url("**#line-3")
        page.locator("#line-5").hover()
        page.wait_for_selector("#lines g[data-line='5'].lit")
        assert "lit" not in (text.get_attribute("class") or "")
        # A line lies over its place of the picture.
        picture = page.locator("#stage canvas").first.bounding_box()
        assert picture["x"] <= box["x"]
        assert box["x"] + box["width"] <= picture["x"] + picture["width"]


def test_the_keyboard_alone_is_enough(base: str) -> None:
    with browser(viewport={"width": 1280, "height": 900}) as page:
        opened(page, f"{base}/view/truth/{BOOK}/1")
        page.keyboard.press("n")
        page.wait_for_url("**/2")
        page.wait_for_selector("#stage[data-ready]")
        page.keyboard.press("j")
        page.wait_for_selector("#line-1.lit")
        page.keyboard.press("j")
        page.wait_for_url("**/2#line-2")
        assert page.evaluate("document.activeElement.closest('li').id") == "line-2"
        page.keyboard.press("k")
        page.wait_for_selector("#lines g[data-line='1'].lit")
        page.keyboard.press("l")
        page.wait_for_selector(".picture.bare")
        page.keyboard.press("p")
        page.wait_for_url("**/1")
        page.goto(f"{base}/jobs")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        page.wait_for_url("**#main")


def test_light_and_dark_are_kept(base: str) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    with browser(color_scheme="light") as page:
        opened(page, f"{base}/jobs")
        before = page.evaluate(ground)
        page.click("[data-theme-switch]")
        after = page.evaluate(ground)
        assert after != before
        opened(page, f"{base}/workers")
        assert page.evaluate(ground) == after


def test_the_dashboard_goes_on_by_itself(base: str, conninfo: str) -> None:
    with browser() as page, psycopg.connect(conninfo, autocommit=True) as connection:
        opened(page, f"{base}/jobs")
        page.wait_for_selector("text=2 done")
        page.evaluate("document.body.dataset.same = 'page'")
        connection.execute(
            "INSERT INTO tasks (job_id, volume_id, state) SELECT j.id, v.id, 'queued' FROM jobs j, volumes v"
        )
        page.wait_for_selector("text=2 queued")
        assert page.evaluate("document.body.dataset.same") == "page"


def test_a_hostile_text_stays_text(base: str, conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tasks (job_id, volume_id, state, finished_at, failure_code, failure_message) "
            "SELECT j.id, v.id, 'terminal_failed', now(), 'E_X', '<img src=x onerror=alert(1)>' FROM jobs j, volumes v"
        )
    with browser() as page:
        page.on("dialog", lambda _: page.said.append("a dialog"))
        opened(page, f"{base}/volumes/{PECHA}")
        page.wait_for_selector("text=<img src=x onerror=alert(1)>")
        assert page.said == []


@pytest.mark.skipif(not MIRADOR.is_file(), reason="no Mirador: `make mirador` fetches it")
def test_mirador_opens_a_manifest(base: str) -> None:
    manifest = f"{base}/iiif/manifests/truth/{PECHA}/W1BEC001-I1BEC0001.json"
    html = (
        '<!doctype html><meta charset="utf-8"><div id="m" style="position: absolute; inset: 0"></div>'
        f"<script src='/mirador.js'></script><script>Mirador.viewer({{id: 'm', windows: [{{manifestId: '{manifest}', "
        "canvasIndex: 1}]})</script>"
    )
    with browser(bypass_csp=True, viewport={"width": 1280, "height": 800}) as page:
        page.route("**/m.html", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.route("**/mirador.js", lambda route: route.fulfill(path=MIRADOR, content_type="text/javascript"))
        with page.expect_response(lambda answer: "/default.jpg" in answer.url) as found:
            page.goto(f"{base}/m.html")
        assert found.value.status == 200
        page.wait_for_selector("text=2 of 9")

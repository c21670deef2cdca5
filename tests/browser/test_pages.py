"""The status page in a real browser, against the Rollouts of `make run`."""

import re
from typing import Any

import pytest
import requests

from provider.http.access import TokenAccess
from tests.app import create_app
from tests.browser.conftest import SCREENSHOTS
from tests.scene import GREEN, Scene
from tests.world.server.http_server import HttpServer

pytestmark = pytest.mark.long

DESKTOP_LIGHT: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE_DARK: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
WINDOWS = {"desktop-light": DESKTOP_LIGHT, "phone-dark": PHONE_DARK}


def told_by(address, path):
    """What the API tells people."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{address}/v1/{path}", timeout=15).json()


def shown_on(page):
    """The state, and the phase and reason of each answer, as a person reads them."""
    answers = page.locator("#answer .headline").all_inner_texts()
    return page.locator("#situation .headline strong").inner_text(), [" ".join(one.split()[1:]) for one in answers]


def look_closely(page, name):
    """Check what every page must be: fit for the window, and without an accessibility violation; keep a picture."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - brings Playwright along

    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_each_rollout_tells_why(visit, demo, window, request, subtests):
    """Each page has the state and the answers that the API has; it fits, and everybody can use it."""
    names = [one["rollout"] for one in told_by(demo, "rollouts")["rollouts"]]
    assert len(names) >= 6
    for name in names:
        with subtests.test(name):
            page = visit(f"{demo}/rollouts/shop/{name}", **window)
            for _ in range(20):  # the Rollout may move between the two
                told = told_by(demo, f"explain?namespace=shop&rollout={name}")
                page.reload()
                expected = (
                    told["state"],
                    [f"{one['phase']} {one['reason']}" for one in told["queries"] if "phase" in one],
                )
                if shown_on(page) == expected:
                    break
            assert shown_on(page) == expected
            look_closely(page, f"{name}-{request.node.callspec.id}")


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("path", ["/", "/reasons", "/rollouts/shop/none"])
def test_the_other_pages(visit, demo, path, window, request):
    """The overview, the reasons and a page that is not shown are as usable."""
    page = visit(f"{demo}{path}", refused=path.endswith("none"), **window)

    name = path.strip("/").replace("/", "-") or "overview"
    look_closely(page, f"{name}-{request.node.callspec.id.removeprefix(f'{path}-')}")


def test_the_overview_leads_to_every_rollout(visit, demo):
    """The overview lists every Rollout of the demo, and each link leads to its page, by keyboard too."""
    page = visit(f"{demo}/", **DESKTOP_LIGHT)

    names = {text.replace("shop/", "").strip() for text in page.locator("tbody th a").all_inner_texts()}
    assert names == {one["rollout"] for one in told_by(demo, "rollouts")["rollouts"]}
    link = page.locator("tbody th a").first
    name = link.inner_text().replace("shop/", "").strip()
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/rollouts/shop/{name}")
    assert page.locator("h1").inner_text() == f"shop/{name}"


@pytest.fixture
def paused(scene, app):
    """A provider with a Rollout that was paused by an inconclusive analysis after four measurements."""
    scene.template()
    scene.analyse()
    said = [("Inconclusive", 33.3, "1 of 3 healthy"), ("Inconclusive", 66.6, "2 of 3 healthy: web-1 initial")]
    scene.analysis_run("Inconclusive", measurements=said * 2)
    pause = {"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-05T09:30:00Z"}
    scene.rollout["status"] |= {"phase": "Paused", "message": "InconclusiveAnalysisRun", "pauseConditions": [pause]}
    scene.pin(scene.addresses[1], "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
    scene.bind_active()
    with HttpServer(app) as server:
        yield server.url


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_a_paused_rollout_has_its_story(paused, visit, window, request):
    """The page of a pause has its cause, its command, the chart, and tables that say that they scroll."""
    page = visit(f"{paused}/rollouts/shop/web", **window)

    assert shown_on(page)[0] == "PausedInconclusive"
    assert page.locator("#situation pre").first.inner_text() == "kubectl argo rollouts promote web -n shop"
    assert page.locator("#history svg.chart polyline").count() == 1
    is_phone = window is PHONE_DARK
    assert (page.locator(".scrolls").count() > 0) is is_phone
    look_closely(page, f"paused-{request.node.callspec.id}")


def test_250_pods_are_in_the_grid(visit, world, app):
    """Each pod of a Rollout with 250 is one cell with its name and state; only the bad ones have a row unless asked."""
    big = Scene(world, name="big", replicas=250).build()
    big.pin(big.addresses[7], "unhealthy", "Target.Timeout")
    with HttpServer(app) as server:
        page = visit(f"{server.url}/rollouts/shop/big", **DESKTOP_LIGHT)
        titles = page.locator("#grid .grid i").evaluate_all("cells => cells.map(cell => cell.title)")
        few = page.locator("table.pods tbody tr").count()
        page.get_by_role("link", name="Show all 250 pods").click()
        page.wait_for_url("**all*")
        assert page.locator("table.pods tbody tr").count() == 250
    assert len(titles) == 250
    assert few == 1
    assert all(re.match(r"(big-\S+|not created yet) [a-z]+", title) for title in titles)


def test_the_table_is_filtered_by_keyboard(paused, visit):
    """`/` leads to the filter, typing leaves the rows that match, and clearing shows all again."""
    page = visit(f"{paused}/rollouts/shop/web?all", **DESKTOP_LIGHT)
    rows = page.locator("table.pods tbody tr")
    name = rows.nth(1).locator("th").inner_text()

    page.keyboard.press("/")
    page.keyboard.type(f"{name} HEALTHY")
    matching = [row.is_visible() for row in rows.all()]

    assert matching == [False, True, False]
    assert page.locator("#matches").inner_text() == "1 of 3"
    page.locator("#filter").fill("")
    assert all(row.is_visible() for row in rows.all())


def test_a_page_refreshes_itself(paused, visit, scene):
    """An open page follows what Argo does, keeps the filter, and asks for nothing but itself."""
    page = visit(f"{paused}/rollouts/shop/web", **DESKTOP_LIGHT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#filter").fill("web")
    scene.rollout["status"] |= {"abort": True, "pauseConditions": []}
    scene.put()

    page.locator("#situation strong", has_text="Aborted").wait_for(timeout=60_000)

    assert page.locator("#filter").input_value() == "web"
    assert set(asked) == {f"{paused}/rollouts/shop/web?refresh="}


def test_without_scripts(paused, visit):
    """Without JavaScript the page shows the same, and the form filters on the server."""
    page = visit(f"{paused}/rollouts/shop/web?all", java_script_enabled=False, **DESKTOP_LIGHT)

    assert shown_on(page)[0] == "PausedInconclusive"
    name = page.locator("table.pods tbody tr th").nth(2).inner_text()
    page.locator("#filter").fill(name)
    page.get_by_role("button", name="Show").click()
    assert page.locator("table.pods tbody tr th").all_inner_texts() == [name]


def test_a_thousand_pods(visit, world, app):
    """A Rollout with 1,000 pods is shown whole, and fits a phone."""
    Scene(world, name="huge", replicas=1000).build()
    with HttpServer(app) as server:
        for name, window in WINDOWS.items():
            for _ in range(10):  # on a busy machine the embedded AWS may take longer than a question waits
                page = visit(f"{server.url}/rollouts/shop/huge", **window)
                if page.locator("#grid .grid i").count() == 1000:
                    break
            assert page.locator("#grid .grid i").count() == 1000
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"huge-{name}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= window["viewport"]["width"]


def test_a_token_is_typed_once(visit, scene, sources, metrics, tmp_path):  # noqa: ARG001 - there is a Rollout
    """With tokens the browser shows a form, then the page, and keeps the token where no script can read it."""
    file = tmp_path / "tokens"
    file.write_text("Zp7LdN2sHf4QjUe9 shop\n")
    with HttpServer(create_app(sources, metrics, access=TokenAccess(file))) as server:
        page = visit(f"{server.url}/rollouts?namespace=shop&rollout=web", refused=True, **DESKTOP_LIGHT)
        page.get_by_label("Token").fill("Zp7LdN2sHf4QjUe9")
        page.keyboard.press("Enter")
        page.wait_for_selector("#answer")
        assert GREEN in page.locator("#answer").inner_text()
        assert page.evaluate("document.cookie") == ""
        assert page.context.cookies()[0]["httpOnly"] is True
        page.get_by_role("button", name="Forget the token").click()
        assert page.get_by_label("Token").is_visible()

"""The status page in a real browser, against the Rollouts of `make run`."""

import re
import time
from typing import Any

import pytest
import requests

from provider.http.access import TokenAccess
from provider.http.app import create_app
from tests.browser.conftest import SCREENSHOTS
from tests.scene import GREEN, Scene
from tests.world.server.http_server import HttpServer

pytestmark = pytest.mark.long

DESKTOP_LIGHT: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE_DARK: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
WINDOWS = {"desktop-light": DESKTOP_LIGHT, "phone-dark": PHONE_DARK}

ROLLOUTS = ("web", "big", "broken", "noisy", "cold", "handover")


def answer_of(address, rollout):
    """The phase, the reason and the sentence of the gate, asked as Argo asks."""
    query = {"namespace": "shop", "rollout": rollout, "checks": "replicas,target-health"}
    if rollout == "cold":
        query |= {"checks": "replicas,target-health,errors,warm", "minRequests": "100"}
    with requests.Session() as session:
        session.trust_env = False
        found = session.get(f"{address}/v1/gate", params=query, timeout=15).json()
    return found["phase"], found["reason"], found["message"]


def shown_on(page):
    """The same, as a person reads it."""
    phase = page.locator("#answer .badge").inner_text().split()[-1]
    reason = page.locator("#answer .headline a").inner_text()
    return phase, reason, " ".join(page.locator("#answer .sentence").inner_text().split())


def look_closely(page, name):
    """Check what every page must be: fit for the window, and without an accessibility violation; keep a picture."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - brings Playwright along

    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("rollout", ROLLOUTS)
def test_each_rollout_tells_why(visit, demo, rollout, window, request):
    """The page has the phase, the reason and the sentence that the API has; it fits, and everybody can use it."""
    page = visit(f"{demo}/rollouts/shop/{rollout}", **window)
    for _ in range(20):  # the Rollout may move between the two
        before = answer_of(demo, rollout)
        page.reload()
        shown, after = shown_on(page), answer_of(demo, rollout)
        if before == after and shown[:2] == before[:2] and shown[2].startswith(before[2].removesuffix("...")):
            break

    assert shown[:2] == before[:2]
    assert shown[2].startswith(before[2].removesuffix("..."))  # the API cuts a long sentence
    look_closely(page, f"{rollout}-{request.node.callspec.id.removeprefix(f'{rollout}-')}")


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("path", ["/", "/reasons", "/rollouts/shop/none"])
def test_the_other_pages(visit, demo, path, window, request):
    """The overview, the reasons and a page that is not shown are as usable."""
    page = visit(f"{demo}{path}", refused=path.endswith("none"), **window)

    name = path.strip("/").replace("/", "-") or "overview"
    look_closely(page, f"{name}-{request.node.callspec.id.removeprefix(f'{path}-')}")


def test_the_overview_leads_to_every_rollout(visit, demo):
    """The overview lists every Rollout of the demo with its phase, and each link leads to its page, by keyboard too."""
    page = visit(f"{demo}/", **DESKTOP_LIGHT)

    names = {text.replace("shop/", "").strip() for text in page.locator("tbody th a").all_inner_texts()}
    assert names == {*ROLLOUTS}
    assert set(page.locator("tbody .badge").all_inner_texts()) <= {"✓ Successful", "… Inconclusive", "✗ Failed"}
    link = page.locator("tbody th a", has_text="broken")
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rollouts/shop/broken")
    assert page.locator("h1").inner_text() == "shop/broken"


def test_250_pods_are_in_the_grid(visit, demo):
    """Each pod of a Rollout with 250 is one cell that says its name and state, and one row of the table."""
    page = visit(f"{demo}/rollouts/shop/big", **DESKTOP_LIGHT)

    titles = page.locator("#grid .grid i").evaluate_all("cells => cells.map(cell => cell.title)")
    assert len(titles) == page.locator("table.pods tbody tr").count() == 250
    assert all(re.match(r"(big-\S+|not created yet) [a-z]+", title) for title in titles)


def test_the_table_is_filtered_by_keyboard(visit, demo):
    """`/` leads to the filter, typing leaves the rows that match, and Escape or clearing shows all again."""
    page = visit(f"{demo}/rollouts/shop/cold", **DESKTOP_LIGHT)
    rows = page.locator("table.pods tbody tr")
    name = rows.nth(1).locator("th").inner_text()

    page.keyboard.press("/")
    page.keyboard.type(f"{name} HEALTHY")
    matching = [row.is_visible() for row in rows.all()]

    assert matching == [False, True, False]
    assert page.locator("#matches").inner_text() == "1 of 3"
    page.locator("#filter").fill("")
    assert all(row.is_visible() for row in rows.all())


def test_a_page_refreshes_itself(visit, demo):
    """An open page follows what others ask, keeps the filter, and asks for nothing but itself."""
    page = visit(f"{demo}/rollouts/shop/web", **DESKTOP_LIGHT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#filter").fill("web")
    before = page.locator("#answer").inner_text()

    until = time.monotonic() + 60
    while page.locator("#answer").inner_text() == before and time.monotonic() < until:
        page.wait_for_timeout(250)

    assert page.locator("#answer").inner_text() != before
    assert page.locator("#filter").input_value() == "web"
    assert set(asked) == {f"{demo}/rollouts/shop/web?refresh"}


def test_without_scripts(visit, demo):
    """Without JavaScript the page shows the same, and the form filters on the server."""
    page = visit(f"{demo}/rollouts/shop/cold", java_script_enabled=False, **DESKTOP_LIGHT)

    assert page.locator("#answer .badge").inner_text() == "… Inconclusive"
    name = page.locator("table.pods tbody tr th").nth(2).inner_text()
    page.locator("#filter").fill(name)
    page.get_by_role("button", name="Show").click()
    assert page.locator("table.pods tbody tr th").all_inner_texts() == [name]


def test_a_thousand_pods(visit, world, app, client):
    """A Rollout with 1,000 pods is shown whole, and fits a phone."""
    Scene(world, name="huge", replicas=1000).build()
    question = "/v1/target-health?namespace=shop&rollout=huge"
    for _ in range(10):  # on a busy machine the embedded AWS may take longer than a question waits
        if "targetGroups" in client.get(question).get_json()["observed"]:
            break
    with HttpServer(app) as server:
        for name, window in WINDOWS.items():
            page = visit(f"{server.url}/rollouts/shop/huge?refresh", **window)
            assert page.locator("#grid .grid i").count() == 1000
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"huge-{name}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= window["viewport"]["width"]


def test_a_token_is_typed_once(visit, scene, sources, metrics, tmp_path):  # noqa: ARG001 - there is a Rollout
    """With tokens the browser shows a form, then the page, and keeps the token where no script can read it."""
    file = tmp_path / "tokens"
    file.write_text("Zp7LdN2sHf4QjUe9 shop\n")
    with HttpServer(create_app(sources, metrics, TokenAccess(file))) as server:
        page = visit(f"{server.url}/rollouts?namespace=shop&rollout=web", refused=True, **DESKTOP_LIGHT)
        page.get_by_label("Token").fill("Zp7LdN2sHf4QjUe9")
        page.keyboard.press("Enter")
        page.wait_for_selector("#answer")
        assert GREEN in page.locator("#answer").inner_text()
        assert page.evaluate("document.cookie") == ""
        assert page.context.cookies()[0]["httpOnly"] is True
        page.get_by_role("button", name="Forget the token").click()
        assert page.get_by_label("Token").is_visible()

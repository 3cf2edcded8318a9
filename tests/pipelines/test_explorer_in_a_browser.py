"""The explorer in a real Chromium: sliders, clips, search, a phone; no request leaves loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.test_explorer import Site, a_user

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome")
                 if (path := shutil.which(name))), "")  # fmt: skip
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def tab(request: pytest.FixtureRequest, browser: Any, site: Site) -> Iterator[Any]:
    """A page that fails the test on any error, refused policy, or request that leaves loopback."""
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    wrong: list[str] = []
    inside = (f"http://{site[2]}/", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(inside) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert not wrong


def address(site: Site, path: str) -> str:
    return f"http://{site[2]}{path}"


def test_from_the_first_page_to_a_blend(tab: Any, site: Site) -> None:
    tab.goto(address(site, "/"))
    tab.locator(".people a").first.click()
    tab.wait_for_selector("#blend input:not([disabled])")
    before = tab.locator(".row .name").all_text_contents()
    tab.locator("input[name=popularity]").fill("0")
    tab.wait_for_selector("#list .pill:has-text('blended anew')")
    assert tab.locator("label.popularity output").text_content() == "× 0.00"
    tab.locator("#blend button").click()
    tab.wait_for_selector("#list .pill:has-text('from the model')")
    assert tab.locator(".row .name").all_text_contents() == before


@pytest.mark.parametrize("path", ["/", "/user?id=USER", "/item?id=i00003", "/compare?user=USER",
                                  "/night", "/search?q=mug", "/report"])  # fmt: skip
def test_no_page_is_wider_than_the_screen(tab: Any, site: Site, path: str) -> None:
    tab.goto(address(site, path.replace("USER", a_user(site))))
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    pictures = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert tab.evaluate(pictures) == []


def test_the_keyboard_finds_the_field(tab: Any, site: Site) -> None:
    tab.goto(address(site, "/"))
    tab.keyboard.press("/")
    tab.keyboard.type("i00007")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/find?q=i00007")
    assert "<script>alert(1)" in tab.locator(".tile .name").first.text_content()


def test_a_photo_is_searched_with(tab: Any, site: Site) -> None:
    photo = next(Path(site[0].settings.data.folder, "media/photos").glob("*.jpg"))
    tab.goto(address(site, "/search"))
    tab.set_input_files("#photo", photo)
    tab.locator("#search button").click()
    tab.wait_for_selector("#found .tile")
    assert tab.locator("#found .tile").count() > 10

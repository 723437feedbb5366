"""The whole site, made once, and a browser to look at it."""

import shutil

import pytest

from oneblock.learn.course.site import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Its folder."""
    folder = tmp_path_factory.mktemp("course") / "site"
    build(folder)
    return folder


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """A page that fails the test where it says an error or asks for anything that is not a file."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    made, wrong = context.new_page(), []
    made.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    # What is under way when one leaves a page is aborted, and no fault.
    made.on("requestfailed", lambda asked: "ABORTED" in str(asked.failure) or wrong.append(f"failed: {asked.url}"))
    yield made
    context.close()
    assert wrong == []


@pytest.fixture
def opened(page, site):
    """Opens a page of the site by its path."""
    return lambda path: page.goto(f"{site.as_uri()}/{path}")

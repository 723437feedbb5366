"""The site in headless Chromium: no errors, nothing fetched, fits a phone and a desk, readable by day and by night."""

import re

from oneblock.learn.course.lesson import NAMES

SHOWN = ["index.html", "cards.html", "failures.html", "experiments.html", "sources.html", "tiers/architecture.html"]
CONTRAST = """() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true }), known = new Map();
  const read = (text) => {
    if (!known.has(text)) {
      pen.clearRect(0, 0, 1, 1); pen.fillStyle = text; pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    if (!element) return read(getComputedStyle(document.documentElement).backgroundColor)[3] ? [255, 255, 255, 1] : [255, 255, 255, 1];
    const own = read(getComputedStyle(element).backgroundColor);
    return own[3] > 0.995 ? own : over(own, ground(element.parentElement));
  };
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const low = [];
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    if (element.closest("svg, script, noscript, template, dialog:not([open]), .quiet, .skip") || !element.checkVisibility()) continue;
    if (element.matches(":disabled")) continue;
    const below = ground(element), style = getComputedStyle(element), ink = over(read(style.color), below);
    const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 40)}`);
  }
  return low;
}"""


def test_no_page_is_wider_than_the_window(page, site, opened):
    # Of the references, which are made alike, some.
    left_out = {f"reference/{name}.html" for name in NAMES if NAMES.index(name) % 5}
    for path in sorted({str(one.relative_to(site)) for one in site.rglob("*.html")} - left_out):
        page.set_viewport_size({"width": 390, "height": 844})
        opened(path)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (path, width, wide)


def test_text_stands_out_from_its_ground_by_day_and_by_night(page, opened):
    playing = [f"lessons/{name}.html" for name in ("mask", "attention", "cache", "failure", "recap") if name in NAMES]
    grounds = set()
    for path in [*SHOWN, *playing]:
        opened(path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CONTRAST) == [], (path, scheme)
            grounds.add((scheme, page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert len(grounds) == 2
    # The check can fail.
    page.add_style_tag(content="main p { color: #999 !important; background: #aaa }")
    assert page.evaluate(CONTRAST) != []


def test_the_theme_is_switched_by_key_and_kept(page, site, opened):
    opened("index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    day = page.evaluate(ground)
    button = page.locator("#theme")
    button.focus()
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Enter")
    night = page.evaluate(ground)
    assert night != day and button.get_attribute("aria-pressed") == "true"
    opened(f"lessons/{NAMES[0]}.html")
    assert page.evaluate(ground) == night and page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.locator("#theme").focus()
    page.keyboard.press("Space")
    assert page.evaluate(ground) == day
    # A choice holds against the system's.
    page.emulate_media(color_scheme="dark")
    page.reload()
    assert page.evaluate(ground) == day


def test_the_first_key_offers_to_skip_and_focus_is_seen(page, site, opened):
    opened(f"lessons/{NAMES[0]}.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_search_by_keys(page, site, opened):
    opened(f"lessons/{NAMES[0]}.html")
    page.keyboard.press("/")
    page.keyboard.type("shape letters")
    assert "found" in page.locator("#find [role=status]").inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/glossary.html")
    page.locator("#search").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("qqqq")
    assert "Nothing" in page.locator("#find [role=status]").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#find").is_visible()


def test_the_menu_and_the_list_of_sections_on_a_phone(page, site, opened):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(f"lessons/{NAMES[0]}.html")
    nav = page.locator(".menu nav")
    assert not nav.is_visible()
    page.locator(".menu summary").focus()
    page.keyboard.press("Enter")
    assert nav.is_visible()
    box = page.locator(".menu nav").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.keyboard.press("Escape")
    assert not nav.is_visible()
    page.locator(".rail summary").focus()
    page.keyboard.press("Enter")
    assert page.locator(".rail a").first.is_visible()


def test_a_link_into_a_closed_answer_opens_it(page, site, opened):
    opened("recall.html")
    details = page.locator("details.answer").first
    assert not details.evaluate("one => one.open")
    details.evaluate("one => { one.querySelector('div').id = 'inside'; location.hash = '#inside'; }")
    page.wait_for_function("document.querySelector('details.answer').open")


def test_on_paper_there_are_no_controls(page, site, opened):
    opened(f"reference/{NAMES[0]}.html")
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible() and not page.locator(".rail").is_visible()
    assert page.locator("h1").is_visible() and not page.locator(".pager").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.reference a')).textDecorationLine") == "none"


def test_a_reference_prints_on_one_page(page, site, opened):
    sizes = {path.stem: path.stat().st_size for path in (site / "reference").glob("*.html")}
    for name in sorted(sizes, key=sizes.__getitem__)[-4:]:
        opened(f"reference/{name}.html")
        printed = page.pdf(prefer_css_page_size=True)
        assert re.findall(rb"/Type /Pages\b.*?/Count (\d+)", printed, re.DOTALL) == [b"1"], name


def test_without_scripts_all_text_is_there(browser, site):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{site.as_uri()}/lessons/{NAMES[0]}.html")
    assert not page.locator("#theme").is_visible() and not page.locator("form[data-question]").first.is_visible()
    assert page.locator(".menu nav a").first.is_visible() and page.locator(".rail a").first.is_visible()
    page.locator("details.answer summary").first.click()
    assert page.locator("details.answer div").first.is_visible()
    context.close()

"""The page in a real browser, as people use it: pointer, keyboard, dark, phone. Skipped where there is none."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from simtool.page.render import render
from tests.page.conftest import MADE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Chromium and its driver", allow_module_level=True)
pytest.importorskip("selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def path(found, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(found, MADE), encoding="utf-8")
    return file


@pytest.fixture
def page(browser, path):
    size(browser, 1280, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []  # no error, no warning, nothing that the policy had to block


def size(browser, width: int, height: int) -> None:
    told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", told)


def cell(page, row: int, column: int):
    return page.find_element(By.CSS_SELECTOR, f"td[data-row='{row}'][data-column='{column}']")


def cells(page) -> list[str]:
    return [one.text for one in page.find_elements(By.CSS_SELECTOR, "td[data-row]")]


def rows(page) -> list[str]:
    return [one.text for one in page.find_elements(By.CSS_SELECTOR, "#matrix-view .matrix tbody th")]


def visible(page, selector: str):
    return WebDriverWait(page, 30).until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector).is_displayed())


def test_it_loads_and_shows_every_pair(page, found):
    assert len(cells(page)) == len(found.corpora) ** 2
    assert cells(page)[1].removeprefix("≈") == f"{found.matrices[0].values[0, 1]:.2f}"
    assert page.title.endswith("a simtool report")
    with pytest.raises(Exception, match="no such alert"):
        _ = page.switch_to.alert


def test_pointing_shows_value_interval_ceiling_and_sizes(page, found):
    target = cell(page, 0, 1)
    to_middle(page, target)
    ActionChains(page).move_to_element(target).perform()
    visible(page, "#tip")
    told = page.find_element(By.ID, "tip").text
    assert told.startswith("c4 and starcoder *\n")
    assert "95% 0." in told
    assert "noise ceilings 0." in told
    assert "starcoder *: 413,789 tokens" in told


def to_middle(page, element):
    """Scroll, and wait until the page has been told: a tip closes when the page moves under it."""
    page.execute_async_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});"
        "requestAnimationFrame(() => requestAnimationFrame(arguments[1]))",
        element,
    )


def click(page, element):
    """As a person does: what is clicked is in the middle of the window, and nothing lies over it."""
    to_middle(page, element)
    element.click()


def test_a_click_opens_what_makes_the_pair_differ(page):
    click(page, cell(page, 0, 2))
    visible(page, "#pair")
    panel = page.find_element(By.ID, "pair")
    assert panel.find_element(By.TAG_NAME, "h3").text == "c4 and gsm8k"
    on_tokens = [one.text for one in panel.find_elements(By.TAG_NAME, "code")]
    assert len(on_tokens) == 16
    assert [label.text for label in panel.find_elements(By.CSS_SELECTOR, "#feature label")] == [
        "tokens", "token pairs", "syntax triples",
    ]  # fmt: skip
    click(page, panel.find_elements(By.CSS_SELECTOR, "#feature label")[2])
    assert [one.text for one in panel.find_elements(By.TAG_NAME, "code")] != on_tokens


def test_the_mirrored_cell_swaps_the_sides(page):
    def table():
        return [
            [td.text for td in row.find_elements(By.TAG_NAME, "td")]
            for row in page.find_elements(By.CSS_SELECTOR, "#pair .sides > div:first-child tbody tr")
        ]

    click(page, cell(page, 0, 2))
    of_c4 = table()
    click(page, cell(page, 2, 0))
    second = page.find_elements(By.CSS_SELECTOR, "#pair .sides > div")[1]
    mirrored = [
        [td.text for td in row.find_elements(By.TAG_NAME, "td")]
        for row in second.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    assert [[gram, part, b, a] for gram, part, a, b in mirrored] == of_c4


def test_another_metric_changes_the_cells(page, found):
    before = cells(page)
    click(page, page.find_elements(By.CSS_SELECTOR, "#metric label")[1])
    assert cells(page) != before
    assert cells(page)[1].removeprefix("≈") == f"{found.matrices[1].values[0, 1]:.2f}"


def test_sorting_by_name_and_likeness(page, found):
    given = rows(page)
    sort = Select(page.find_element(By.ID, "sort"))
    sort.select_by_value("name")
    assert rows(page) == sorted(given)
    sort.select_by_value("likeness")
    assert sorted(rows(page)) == sorted(given)
    sort.select_by_value("given")
    assert rows(page) == given


def test_the_keyboard_alone_is_enough(page):
    page.execute_script("document.getElementById('sort').focus()")
    page.switch_to.active_element.send_keys(Keys.TAB)
    while page.switch_to.active_element.get_attribute("data-row") is None:
        page.switch_to.active_element.send_keys(Keys.TAB)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    now = page.switch_to.active_element
    assert (now.get_attribute("data-row"), now.get_attribute("data-column")) == ("1", "2")
    assert len(page.find_elements(By.CSS_SELECTOR, "td[data-row][tabindex='0']")) == 1
    # the move may have scrolled, and that is told late
    page.execute_async_script("dispatchEvent(new Event('scroll')); requestAnimationFrame(arguments[0])")
    assert page.find_element(By.ID, "tip").is_displayed()
    assert now.value_of_css_property("outline-style") == "solid"
    now.send_keys(Keys.ENTER)
    visible(page, "#pair")
    page.switch_to.active_element.send_keys(Keys.ESCAPE, Keys.ESCAPE)
    assert not page.find_element(By.ID, "pair").is_displayed()
    page.switch_to.active_element.send_keys(Keys.END)
    assert page.switch_to.active_element.get_attribute("data-column") == "4"


def test_the_scripts_name_is_shown_as_text(page):
    click(page, cell(page, 0, 4))
    assert page.find_element(By.CSS_SELECTOR, "#pair h3").text == "c4 and <img src=x onerror=alert(3)>.jsonl"
    assert not page.find_elements(By.TAG_NAME, "img")


def test_dark_follows_the_system_and_the_switch(page):
    def paper() -> str:
        return page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")

    light = paper()
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = paper()
    assert dark != light
    click(page, page.find_element(By.ID, "theme"))
    assert paper() == light


@pytest.mark.parametrize("width", [320, 390, 820])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_scrolls_sideways(page, width, scheme):
    size(page, width, 844)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    click(page, cell(page, 0, 1))
    for details in page.find_elements(By.TAG_NAME, "summary"):
        page.execute_script("arguments[0].parentElement.open = true", details)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return document.querySelector('.matrix').scrollWidth") > 0


def test_charts_hold_their_labels(page):
    """No text of a chart reaches beyond its drawing, and no two names of lines lie upon each other."""
    beyond = page.execute_script(
        "return [...document.querySelectorAll('svg')].flatMap(svg => { const box = svg.getBoundingClientRect();"
        " return [...svg.querySelectorAll('text')].filter(text => { const own = text.getBoundingClientRect();"
        " return own.left < box.left - 2 || own.right > box.right + 2; })"
        ".map(text => svg.getAttribute('aria-label').slice(0, 40) + ': ' + text.textContent); })"
    )
    assert beyond == []


@pytest.fixture
def downloads(page, tmp_path) -> Path:
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    return tmp_path


def download(page, folder: Path, button) -> Path:
    """The file that a click on this button leaves in the folder."""
    before = set(folder.iterdir())
    click(page, button)

    def new_file(_):
        return [path for path in set(folder.iterdir()) - before if path.suffix != ".crdownload"]

    return WebDriverWait(page, 30).until(new_file)[0]


def named(page, label: str):
    return page.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']")


def test_a_chart_is_downloaded_as_png_svg_and_csv(page, downloads):
    from matplotlib.image import imread

    png, svg, csv = (
        download(page, downloads, named(page, f"Download recommended-shares as {kind}"))
        for kind in ("png", "svg", "csv")
    )
    picture = imread(png)
    assert picture.shape[1] == 4 * 340
    assert len({tuple(pixel) for pixel in picture[::7, ::7].reshape(-1, picture.shape[2]).tolist()}) > 3
    drawing = ElementTree.parse(svg).getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert "starcoder" in [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    header, *lines = csv.read_text(encoding="utf-8").splitlines()
    assert header == "corpus,% of tokens,low,high"
    assert {line.split(",")[0] for line in lines} == {"c4", "starcoder"}


def test_every_chart_and_table_has_its_download(page):
    charts = len(page.find_elements(By.CSS_SELECTOR, "figure svg"))  # the grid of timings is a table that is shaded
    assert len(page.find_elements(By.CSS_SELECTOR, "button[aria-label$='as png']")) == charts
    tables = len(page.find_elements(By.CSS_SELECTOR, "main .scroll > table:not(.matrix table):not(#pair table)"))
    of_matrix_and_pair = 2
    assert len(page.find_elements(By.CSS_SELECTOR, "button[aria-label$='as csv']")) == tables + of_matrix_and_pair


def test_the_matrix_is_downloaded_in_every_view(page, downloads, found):
    rows = pl.read_csv(download(page, downloads, named(page, "Download similarity as csv")))
    assert len(rows) == len(found.matrices) * len(found.corpora) ** 2
    of_c4 = rows.filter(pl.col("metric") == "js", source="c4", target="gsm8k").row(0, named=True)
    i, j = found.corpora.index("c4"), found.corpora.index("gsm8k")
    assert of_c4["value"] == pytest.approx(found.matrices[1].values[i, j], rel=1e-3)
    assert of_c4["low"] < of_c4["value"] < of_c4["high"]


@pytest.mark.parametrize("cell_of_pair", [(0, 2), (2, 0)])
def test_a_pair_is_downloaded_with_its_n_grams(page, downloads, cell_of_pair):
    click(page, cell(page, *cell_of_pair))
    rows = pl.read_csv(download(page, downloads, page.find_element(By.CSS_SELECTOR, "#pair button[aria-label]")))
    assert rows["feature"].unique().sort().to_list() == ["skeleton3", "token", "token2"]
    assert (rows.filter(more_in="c4")["per_million_c4"] > rows.filter(more_in="c4")["per_million_gsm8k"]).all()
    assert (rows.filter(more_in="gsm8k")["per_million_c4"] < rows.filter(more_in="gsm8k")["per_million_gsm8k"]).all()


def clipboard(page) -> str:
    return page.execute_async_script("navigator.clipboard.readText().then(arguments[0])")


@pytest.fixture
def may_copy(page):
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.execute_cdp_cmd("Browser.grantPermissions", permissions)
    yield
    page.execute_cdp_cmd("Browser.resetPermissions", {})


def test_a_command_is_copied(page, may_copy):
    click(page, copy := page.find_element(By.CSS_SELECTOR, "pre.command + button"))
    WebDriverWait(page, 30).until(lambda driver: copy.text == "Copied")
    assert clipboard(page).startswith("simtool train --pretrain c4 --mid ")


def test_a_link_opens_its_pair(page, path, may_copy):
    click(page, cell(page, 1, 2))
    copy = page.find_element(By.CSS_SELECTOR, "#pair .downloads button")
    click(page, copy)
    WebDriverWait(page, 30).until(lambda driver: copy.text == "Copied")
    link = clipboard(page)
    assert link == f"{path.as_uri()}#pair=1,2"
    page.get("about:blank")
    page.get(link)
    assert page.find_element(By.CSS_SELECTOR, "#pair h3").text == "starcoder * and gsm8k"
    page.execute_script("location.hash = 'pair=2,0'")
    title = "gsm8k and c4"
    WebDriverWait(page, 30).until(lambda driver: driver.find_element(By.CSS_SELECTOR, "#pair h3").text == title)


def test_no_column_label_is_hidden_by_the_open_cell(page):
    """The label of a column ends above its first cell, with the outline of the open one, and is centred on it."""
    apart, shift = page.execute_script(
        "const label = document.querySelector('.matrix thead th span').getBoundingClientRect();"
        "const cell = document.querySelector('td[data-row]').getBoundingClientRect();"
        "return [cell.top - label.bottom, (label.left + label.right) / 2 - (cell.left + cell.right) / 2]"
    )
    assert apart >= 4
    assert abs(shift) < 3


def test_print_begins_no_page_within_a_heading_and_its_text(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    after = page.execute_script(
        "return [...document.querySelectorAll('h2, h3, h2 + p, figcaption')].map(e => getComputedStyle(e).breakAfter)"
    )
    inside = page.execute_script(
        "return [...document.querySelectorAll('section > p, #matrix-view, figure')]"
        ".map(e => getComputedStyle(e).breakInside)"
    )
    buttons = page.find_elements(By.CSS_SELECTOR, "button:not(td button)")  # an n-gram that opens is text on paper
    shown = [button.text for button in buttons if button.is_displayed()]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert set(after) == {"avoid"}
    assert set(inside) == {"avoid"}
    assert shown == []


def test_an_n_gram_opens_the_documents_behind_it(page):
    """The text of the files is evil, and stays text."""
    click(page, cell(page, 0, 3))
    assert page.find_elements(By.CSS_SELECTOR, "#pair .sides > div:nth-child(2) td button")
    assert not page.find_elements(
        By.CSS_SELECTOR, "#pair .sides > div:nth-child(1) td button"
    )  # c4's text is elsewhere
    click(page, cell(page, 3, 4))
    openers = page.find_elements(By.CSS_SELECTOR, "#pair td button")
    assert not any(quote.is_displayed() for quote in page.find_elements(By.TAG_NAME, "blockquote"))
    for opener in openers:
        click(page, opener)
        assert opener.get_attribute("aria-expanded") == "true"
    quotes = page.find_elements(By.TAG_NAME, "blockquote")
    assert len(openers) < len(quotes) <= 2 * len(openers) and all(quote.is_displayed() for quote in quotes)
    assert any("</script><img src=x onerror=alert(2)>" in quote.text for quote in quotes)
    assert not page.find_elements(By.TAG_NAME, "img")
    click(page, openers[0])
    assert not quotes[0].is_displayed()

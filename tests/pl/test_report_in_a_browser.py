"""The page in a real browser: Chromium, driven through ChromeDriver, with no network."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crested_like import pl
from crested_like.genome import Gene

webdriver = pytest.importorskip("selenium.webdriver")
ActionChains, Keys = webdriver.ActionChains, webdriver.Keys
ALL = Keys.CONTROL + "a" + Keys.NULL
pytestmark = pytest.mark.slow

START, BIN, BINS, TRACKS, VARIANTS = 100_000, 32, 2_000, 20, 3_000
PEAK = 700  # the bin where the first track is highest
HOSTILE = "<img src=x onerror=\"document.title='taken'\"></script><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGT"))
    table = pd.DataFrame(
        {
            "chrom": "chr1",
            "position": START + 1 + np.sort(rng.choice(BIN * BINS, VARIANTS, replace=False)),
            "ref": letters[rng.integers(0, 4, VARIANTS)],
            "alt": "N",
            "name": [f"rs{i}" for i in range(VARIANTS)],
            "status": np.where(np.arange(VARIANTS) % 50, "ok", "ref_mismatch"),
            "SAD:a": rng.normal(size=VARIANTS).astype(np.float32),
            "SAD:b": rng.gamma(1, size=VARIANTS).astype(np.float32),
        }
    )
    table.loc[7, "name"] = HOSTILE
    table.loc[3, "SAD:a"] = np.nan
    return table


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    rng = np.random.default_rng(1)
    values = rng.random((2, BINS, TRACKS)).astype(np.float32)
    values[0, PEAK, 0] = 50
    coords = {
        "region": ["first", HOSTILE],
        "chrom": ("region", ["chr1", "chr2"]),
        "start": ("region", [START, 5_000]),
        "track": [f"t{i}" for i in range(TRACKS)],
        "description": ("track", [f"{('CAGE', 'DNASE')[i % 2]}:sample {i}" for i in range(TRACKS)]),
    }
    tracks = xr.DataArray(values, dims=("region", "bin", "track"), coords=coords, attrs={"bin_size": BIN})
    bases = np.zeros((1, 1_000, 4), np.float32)
    bases[0, np.arange(1_000), rng.integers(0, 4, 1_000)] = rng.normal(scale=0.1, size=1_000)
    bases[0, 500:510, 0] = 2
    where = {"sequence": ["promoter"], "chrom": ("sequence", ["chr1"]), "start": ("sequence", [START])}
    logo = xr.DataArray(bases, dims=("sequence", "position", "base"), coords={**where, "base": list("ACGT")})
    reference = tracks[:1].isel(track=[0, 1])
    strongest = int(table["SAD:a"].abs().idxmax())
    return pl.report(
        tmp_path_factory.mktemp("page") / "run.html",
        title=HOSTILE,
        tracks=tracks,
        variants=table,
        overlays={strongest: (reference, reference * 1.5)},
        logos={"gradient": logo, "ISM": logo},
        genes=[Gene("GENE", "E", "chr1", "+", ((START + 500, START + 900), (START + 9_000, START + 9_900)))],
        motifs=[("chr1", START + 500, START + 510, "AAAA", "+")],
        facts={"Model": {"name": HOSTILE}},
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("Chromium and ChromeDriver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-sync",
        "no-first-run",
        "window-size=1300,900",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    found.set_script_timeout(60)
    yield found
    found.quit()


class Page:
    """The opened page and what is asked of it."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get_log("performance")
        browser.get(path.as_uri())
        self.wait("return !!window.report")

    def ask(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, script):
        deadline = time.monotonic() + 60
        while not self.ask(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)

    def drawn(self):
        """Wait until what changed is drawn."""
        self.browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    def view(self, which="tracks"):
        return self.ask(f"const v = window.report.{which}.viewer; return [v.low, v.high]")

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def cells(self, column):
        return self.ask(
            "const rows = [...document.querySelectorAll('#variants tbody tr')];"
            "return rows.map(row => row.children[arguments[0]].textContent)",
            column,
        )

    def status(self):
        return self.find("#variants .pages output").text


@pytest.fixture
def opened(browser, page):
    opened = Page(browser, page)
    yield opened
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []


def test_it_asks_for_nothing_and_complains_of_nothing(opened):
    opened.ask("scrollTo(0, document.body.scrollHeight)")
    opened.drawn()
    events = [json.loads(entry["message"])["message"] for entry in opened.browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [url for url in asked if not url.startswith("chrome:")]  # the browser's own first page
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked
    assert sum(url.startswith("file:") for url in asked) == 1
    assert opened.find("#problem").get_attribute("hidden")
    assert opened.browser.title == HOSTILE, "text stays text"
    assert not opened.ask("return document.querySelectorAll('main img').length")


def test_tracks_are_drawn_where_their_bins_lie(opened):
    opened.drawn()
    column, width = opened.ask(
        """const c = document.querySelector('#tracks canvas.lane'), w = c.width, h = c.height;
        const pixels = c.getContext('2d').getImageData(0, 0, w, h).data;
        let best = -1, most = -1;
        for (let x = 0; x < w; x++) {
          let filled = 0;
          for (let y = 0; y < h; y++) if (pixels[4 * (y * w + x) + 3] > 128) filled++;
          if (filled > most) { most = filled; best = x; }
        }
        return [best, w];"""
    )
    assert column / width == pytest.approx((PEAK + 0.5) / BINS, abs=1.5 / width)


def test_tracks_zoom_and_move(opened):
    assert opened.view() == [START, START + BIN * BINS]
    viewer = opened.find("#tracks .viewer")
    viewer.send_keys("+")
    low, high = opened.view()
    assert high - low == BIN * BINS / 2
    viewer.send_keys(Keys.ARROW_RIGHT)
    assert opened.view()[0] > low
    place = opened.find("#tracks .bar input[type=text]")
    place.send_keys(ALL, f"chr1:{START + 1_001:,}-{START + 3_000:,}\n")
    assert opened.view() == [START + 1_000, START + 3_000]
    lane = opened.find("#tracks canvas.lane")
    ActionChains(opened.browser).click_and_hold(lane).move_by_offset(-200, 0).release().perform()
    low, high = opened.view()
    assert high - low == 2_000
    assert low == pytest.approx(START + 1_000 + 200 / lane.size["width"] * 2_000, abs=5)
    ruler = opened.find("#tracks canvas.ruler")
    ActionChains(opened.browser).move_to_element_with_offset(ruler, -100, 0).click_and_hold().move_by_offset(
        200, 0
    ).release().perform()
    a, b = opened.view()
    assert b - a == pytest.approx(200 / ruler.size["width"] * 2_000, abs=10)
    viewer.send_keys("0")
    assert opened.view() == [START, START + BIN * BINS]
    place.send_keys(ALL, "chr7:1-2\n")
    assert "only chr1 is here" in opened.find("#tracks output.where").text


def test_a_wheel_zooms_around_the_pointer(opened):
    lane = opened.find("#tracks canvas.lane")
    box = lane.rect
    opened.browser.execute_cdp_cmd(
        "Input.dispatchMouseEvent",
        {"type": "mouseWheel", "x": box["x"] + box["width"] / 4, "y": box["y"] + 10, "deltaX": 0, "deltaY": -60}
        | {"modifiers": 2},
    )
    opened.wait(f"return window.report.tracks.viewer.high - window.report.tracks.viewer.low < {BIN * BINS}")
    low, high = opened.view()
    held = START + BIN * BINS / 4
    assert low + (high - low) / 4 == pytest.approx(held, abs=40)


def test_tracks_and_regions_are_chosen(opened):
    count = "return document.querySelectorAll('#tracks canvas.lane').length"
    before = opened.ask(count)
    opened.find("#tracks summary").click()
    search = opened.find("#tracks .chooser input[type=search]")
    search.send_keys("sample 3")
    assert opened.ask("return [...document.querySelectorAll('.choices label')].filter(l => !l.hidden).length") == 1
    search.clear()
    search.send_keys("DNASE")
    buttons = opened.browser.find_elements("css selector", "#tracks .chooser button")
    buttons[1].click()
    assert opened.ask(count) == before - 8, "8 of the 16 shown are DNASE"
    assert "8 of 20 tracks are shown" in opened.find("#tracks summary").text
    opened.ask("const s = document.querySelector('#tracks select'); s.value = 1; s.dispatchEvent(new Event('change'))")
    assert opened.view() == [5_000, 5_000 + BIN * BINS]


def test_variants_are_sorted(opened, table):
    ranked = table["SAD:a"].abs().sort_values(ascending=False)
    want = [table["name"][i] for i in ranked.index[:15]]
    assert opened.cells(4) == want, "by the size of the first score"
    heads = opened.browser.find_elements("css selector", "#variants th button")
    heads[6].click()
    smallest = table["SAD:a"].abs().sort_values().index[:15]
    assert opened.cells(4) == [table["name"][i] for i in smallest]
    heads[4].click()
    assert opened.cells(4)[:3] == [HOSTILE, "rs0", "rs1"]
    assert opened.find("#variants th[aria-sort]").get_attribute("aria-sort") == "ascending"
    heads[1].click()
    assert opened.cells(1) == [f"{p:,}" for p in table["position"][:15]]
    assert opened.status() == "1 to 15 of 3,000"
    opened.browser.find_elements("css selector", "#variants .pages button")[1].click()
    assert opened.cells(1) == [f"{p:,}" for p in table["position"][15:30]]


def test_variants_are_filtered(opened, table):
    find = opened.find("#variants input[type=search]")
    find.send_keys("ref_mismatch")
    assert opened.status() == "1 to 15 of 60 (of 3,000)"
    assert set(opened.cells(5)) == {"ref_mismatch"}
    find.clear()
    find.send_keys("rs1234")
    assert opened.cells(4) == ["rs1234"]
    find.clear()
    find.send_keys(" ")
    opened.find("#variants input[type=number]").send_keys("2.5")
    kept = int((table["SAD:a"].abs() >= 2.5).sum())
    assert opened.status() == f"1 to {min(kept, 15)} of {kept} (of 3,000)"
    find.send_keys("no such variant")
    assert opened.status() == "No variant fits (of 3,000)"


def test_what_is_found_is_downloaded(opened, table, tmp_path):
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    opened.browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    opened.find("#variants input[type=search]").send_keys("ref_mismatch")
    opened.find("#download").click()
    deadline = time.monotonic() + 30
    while not (tmp_path / "variants.tsv").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    got = pd.read_csv(tmp_path / "variants.tsv", sep="\t")
    want = table[table["status"] == "ref_mismatch"]
    assert list(got.columns) == list(table.columns)
    assert sorted(got["position"]) == want["position"].tolist()
    got = got.set_index("position").loc[want["position"]]
    np.testing.assert_allclose(got["SAD:a"], want["SAD:a"], rtol=1e-6)


def test_a_variant_opens_with_both_alleles(opened, table):
    opened.find("#variants tbody button").click()
    strongest = table.loc[table["SAD:a"].abs().idxmax()]
    detail = opened.find(".detail")
    assert f"chr1:{strongest['position']:,} {strongest['ref']} > N" in detail.text
    assert len(detail.find_elements("css selector", "canvas.lane")) == 2 * 2 + 3, "the variant, motifs and genes too"
    low, high = opened.view("variants")
    assert low <= strongest["position"] < high
    next(b for b in detail.find_elements("css selector", "button") if b.text == "Show in the tracks").click()
    low, high = opened.view("tracks")
    assert low <= strongest["position"] < high
    assert high - low < BIN * BINS / 4


def test_letters_show_the_strongest_part_and_zoom(opened):
    low, high = opened.view("logos")
    assert high - low == 200
    assert low <= START + 500 < START + 510 <= high
    viewer = opened.find("#logos .viewer")
    viewer.send_keys("+")
    assert np.diff(opened.view("logos")) == [100]
    viewer.send_keys("0")
    assert opened.view("logos") == [START, START + 1_000]
    labels = [label.text for label in opened.browser.find_elements("css selector", "#logos .label b")]
    assert labels == ["gradient", "importance", "ISM", "motifs", "genes"]


def test_colours_follow_the_choice(opened):
    paper = "return getComputedStyle(document.body).backgroundColor"
    button = opened.find("#theme")
    button.click()
    light = opened.ask(paper)
    button.click()
    assert button.text.endswith("dark")
    dark = opened.ask(paper)
    assert sum(map(int, dark[4:-1].split(","))) < 150 < 600 < sum(map(int, light[4:-1].split(",")))
    ink = "const c = getComputedStyle(document.documentElement); return c.getPropertyValue('--ink')"
    assert opened.ask(ink) == "#e6e9ed"


@pytest.mark.parametrize("width", [360, 768, 1_600])
def test_nothing_runs_off_the_side(opened, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
    opened.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened.drawn()
        assert opened.ask("return document.documentElement.scrollWidth") <= width
    finally:
        opened.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_has_a_name_and_takes_keys(opened):
    nameless = opened.ask(
        """const told = (e) => e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent;
        const all = [...document.querySelectorAll('button, input, select, canvas')];
        return all.filter((e) => !told(e)).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    assert opened.ask("return document.documentElement.lang") == "en"
    assert opened.ask("return document.querySelectorAll('.viewer[tabindex=\"0\"]').length") == 2

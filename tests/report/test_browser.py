"""The page in a real browser, where Chromium is installed."""

import html
import json
import re
import shutil
import subprocess

import pytest

from lpjax import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip
SCRIPT = """
const page = document.querySelector("iframe").contentDocument;
const all = selector => [...page.querySelectorAll(selector)];
const shown = selector => all(selector).filter(element => element.getClientRects().length).length;
const box = value => page.querySelector(`input[value="${value}"]`);
const column = (table, place) => [...table.tBodies[0].rows].map(row => row.cells[place].textContent.trim());
const found = {};
found.overflows = page.documentElement.scrollWidth > page.documentElement.clientWidth;
found.figures = shown("figure svg");
const edge = page.documentElement.clientWidth;
found.cut = all("figure svg").filter(svg => svg.getBoundingClientRect().right > edge).length;
found.type = Math.min(...all("svg text").filter(text => text.getClientRects().length && text.textContent.trim())
  .map(text => text.getBoundingClientRect()).filter(at => at.width > at.height).map(at => at.height));
found.pools = shown("[data-curve='pool (interpolation)']:not([data-seed])");
box("pool (interpolation)").click();
found.pools_off = shown("[data-curve='pool (interpolation)']");
found.tickets_left = shown("[data-curve='ticket']");
box("pool (interpolation)").click();
found.pools_on = shown("[data-curve='pool (interpolation)']:not([data-seed])");
found.seeds = shown("[data-seed]");
box("1").click();
found.seed_1 = shown("[data-seed='1']");
found.seed_0 = shown("[data-seed='0']");
const marker = all("[data-curve='ticket'] use:has(title)").filter(use => use.getClientRects().length)[1];
marker.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
found.value = page.querySelector("#value").textContent;
page.body.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
found.value_gone = page.querySelector("#value").hidden;
const table = all("table").find(table => table.tHead?.textContent.includes("over ticket"));
const heads = [...table.tHead.rows[0].cells];
heads[1].click();
found.descending = column(table, 1);
heads[1].click();
found.ascending = column(table, 1);
"""


def opened(path, width):
    """Opens the page in a frame of so many pixels, clicks in it, and returns what was found."""
    frame = (
        f'<iframe style="border: 0; width: {width}px; height: 800px" srcdoc="{html.escape(path.read_text())}"></iframe>'
    )
    outer = path.with_name(f"frame_{width}.html")
    outer.write_text(
        f"<meta charset='utf-8'><body>{frame}<pre></pre><script>onload = () => {{ {SCRIPT}"
        'document.querySelector("pre").textContent = JSON.stringify(found); }</script>'
    )
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={path.parent / 'profile'}", "--window-size=1300,900", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r"<pre>(.+?)</pre>", done.stdout.rpartition("</iframe>")[2])[1]))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; CI installs it"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory, build):
    return report.write(build(tmp_path_factory.mktemp("run")), "command")


@pytest.fixture(scope="module", params=[1200, 390], ids=["desktop", "phone"])
def found(path, request):
    return opened(path, request.param)


def test_nothing_is_wider_than_the_page(found):
    assert not found["overflows"]
    assert found["figures"] == 5
    assert found["cut"] == 0


def test_the_type_of_figures_is_readable(found):
    assert found["type"] >= 9  # pixels from the highest to the lowest


def test_a_method_can_be_switched_off_and_on(found):
    assert found["pools"] == found["pools_on"] > 0
    assert found["pools_off"] == 0
    assert found["tickets_left"] > 0


def test_seeds_are_hidden_until_they_are_switched_on(found):
    assert found["seeds"] == found["seed_0"] == 0
    assert found["seed_1"] > 0


def test_a_marker_shows_its_value(found):
    assert found["value"] == "ticket, density 0.8: 61"
    assert found["value_gone"]


def test_a_table_is_sorted_by_a_click(found):
    assert found["descending"][0] == "64.00 ± 2.83"
    assert found["ascending"] == found["descending"][::-1] == sorted(found["ascending"])

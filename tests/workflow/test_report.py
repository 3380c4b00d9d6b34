"""The report of a whole run, opened in a real browser."""

import json
import re
from html import unescape
from typing import get_args

import pytest
from tests.forgetting.test_browser import BROWSER, opened

from cxrflow.durations import rule_durations
from cxrflow.report.opening import SLOWEST
from cxrflow.settings import System

pytestmark = pytest.mark.workflow

# Notes what goes wrong from the first line on; then looks at every result as a click on its eye would.
WATCH = """<script>
const wrong = [];
window.addEventListener("error", (event) => wrong.push(`${event.message || event.target.tagName}`), true);
console.error = (...told) => wrong.push(told.join(" "));
</script>"""
LOOK = """<script>
(async () => {
  const later = (time) => new Promise((resolve) => setTimeout(resolve, time));
  await later(500);
  const opening = document.querySelector("#app").textContent;
  const seen = {};
  for (const [path, entry] of Object.entries(results)) {
    const kind = entry.mime_type.startsWith("image/") ? "img" : "html";
    app.setView({ content: kind, contentPath: entry.data_uri, resultPath: path });
    await later(150);
    const found = [...document.querySelectorAll(kind === "img" ? "#app img" : "#app iframe")];
    const shown = found.find((element) => element.getAttribute("src") === entry.data_uri) ?? null;
    seen[path] = kind === "html" ? shown !== null
      : shown !== null && shown.naturalWidth > 100 && shown.getBoundingClientRect().right <= innerWidth;
  }
  document.body.replaceChildren();
  document.querySelectorAll("script").forEach((script) => script.remove());
  document.title = JSON.stringify({ wrong, opening, seen });
})();
</script>"""


@pytest.fixture(scope="module")
def page(finished):
    """Return the report as `make report` writes it."""
    return finished.report("--configfile", "tests/config/tiny.yaml")[0]


@pytest.fixture(scope="module")
def seen(page, tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no browser here: none of chromium, chromium-browser, google-chrome")
    content = page.read_text().replace("<head>", f"<head>{WATCH}", 1)
    end = content.rindex("</body>")
    watched = tmp_path_factory.mktemp("watched") / "report.html"
    watched.write_text(content[:end] + LOOK + content[end:])
    title = re.search("<title>(.*?)</title>", opened(watched, wait=60_000), re.DOTALL)[1]
    return json.loads(unescape(title))


def test_every_figure_loads_within_the_window_and_every_table_opens(seen):
    assert len(seen["seen"]) > 30
    assert [path for path, whole in seen["seen"].items() if not whole] == []


def test_the_browser_reports_no_error(seen):
    assert seen["wrong"] == []


def test_the_opening_page_tells_what_ran_on_what_how_long_and_how(seen, finished):
    slowest = {rule for rule, _, _ in rule_durations(finished.root / "results/benchmarks").slowest(SLOWEST)}
    for told in ("tiny-nih", "mimic-cxr-jpg", "simulated", "jobs of", "resamples: 100", *get_args(System), *slowest):
        assert told in seen["opening"]


def test_every_result_has_a_caption_and_a_label(page):
    entries = json.loads(re.search(r'<script id="results">\s*var results = (.*);$', page.read_text(), re.MULTILINE)[1])
    bare = [path for path, entry in entries.items() if not entry["caption"] or not (entry["labels"] or {}).get("shows")]
    assert bare == []
    assert {entry["mime_type"] for entry in entries.values()} <= {"image/png", "text/html"}

import csv
import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forgetting.test_browser import BROWSER, opened, texts

from cxrflow.report.tables import table_page

HOSTILE = "</script><script>document.title='owned'</script>"
ROWS = [("demo", "Hernia", 0.25, 3), ("demo", "Mass", 0.125, 20), ("demo", HOSTILE, "", 100)]


def written(rows, header=("cohort", "finding", "value", "n")):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    return table_page(buffer.getvalue())


def data(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("0.25", 0.25), ("3", 3), ("1e-3", 0.001), ("", ""), ("nan", "nan"), ("00000012", "00000012"), ("1_0", "1_0")],
)
def test_numbers_are_numbers_and_names_of_digits_are_not(cell, value):
    assert data(written([("a", "b", cell, "x")]))["rows"][0][2] == value


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=8), min_size=2, max_size=2)))
def test_any_text_comes_back_as_it_was(rows):
    told = data(written(rows, ("a", "b")))
    assert len(told["rows"]) == len(rows)
    kept = [
        (old, new)
        for before, after in zip(rows, told["rows"], strict=True)
        for old, new in zip(before, after, strict=False)
    ]
    assert all(new == old if isinstance(new, str) else float(old) == new for old, new in kept)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> str:
    if BROWSER is None:
        pytest.skip("no browser here: none of chromium, chromium-browser, google-chrome")
    path: Path = tmp_path_factory.mktemp("table") / "table.html"
    path.write_text(written(ROWS))
    return opened(path)


def test_a_column_of_one_value_stands_above_the_table(content):
    assert "cohort: demo" in content
    assert next(text.split("all")[0] for text in texts(content, "th")).startswith("finding")


def test_cells_are_shown_and_never_run(content):
    assert "<title>Table</title>" in content
    cells = [unescape(text) for text in texts(content, "td")]
    assert cells == ["Hernia", "0.25", "3", "Mass", "0.125", "20", HOSTILE, "", "100"]
    assert "Rows 1 to 3 of 3" in content


def test_a_click_sorts_and_a_choice_filters(content, tmp_path):
    page = re.sub("<meta http-equiv[^>]*>", "", written(ROWS))
    acts = """<script>{
      const button = [...document.querySelectorAll("thead button")].find((head) => head.textContent === "n");
      button.click(); button.click();
      const first = document.querySelector("tbody td").textContent;
      const choice = document.querySelector("thead select");
      choice.value = "Mass"; choice.dispatchEvent(new Event("change"));
      document.title = JSON.stringify([first, document.querySelectorAll("tbody tr").length]);
    }</script>"""
    (tmp_path / "acted.html").write_text(page.replace("</body>", acts + "</body>"))
    title = re.search("<title>(.*?)</title>", opened(tmp_path / "acted.html"), re.DOTALL)[1]
    assert json.loads(unescape(title)) == [HOSTILE, 1]

"""The documentation builds as a site, its links lead somewhere, and what it names exists."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from cxrflow.config import Config
from cxrflow.config_reference import PAGE, reference
from cxrflow.settings import System

ROOT = Path(__file__).parent.parent
PAGES = [
    Path("README.md"),
    Path("config/README.md"),
    *(file.relative_to(ROOT) for file in sorted(ROOT.glob("docs/*.md"))),
]
RULE = re.compile(rf"(?:cohort|reports|backbone|forgetting|summary|{'|'.join(get_args(System))})_[a-z_]+[a-z]")
FOLDERS = ("scripts", "rules", "workflow", "envs", "tests", "benchmarks", "docs", "config")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site; a warning of MkDocs (a dead link, a page without a place) is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    written = {file.stem for file in site.glob("*.html")} - {"404"}
    assert written == {file.stem for file in ROOT.glob("docs/*.md")}


def test_the_site_asks_nobody_else_for_anything(site):
    """Scripts, styles, fonts and pictures are its own: it is read where there is no network."""
    for page in site.glob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\"\s>]+)", page.read_text())
        loaded += re.findall(
            r"<link[^>]*rel=\"?(?:stylesheet|icon|preconnect)[^>]*href=\"?([^\"\s>]+)", page.read_text()
        )
        assert loaded
        assert [link for link in loaded if "//" in link] == []
        assert 'class="mermaid"' not in page.read_text()  # the theme draws these with a script from elsewhere


def test_the_search_has_the_words_of_the_pages(site):
    assert "attention" in (site / "search/search_index.json").read_text()


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```$", "", (ROOT / page).read_text())


@cache
def anchors(page: Path) -> set[str]:
    """Return what links to places on a page may end in: its headings as GitHub and MkDocs name them."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page.parent / name).resolve().relative_to(ROOT) if name else page
        assert (ROOT / file).is_file(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_of_the_repository_that_a_page_names_is_there(page):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", prose(page))
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != PAGE], ids=str)  # that one names keys
def test_every_rule_that_a_page_names_is_one_of_the_workflow(page):
    rules = {script.stem for script in ROOT.glob("scripts/*.py")}
    named = {name for name in re.findall(r"`(\w+)`", prose(page)) if RULE.fullmatch(name)}
    assert named - rules == set()


def test_the_configuration_reference_is_the_models():
    assert (ROOT / PAGE).read_text() == reference(), "run `make schema`"


def test_the_reference_tells_of_each_key_its_type_default_and_meaning():
    rows = [row.split(" | ") for row in re.findall(r"(?m)^\| (.+) \|$", reference())]
    assert {len(row) for row in rows} == {4}
    assert all(kind and meaning for _, kind, _, meaning in rows)
    assert {key for key in Config.model_fields if f"`{key}`" in reference()} == set(Config.model_fields)


@pytest.mark.parametrize(
    ("section", "key", "default"),
    [
        ("neural.exemplars", "level", "`0.977`"),  # neural's own, where others have 0.9
        ("prunecxr.exemplars", "level", "`0.9`"),
        ("cohorts.<name>", "root", "`null`"),
        ("patchib.models.<name>.mask", "kind", "required"),
        ("igcl.transfer.finetuning", "batch_size", "`8`"),
    ],
)
def test_a_default_is_that_of_its_place_in_the_configuration(section, key, default):
    (table,) = re.findall(rf"(?s)\n#+ `{re.escape(section)}`\n(.*?)(?:\n#|\Z)", reference())
    assert re.search(rf"(?m)^\| `{key}` \| .* \| {re.escape(default)} \| ", table)


def test_every_system_has_a_page_and_its_study_is_cited(site):
    cited = (ROOT / "CITATION.cff").read_text()
    for system in get_args(System):
        assert (site / f"{system}.html").is_file()
        assert f"The system {system}" in cited


def mermaid_graph() -> tuple[set[str], set[tuple[str, str]]]:
    """Return the rules and the arrows of the README's picture; tests/workflow/test_readme.py says that they are so."""
    block = re.search(r"(?s)```mermaid\n(.*?)```", (ROOT / "README.md").read_text())
    arrows = set(re.findall(r"(\w+) --> (\w+)", block[1]))
    return set(re.findall(r"(?m)^    (\w+)$", block[1])) | {rule for arrow in arrows for rule in arrow}, arrows


def test_the_rule_graph_of_the_site_is_that_of_the_readme():
    titles = re.findall(r"<title>(.*?)</title>", (ROOT / "docs/images/rules.svg").read_text())
    arrows = {tuple(title.replace("&#45;&gt;", " ").split()) for title in titles if "&gt;" in title}
    rules, expected = mermaid_graph()
    assert arrows == expected, "run `make pictures`"
    assert rules <= set(titles)

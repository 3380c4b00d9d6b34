import base64
import io
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.cohort.tables import write_manifest, write_split
from cxrflow.errors import UserError
from cxrflow.forgetting.browser import AboutPage, browse_exemplars, mean_probabilities, page, write_browser
from cxrflow.forgetting.browser_cards import SIDE, Shown, card_data, chosen_images, relative_boxes, thumbnail
from cxrflow.forgetting.predictions import Truth, write_predictions
from cxrflow.forgetting.settings import ExemplarSettings

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
CLASSES = ("No Finding", "Hernia", "Mass", HOSTILE)
IDS = ("a.png", "b.png", "c.png", "d.png", "e.png", "f.png")
PIES = ("a.png", "b.png", "c.png")
AGREEMENT = (0.2, -0.5, 0.1, 0.9, 0.8, 0.95)
LABELS = [[0, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
WHOLE = np.array([[0.1, 0.9, 0.2, 0.1], [0.1, 0.6, 0.5, 0.8], [0.7, 0.1, 0.1, 0.1], *[[0.5, 0.1, 0.1, 0.1]] * 3])
COMPRESSED = np.array([[0.1, 0.004, 0.2, 0.1], [0.1, 0.3, 0.5, 0.8], [0.6, 0.1, 0.1, 0.1], *[[0.5, 0.1, 0.1, 0.1]] * 3])
ABOUT = AboutPage("demo & co", True, "weights set to zero", 0.9, 0.5, 4, len(IDS))


def exemplars() -> pd.DataFrame:
    table = pd.DataFrame({"image_id": IDS, "patient_id": [f"patient-{image[0]}" for image in IDS]})
    diseases = [sum(row[1:]) for row in LABELS]
    return table.assign(agreement=AGREEMENT, is_pie=table["image_id"].isin(PIES), n_diseases=diseases)


def shown(ids: tuple[str, ...] = IDS, classes: tuple[str, ...] = CLASSES) -> Shown:
    patients = np.array([f"patient-{image[0]}" for image in ids])
    truth = Truth(np.array(ids), patients, classes, np.array(LABELS, dtype=np.float32))
    boxes = [[{"label": classes[3], "x": 25.0, "y": 10.0, "w": 50.0, "h": 20.0}], *[None] * 5]
    samples = pd.DataFrame({"image_id": ids, "height": 200, "width": 100, "boxes": boxes})
    pixels = np.arange(6 * 32 * 32, dtype=np.uint32).reshape(6, 32, 32).astype(np.uint8)
    store = ImageStore(pixels, pd.DataFrame({"image_id": ids, "row": range(6)}))
    return Shown(truth, WHOLE, COMPRESSED, samples, store)


# Does what a person does, step by step, and notes which cards are there after each.
PERSON = """<script>
const seen = [], found = () => [...document.querySelectorAll(".card")].map((card) => card.dataset.id);
const later = () => new Promise((resolve) => setTimeout(resolve, 30));
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
(async () => {
  for (const step of STEPS) {
    eval(step);
    await later();
    seen.push([found(), location.hash, document.activeElement.dataset.id ?? document.activeElement.id]);
  }
  document.title = JSON.stringify(seen);
})();
</script>"""


def opened(path: Path, address: str = "", wait: int = 5000) -> str:
    """Return what the page at an address consists of, once its script has run for `wait` ms in a real browser."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--virtual-time-budget={wait}", "--dump-dom"]
    command = [str(BROWSER), *options, f"--user-data-dir={path.parent / 'profile'}", f"{path.as_uri()}{address}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page, where there is a browser to open it with."""
    if BROWSER is None:
        pytest.skip("no browser here: none of chromium, chromium-browser, google-chrome")
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_browser(path, exemplars(), shown(), ABOUT)
    return path


@pytest.fixture(scope="module")
def content(written: Path) -> str:
    """Return the elements of the page as it opens; a script was added to it that its policy has to stop."""
    path = written.with_name("changed.html")
    path.write_text(written.read_text() + "<script>document.title = 'owned'</script>")
    return opened(path)


def after(written: Path, steps: list[str]) -> list[tuple[list[str], str, str]]:
    """Return the cards, the address and what has the focus after each step of a person."""
    path = written.with_name("person.html")
    page_alone = re.sub("<meta http-equiv[^>]*>", "", written.read_text())
    path.write_text(page_alone + PERSON.replace("STEPS", json.dumps(steps).replace("<", "\\u003c")))
    title = re.search("<title>(.*?)</title>", opened(path), re.DOTALL)[1]
    return [tuple(seen) for seen in json.loads(unescape(title))]


def cards(content: str) -> list[str]:
    return re.findall(r'<article class="card"[^>]* data-id="([^"]*)"', content)


def card(content: str, image: str) -> str:
    return re.search(rf'data-id="{re.escape(image)}">(.*?)</article>', content, re.DOTALL)[1]


def texts(content: str, element: str) -> list[str]:
    return [unescape(re.sub("<[^>]*>", "", text)) for text in re.findall(f"<{element}[ >].*?</{element}>", content)]


def test_the_exemplars_are_there_in_order_of_agreement(content: str) -> None:
    assert cards(content) == ["b.png", "c.png", "a.png"]
    assert "3 of 3 images" in content
    assert '<h1 id="heading">Pruning-identified exemplars <span class="cohort">demo &amp; co</span>' in content
    assert "simulated radiographs" in content


def test_a_card_shows_agreement_labels_boxes_and_both_probabilities(content: str) -> None:
    shown_card = card(content, "a.png")
    assert texts(shown_card, "dd") == ["0.20", "1"]
    assert texts(shown_card, "li") == ["Hernia"]
    assert dict(zip(texts(shown_card, "th"), texts(shown_card, "td")[1::2], strict=True))["Hernia"] == "90 → <1 %"
    assert "left: 25%; top: 5%; width: 50%; height: 10%;" in shown_card
    assert "width: 90%" in shown_card
    assert "−0.50" in card(content, "b.png")


def test_what_came_from_data_is_shown_as_text(content: str) -> None:
    assert HOSTILE in texts(card(content, "b.png"), "li")
    assert '<img src="x"' not in content


def test_only_the_page_s_own_script_runs(content: str) -> None:
    assert "<title>Pruning-identified exemplars of demo &amp; co (simulated)</title>" in content


def test_an_address_opens_its_view(written: Path) -> None:
    view = opened(written, f"#class=Hernia&class={quote(HOSTILE)}&match=all")
    assert cards(view) == ["b.png"]
    assert "1 of 3 images" in view


def test_the_address_chooses_and_sorts_images(written: Path) -> None:
    expected = {
        "#class=Hernia": ["b.png", "a.png"],
        "#class=Hernia&sort=change": ["a.png", "b.png"],
        "#class=No+Finding&class=Mass": ["b.png", "c.png"],
        "#class=Hernia&class=Mass&match=all": ["b.png"],
        "#sort=diseases": ["b.png", "a.png", "c.png"],
        "#sort=highest": ["a.png", "c.png", "b.png"],
        "#show=others": ["e.png", "d.png", "f.png"],
        "#show=both&class=Mass": ["b.png", "e.png"],
        "#search=C.PNG": ["c.png"],
        "#show=everything&sort=up&class=Cyst": ["b.png", "c.png", "a.png"],
        "#search=nothing": [],
    }
    seen = after(written, [f"location.hash = {json.dumps(address)}" for address in expected])
    assert {address: found for (found, _, _), address in zip(seen, expected, strict=True)} == expected


def test_buttons_choose_images_and_the_address_follows(written: Path) -> None:
    pies = ["b.png", "c.png", "a.png"]
    hernia, mass = (f"document.querySelector('[data-class={name}]').click()" for name in ("Hernia", "Mass"))
    steps = [
        (hernia, ["b.png", "a.png"], "class=Hernia"),
        (mass, ["b.png", "a.png"], "class=Hernia&class=Mass"),
        (hernia, ["b.png"], "class=Mass"),
        ("press('Escape')", pies, ""),
        ("document.querySelector('[data-show=both]').click()", [*pies, "e.png", "d.png", "f.png"], "show=both"),
        ("history.back()", pies, ""),
    ]
    seen = after(written, [step for step, _, _ in steps])
    assert [(found, address.removeprefix("#")) for found, address, _ in seen] == [step[1:] for step in steps]


def test_keys_lead_from_image_to_image_and_to_the_search(written: Path) -> None:
    seen = after(written, [f"press('{key}')" for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "/")])
    assert [focus for _, _, focus in seen] == ["b.png", "c.png", "b.png", "search"]


def test_no_patient_is_named(tmp_path: Path) -> None:
    write_browser(tmp_path / "page.html", exemplars(), shown(), ABOUT)
    assert "patient-" not in (tmp_path / "page.html").read_text()


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_browser(tmp_path / "page.html", exemplars(), shown(), ABOUT)
    content = (tmp_path / "page.html").read_text()
    assert not re.findall(r"https?://|//cdn|@import|<link", content)
    assert "default-src 'none'" in content


@pytest.mark.parametrize(("simulated", "count"), [(True, 1), (False, 0)])
def test_the_title_says_whether_images_are_simulated(simulated: bool, count: int) -> None:
    about = {"cohort": "nih", "simulated": simulated}
    title = re.search("<title>(.*)</title>", page({"about": about, "classes": [], "cards": []}))[1]
    assert title.count("simulated") == count


def test_the_data_are_json_that_no_tag_or_line_end_can_break() -> None:
    text = HOSTILE + "</script>\u2028&amp;"
    content = page({"about": {"cohort": text, "simulated": False}, "classes": [text], "cards": []})
    data = re.search('id="data">(.*?)</script>', content, re.DOTALL)[1]
    assert not set("<>&\u2028") & set(data)
    assert json.loads(data)["classes"] == [text]


def test_as_many_other_images_are_drawn_whatever_the_order_of_the_rows() -> None:
    table = pd.DataFrame(
        {"image_id": [f"{number:03d}" for number in range(200)], "is_pie": [True] * 10 + [False] * 190}
    )
    chosen = chosen_images(table, 0)
    assert chosen["is_pie"].sum() == 10
    assert len(chosen) == 20
    assert chosen["image_id"].is_unique
    pd.testing.assert_frame_equal(chosen_images(table.sample(frac=1, random_state=3), 0), chosen)
    assert not chosen_images(table, 1).equals(chosen)


def test_where_most_images_are_exemplars_all_others_are_shown() -> None:
    table = pd.DataFrame({"image_id": list("abcde"), "is_pie": [True] * 3 + [False] * 2})
    assert len(chosen_images(table, 0)) == 5


def test_a_constant_prediction_has_no_agreement() -> None:
    table = exemplars().assign(agreement=[np.nan, *AGREEMENT[1:]])
    assert card_data(table, shown())[0]["agreement"] is None


def test_exemplars_of_another_split_are_an_error() -> None:
    with pytest.raises(UserError, match="1 images in the table of exemplars"):
        card_data(exemplars().replace("a.png", "z.png"), shown())


@pytest.mark.parametrize(("width", "height", "size"), [(100, 200, (SIDE // 2, SIDE)), (3000, 1500, (SIDE, SIDE // 2))])
def test_a_thumbnail_has_the_shape_of_the_original_image(width: int, height: int, size: tuple[int, int]) -> None:
    content = base64.b64decode(thumbnail(np.full((64, 64), 90, dtype=np.uint8), width, height))
    image = Image.open(io.BytesIO(content))
    assert image.size == size
    assert np.asarray(image).mean() == pytest.approx(90, abs=1)


def test_boxes_are_in_per_cent_of_the_image() -> None:
    box = {"label": "Mass", "x": 256, "y": 512, "w": 128, "h": 64}
    assert relative_boxes([box], 1024, 2048) == [["Mass", 25.0, 25.0, 12.5, 3.12]]
    assert relative_boxes(None, 1024, 1024) == []


def write_seed(path: Path, seed: int, whole: np.ndarray, compressed: np.ndarray) -> Path:
    with write_predictions(path, CLASSES) as writer:
        writer.append("dense", seed, 0.0, IDS, whole.astype(np.float32))
        writer.append("l1", seed, 0.5, IDS, np.zeros_like(whole, dtype=np.float32))
        writer.append("l1", seed, 0.9, IDS, compressed.astype(np.float32))
    return path


def test_probabilities_are_the_means_over_seeds(tmp_path: Path) -> None:
    files = [
        write_seed(tmp_path / "1.parquet", 1, WHOLE, np.full_like(WHOLE, 0.25)),
        write_seed(tmp_path / "0.parquet", 0, 1 - WHOLE, np.full_like(WHOLE, 0.75)),
    ]
    whole, compressed, seeds = mean_probabilities(files, "l1", list(IDS), 0.9)
    assert seeds == 2
    np.testing.assert_allclose(whole, 0.5, atol=1e-7)
    np.testing.assert_array_equal(compressed, 0.5)


def test_the_page_is_made_from_the_files_of_a_cohort(tmp_path: Path) -> None:
    labels = ("No Finding", "Hernia", "Mass", "Nodule")
    files = {name: tmp_path / f"{name}.parquet" for name in ("manifest", "split", "index", "pie", "predictions")}
    ids = {"image_id": IDS, "patient_id": [f"patient-{image[0]}" for image in IDS]}
    images = pd.DataFrame({**ids, "study_id": IDS, "path": IDS, "view": "PA", "height": 32, "width": 32, "age": 50.0})
    images = images.assign(sex="F", official_split=None, boxes=None)
    images[list(labels)] = np.array(LABELS, dtype=np.float32)
    write_manifest(files["manifest"], images, list(labels))
    write_split(files["split"], images[["image_id", "patient_id", "study_id"]].assign(split="test"))
    pd.DataFrame({"image_id": IDS, "row": range(6)}).to_parquet(files["index"])
    np.save(tmp_path / "images.npy", np.zeros((6, 32, 32), dtype=np.uint8))
    exemplars().assign(cohort="demo", simulated=False).to_parquet(files["pie"])
    with write_predictions(files["predictions"], labels) as writer:
        writer.append("dense", 3, 0.0, IDS, WHOLE.astype(np.float32))
        writer.append("l1", 3, 0.9, IDS, COMPRESSED.astype(np.float32))
    cohort = CohortFiles(files["manifest"], files["split"], tmp_path / "images.npy", files["index"])
    settings = ExemplarSettings(level=0.9, share=0.5)
    browse_exemplars(
        tmp_path / "page.html", files["pie"], [files["predictions"]], cohort, "l1", settings, "zero", "patches"
    )
    data = re.search('id="data">(.*?)</script>', (tmp_path / "page.html").read_text(), re.DOTALL)[1]
    content = json.loads(data)
    assert content["about"] == {
        "cohort": "demo", "simulated": False, "axis": "patches", "level": 0.9, "share": 0.5, "seeds": 1, "images": 6
    }  # fmt: skip
    assert content["classes"] == list(labels)
    assert content["cards"][0]["whole"] == [100, 900, 200, 100]
    assert content["cards"][0]["labels"] == [1]

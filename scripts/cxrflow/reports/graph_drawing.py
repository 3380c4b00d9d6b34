"""One sentence of a report graph as SVG: its tokens in a row, entities as boxes, relations as labelled arcs above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

ENTITY_CLASSES = {"ANAT-DP": "anatomy", "OBS-DP": "present", "OBS-U": "uncertain", "OBS-DA": "absent"}
RELATION_CLASSES = {"modify": "modify", "located_at": "located", "suggestive_of": "suggestive"}
FONT, SMALL = 16, 12  # pixels: tokens; names of entities and relations
SPACE, PADDING, MARGIN = 5, 6, 6  # pixels: between tokens, inside the box of an entity, around the drawing
STEP, CORNER, PORT = 22, 6, 12  # pixels: between levels of arcs, radius of their corners, between arcs at one box
TOKEN_HEIGHT, NAME_HEIGHT = 25, 16  # pixels
SHRINK = 0.75  # the least share of its size that a drawing is shown at; beyond that the page scrolls
# Widths of letters in Helvetica, Arial and their like, as shares of the font size: no browser is there to measure them.
_WIDTHS = (
    ("ijl'|", 0.22), ("ftI.,:;/! \\[]", 0.28), ("r()-`\"", 0.34), ("cksvxyzJ", 0.5), ("wC", 0.72), ("FTZL", 0.61),
    ("ABEKPSVXY&", 0.67), ("DHNRU", 0.72), ("GOQ", 0.78), ("mM%", 0.85), ("W@", 0.97),
)  # fmt: skip
_WIDTH_OF = {letter: width for letters, width in _WIDTHS for letter in letters}


class Box(NamedTuple):
    """Left and right edge of an entity or a token, in pixels."""

    left: float
    right: float

    @property
    def centre(self) -> float:
        """The middle between the edges."""
        return (self.left + self.right) / 2


@dataclass(slots=True)
class Arc:
    """A relation between two boxes: where it leaves and arrives (pixels) and its level above the tokens (from 1)."""

    kind: str
    source: str
    target: str
    length: float
    leaves: float = 0.0
    arrives: float = 0.0
    level: int = 0

    def extent(self) -> tuple[float, float]:
        """Return the interval that the arc and its name cover."""
        middle, half = (self.leaves + self.arrives) / 2, text_width(self.kind, SMALL) / 2 + 3
        return min(self.leaves, self.arrives, middle - half), max(self.leaves, self.arrives, middle + half)


def sentence_svg(tokens: Sequence[str], entities: Mapping[str, Mapping[str, Any]], start: int, end: int) -> str:
    """Draw tokens `start` to `end` (exclusive) with the entities among them (numbers -> RadGraph-schema entities)."""
    inside = {number: entity for number, entity in entities.items() if start <= entity["start_ix"] < end}
    spans = {
        number: (one["start_ix"] - start, one["end_ix"] - start, str(one["label"])) for number, one in inside.items()
    }
    places = token_boxes(tokens[start:end], list(spans.values()))
    boxes = {
        number: Box(places[first].left - PADDING, places[last].right + PADDING)
        for number, (first, last, _) in spans.items()
    }
    arcs = place_arcs(boxes, [(k, number, to) for number, one in inside.items() for k, to in one["relations"]])
    top = MARGIN + SMALL + 2 + STEP * max((arc.level for arc in arcs), default=0)
    right = max([places[-1].right + PADDING, *(arc.extent()[1] for arc in arcs)]) + MARGIN
    left = min([0.0, *(arc.extent()[0] for arc in arcs)]) - MARGIN
    height = top + TOKEN_HEIGHT + (NAME_HEIGHT if inside else 0) + MARGIN
    parts = [_entity(boxes[number], str(one["label"]), top) for number, one in inside.items()]
    parts += [_token(place.centre, top + 18, token) for place, token in zip(places, tokens[start:end], strict=True)]
    parts += [_arc(arc, top) + _arc_name(arc, top) for arc in arcs]
    return _svg(Box(left, right), height, " ".join(tokens[start:end]), parts)


def text_width(text: str, size: float) -> float:
    """Estimate the width of `text` in pixels at a font size in pixels."""
    return size * sum(_WIDTH_OF.get(letter, 0.56) for letter in text)


def token_boxes(tokens: Sequence[str], entities: Sequence[tuple[int, int, str]]) -> list[Box]:
    """Set tokens in a row, with room for the boxes of entities (first token, last token, label) and their names."""
    starts, ends = {first for first, _, _ in entities}, {last for _, last, _ in entities}
    names = {first: text_width(label, SMALL) for first, last, label in entities if first == last}
    boxes, edge = [], 0.0
    for at, token in enumerate(tokens):
        left, width = edge + (PADDING if at in starts else 0), text_width(token, FONT)
        right = left + max(width, names.get(at, 0.0) - 2 * PADDING)
        boxes.append(Box(left, right))
        edge = right + (PADDING if at in ends else 0) + SPACE
    return boxes


def place_arcs(boxes: Mapping[str, Box], relations: Sequence[tuple[str, str, str]]) -> list[Arc]:
    """Place relations (kind, source, target) between boxes: shorter arcs below longer ones, no two on one another."""
    arcs = [Arc(kind, one, to, abs(boxes[one].centre - boxes[to].centre)) for kind, one, to in relations]
    arcs.sort(key=lambda arc: arc.length)
    for number, box in boxes.items():
        _set_ports(number, box, boxes, arcs)
    for at, arc in enumerate(arcs):
        low, high = arc.extent()
        under = [other.level for other in arcs[:at] if other.extent()[0] < high and low < other.extent()[1]]
        arc.level = 1 + max(under, default=0)
    return arcs


def _set_ports(number: str, box: Box, boxes: Mapping[str, Box], arcs: Sequence[Arc]) -> None:
    """Spread the ends of arcs over a box: those to the left first, longer ones further in, so that none cross there."""
    ends = [arc for arc in arcs if number in (arc.source, arc.target)]
    others = [boxes[arc.target if arc.source == number else arc.source].centre for arc in ends]
    left = [arc for arc, other in zip(ends, others, strict=True) if other < box.centre]
    right = [arc for arc, other in zip(ends, others, strict=True) if other >= box.centre]
    step = min(PORT, (box.right - box.left - PADDING) / max(len(ends), 1))
    for at, arc in enumerate([*left, *reversed(right)]):
        place = box.centre + step * (at - (len(ends) - 1) / 2)
        if arc.source == number:
            arc.leaves = place
        else:
            arc.arrives = place


def _svg(frame: Box, height: float, sentence: str, parts: Sequence[str]) -> str:
    """Wrap parts up; the page may shrink a long sentence to fit, yet never so far that it can't be read."""
    width = frame.right - frame.left
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(sentence)}" width="{width:.0f}" '
        f'viewBox="{frame.left:.1f} 0 {width:.1f} {height:.1f}" style="min-width:{SHRINK * width:.0f}px">'
        f"{''.join(parts)}</svg>"
    )


def _token(x: float, y: float, token: str) -> str:
    """Write a token at the width it was given, so that a face with wider letters does not run into its neighbours."""
    fixed = f' textLength="{text_width(token, FONT):.1f}" lengthAdjust="spacingAndGlyphs"' if token.isascii() else ""
    return f'<text class="token" x="{x:.1f}" y="{y:.1f}"{fixed}>{escape(token)}</text>'


def _entity(box: Box, label: str, top: float) -> str:
    kind = ENTITY_CLASSES.get(label, "other")
    rectangle = (
        f'<rect class="entity {kind}" x="{box.left:.1f}" y="{top:.1f}" width="{box.right - box.left:.1f}" '
        f'height="{TOKEN_HEIGHT}" rx="4"/>'
    )
    return rectangle + _text(box.centre, top + TOKEN_HEIGHT + NAME_HEIGHT - 2, f"name {kind}", label)


def _arc(arc: Arc, top: float) -> str:
    """Draw an arc as a line up, along and down with round corners, and an arrow head at its target."""
    kind, line, foot = RELATION_CLASSES.get(arc.kind, "other"), top - STEP * arc.level, top - 2
    one, other, corner = arc.leaves, arc.arrives, line + CORNER
    turn = min(CORNER, abs(other - one) / 2) * (1 if other > one else -1)
    path = (
        f"M{one:.1f} {foot:.1f}V{corner:.1f}Q{one:.1f} {line:.1f} {one + turn:.1f} {line:.1f}"
        f"H{other - turn:.1f}Q{other:.1f} {line:.1f} {other:.1f} {corner:.1f}V{foot - 4:.1f}"
    )
    head = f"M{other - 3.5:.1f} {foot - 6:.1f}h7l-3.5 6z"
    return f'<path class="arc {kind}" d="{path}"/><path class="head {kind}" d="{head}"/>'


def _arc_name(arc: Arc, top: float) -> str:
    kind = RELATION_CLASSES.get(arc.kind, "other")
    return _text((arc.leaves + arc.arrives) / 2, top - STEP * arc.level - 5, f"relation {kind}", arc.kind)


def _text(x: float, y: float, kind: str, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'

"""Report graphs in the schema of RadGraph (Jain et al. 2021): entities with token offsets, and relations between them.

Anatomy is ANAT-DP; observations are OBS-DP (present), OBS-U (uncertain; so is what is likely or one of two
possibilities) or OBS-DA (absent). A relation lives in its source: modify (modifier -> head), located_at
(observation -> anatomy), suggestive_of (observation -> observation). Rules within a sentence, no learned model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cxrflow.reports.context import UNCERTAIN, Context, Trigger, spans_of
from cxrflow.reports.findings import COPULAS, Observation, gap, observations
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, PLACE, QUALITY, STATE, Lexicon
from cxrflow.reports.pipeline import ParsedReport, Sentence, Span
from cxrflow.reports.radgraph_schema import ANATOMY as ANATOMY_LABEL
from cxrflow.reports.radgraph_schema import STATUSES
from cxrflow.reports.settings import ExtractSettings

LABELS = {status: label for label, status in STATUSES.items()}
UNCERTAIN_LABEL = LABELS[UNCERTAIN]


@dataclass(slots=True, eq=False)
class Entity:
    """Tokens `start` to `end` (exclusive) of the report with a label, and relations (type, target)."""

    start: int
    end: int
    group: str
    label: str
    relations: list[tuple[str, "Entity"]] = field(default_factory=list)

    def relate(self, kind: str, target: "Entity | None") -> None:
        """Add a relation unless there is no target, or it is there already."""
        if target is not None and target is not self and (kind, target) not in self.relations:
            self.relations.append((kind, target))


def build_graph(study_id: str, report: ParsedReport, lexicon: Lexicon, settings: ExtractSettings) -> dict[str, Any]:
    """Return one line of graphs.jsonl: study_id, text (tokens joined by spaces) and entities by their number."""
    entities: list[Entity] = []
    for sentence in report.sentences:
        entities += _sentence_entities(sentence, report.tokens, lexicon, settings)
    entities.sort(key=lambda entity: (entity.start, entity.end))
    numbers = {id(entity): str(number) for number, entity in enumerate(entities, start=1)}
    return {
        "study_id": study_id,
        "text": " ".join(report.tokens),
        "entities": {
            numbers[id(entity)]: {
                "tokens": " ".join(report.tokens[entity.start : entity.end]),
                "label": entity.label,
                "start_ix": entity.start,
                "end_ix": entity.end - 1,
                "relations": [[kind, numbers[id(target)]] for kind, target in entity.relations],
            }
            for entity in entities
        },
    }


def _sentence_entities(
    sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon, settings: ExtractSettings
) -> list[Entity]:
    seen = observations(sentence, tokens, lexicon, settings)
    heads: dict[tuple[int, int], Entity] = {}
    places: dict[tuple[int, int], Entity] = {}
    qualities: list[Entity] = []
    for observation in seen:
        for entity in _split(observation, tokens, lexicon):
            if entity.group == OBSERVATION:
                heads.setdefault((observation.span.start, observation.span.end), entity)
            elif entity.group == QUALITY:
                qualities.append(entity)
            else:
                places[entity.start, entity.end] = entity
    for span in spans_of(sentence, ANATOMY, PLACE):
        if (span.start, span.end) not in heads:
            places.setdefault((span.start, span.end), Entity(span.start, span.end, span.group, ANATOMY_LABEL))
    qualities += [Entity(span.start, span.end, QUALITY, "") for span in spans_of(sentence, QUALITY)]
    _modify_places(list(places.values()), list(heads.values()), settings)
    _locate(seen, heads, list(places.values()), settings)
    _suggest(Context(sentence, tokens, settings), tokens, seen, heads, settings)
    return [*heads.values(), *places.values(), *_modify_heads(qualities, list(heads.values()), settings)]


def _split(observation: Observation, tokens: Sequence[str], lexicon: Lexicon) -> Iterator[Entity]:
    """Cut the leading anatomy and qualities off a term: 'pleural effusion' is 'effusion' located at 'pleural'."""
    span, label = observation.span, LABELS.get(observation.status, UNCERTAIN_LABEL)
    head = span.start + (tokens[span.start].lower() in COPULAS)
    while head < span.end - 1:
        group = lexicon.group_of_word(tokens[head])
        if group not in (ANATOMY, PLACE, QUALITY, STATE):
            break
        place = group in (ANATOMY, PLACE)
        yield Entity(head, head + 1, group if place else QUALITY, ANATOMY_LABEL if place else "")
        head += 1
    yield Entity(head, span.end, OBSERVATION, label)


def _modify_heads(qualities: list[Entity], heads: list[Entity], settings: ExtractSettings) -> list[Entity]:
    """Let each quality modify the nearest observation, whose label it takes; qualities of nothing are dropped."""
    kept = []
    for quality in qualities:
        head = _nearest(quality, heads, settings.relation_words, backward_cost=2)
        if head is not None:
            quality.label = head.label
            quality.relate("modify", head)
            kept.append(quality)
    return kept


def _modify_places(places: list[Entity], heads: list[Entity], settings: ExtractSettings) -> None:
    """Let 'left' and 'lower' modify the next anatomy, unless an observation stands between."""
    anatomies = [place for place in places if place.group == ANATOMY]
    for place in places:
        if place.group == PLACE:
            following = [anatomy for anatomy in anatomies if anatomy.start >= place.end]
            target = _nearest(place, following, settings.relation_words)
            if target is not None and not _between(heads, place, target):
                place.relate("modify", target)


def _locate(
    seen: list[Observation], heads: dict[tuple[int, int], Entity], places: list[Entity], settings: ExtractSettings
) -> None:
    """Join each observation with its anatomy, or with a bare place ('effusion on the left')."""
    free = [place for place in places if place.group == ANATOMY or not place.relations]
    for observation in seen:
        head = heads[observation.span.start, observation.span.end]
        others = [other for other in heads.values() if other is not head]
        named = observation.anatomy
        reachable = [place for place in free if not _between(others, head, place)]
        if named is not None:
            reachable = [place for place in free if (place.start, place.end) == (named.start, named.end)] or reachable
        head.relate("located_at", _nearest(head, reachable, settings.relation_words))


def _suggest(
    context: Context,
    tokens: Sequence[str],
    seen: list[Observation],
    heads: dict[tuple[int, int], Entity],
    settings: ExtractSettings,
) -> None:
    """Join the observation before a linking phrase with those listed after it ('opacity may be edema or pneumonia')."""
    spans = sorted({(observation.span.start, observation.span.end) for observation in seen})
    for link in context.links:
        before = [span for span in spans if span[1] <= link.start]
        if before and _continues(link, tokens):
            for span in _listed_after(link, spans, context, settings):
                heads[before[-1]].relate("suggestive_of", heads[span])


def _listed_after(
    link: Trigger, spans: list[tuple[int, int]], context: Context, settings: ExtractSettings
) -> Iterator[tuple[int, int]]:
    after = [span for span in spans if span[0] >= link.end]
    if not after or after[0][0] - link.end > settings.relation_words:
        return
    yield after[0]
    for previous, span in pairwise(after):
        if not context.listed(previous[1], span[0]):
            return
        yield span


def _continues(link: Trigger, tokens: Sequence[str]) -> bool:
    """Say whether a linking phrase speaks of what precedes it: 'edema and likely atelectasis' does not."""
    return link.start > 0 and tokens[link.start - 1].lower() not in ("and", "or", "with", "but")


def _nearest(one: Entity, others: list[Entity], reach: int, backward_cost: int = 0) -> Entity | None:
    """Return the nearest of `others` within `reach` tokens; those to the left count as `backward_cost` further away."""
    ranked = [
        (_gap(one, other) + (backward_cost if other.start < one.start else 0), other.start < one.start, at)
        for at, other in enumerate(others)
        if other is not one and _gap(one, other) <= reach
    ]
    return others[min(ranked)[2]] if ranked else None


def _gap(one: Entity, other: Entity) -> int:
    return gap(Span(one.start, one.end, "", ""), Span(other.start, other.end, "", ""))


def _between(middles: list[Entity], one: Entity, other: Entity) -> bool:
    left, right = (one, other) if one.start < other.start else (other, one)
    return any(left.end <= middle.start and middle.end <= right.start for middle in middles)

"""The report of a night: one page that needs nothing else, not even a network.

What went in, what came out, how good it is, and example lists with the reason for every row. Called
by the night before it publishes. Everything that comes from a catalogue is escaped, the page's own
policy forbids scripts and outside addresses, and user ids stand there only when asked for.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jinja2
from pydantic import Field

from recsys.errors import escaped
from recsys.features.media import MediaLimits
from recsys.serving import report_curves, report_figures, thumbnails
from recsys.settings import Section

TEMPLATES = Path(__file__).parent / "templates"


class Pick(Section):
    """One place of an example list."""

    item_id: str = Field(description="the item")
    title: str = Field("", description="its title, as in the catalogue")
    category: str = Field("", description="its category")
    score: float = Field(description="the list's score")
    terms: dict[str, float] = Field(description="weighted terms; their sum is the score")
    picture: bytes = Field(b"", description="image file as it stands on disk; empty for none")
    weights: dict[str, float] = Field(
        {}, description="how much each modality counted in the item's vector; empty for unknown"
    )
    drawn_by: tuple[str, ...] = Field(
        (), description="titles of the history that drew it; shown only where `show_ids`"
    )


class Example(Section):
    """One user's list."""

    user_id: str = Field(description="the user; shown only where `show_ids`")
    source: Literal["model", "popular"] = Field("model", description="who made the list")
    history: tuple[str, ...] = Field((), description="titles, newest last; only where `show_ids`")
    picks: tuple[Pick, ...] = Field(description="the first places, best first")


class GateRow(Section):
    """One line of the gate table, as `gates.Gate`."""

    name: str = Field(description="of the rule")
    means: str = Field("", description="what is looked at")
    measured: float | None = Field(None, description="tonight's number; None for none")
    baseline: float | None = Field(None, description="what it is compared with")
    value: float | None = Field(None, description="what the limits are for")
    limit: str = Field(description="what is allowed")
    verdict: Literal["pass", "warn", "fail", "skipped", "off"] = Field(description="the outcome")
    beyond: float = Field(0.0, description="by how much the value lies outside of its limit")


class NightRow(Section):
    """One of the last nights."""

    date: str = Field(description="the day that its lists were for, YYYY-MM-DD")
    users: int | None = Field(None, description="users with a list")
    users_popular: int | None = Field(None, description="of them with the popular list")
    events: float | None = Field(None, description="events before the day")
    coverage: float | None = Field(None, description="share of the offer that is in some list")
    recall: float | None = Field(None, description="of the model's evaluation")
    passed: int = Field(0, description="gates passed")
    warned: int = Field(0, description="gates that warned")


class Page(Section):
    """Everything on the page; whatever is left empty leaves its part out."""

    day: str = Field(description="the day that the lists are for, YYYY-MM-DD")
    release: str = Field(description="name of the release")
    counts: dict[str, int] = Field({}, description="what came out, by name, as in the manifest")
    accounting: dict[str, dict[str, int]] = Field(
        {}, description="file -> read, kept, duplicate, filtered, quarantined, blank"
    )
    quarantine: dict[str, int] = Field({}, description="rows set aside, by code")
    catalogue: dict[str, int] = Field({}, description="counts of the catalogue's manifest")
    evaluation: dict[str, Any] = Field({}, description="an evaluation's table.json")
    course: dict[str, Any] = Field({}, description="a model's training.json")
    weights: dict[str, float] = Field({}, description="the reranker's weights by term")
    gates: tuple[GateRow, ...] = Field((), description="what was checked before publishing")
    examples: tuple[Example, ...] = Field((), description="a few users' lists")
    history: tuple[NightRow, ...] = Field((), description="the last nights, oldest first")
    notice: str = Field("", description="what a reader must know before all else")
    show_ids: bool = Field(False, description="real user ids and histories in the examples")


def render(page: Page | Mapping[str, Any], limits: MediaLimits | None = None) -> str:
    """The page as HTML: the same page gives the same text.

    Args:
        page: what to show; a mapping is checked against `Page`.
        limits: of the pictures that are decoded for it.

    Raises:
        pydantic.ValidationError: a mapping that is no `Page`.
    """
    page = Page.model_validate(page)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = escaped
    environment.filters["words"] = words
    return environment.get_template("report.html.j2").render(
        page=page,
        headline=report_figures.headline(page.evaluation),
        metrics=report_figures.metrics(page.evaluation),
        segments=report_figures.segments(page.evaluation),
        staleness=report_curves.staleness(page.evaluation),
        trade_off=report_curves.trade_off(page.evaluation),
        nights=report_curves.nights([night.model_dump() for night in page.history]),
        course=report_figures.course(page.course),
        **_gates(page.gates),
        coverage=_coverage(page.catalogue),
        groups=_groups(page),
        examples=_examples(page, limits or MediaLimits()),
    )


GROUPS = {
    "similarity": "how near the item lies to what the user did",
    "popularity": "how much it is asked for lately",
    "freshness": "how new it is",
    "own": "how often and how lately the user had it",
    "segment": "how much people like the user ask for it",
    "price": "how far it costs more or less than what the user takes",
    "diversity": "what it falls to make room for something else",
}


def _gates(gates: tuple[GateRow, ...]) -> dict[str, str]:
    """The worst verdict, and a few words on all."""
    count = Counter(gate.verdict for gate in gates)
    judged = count["pass"] + count["warn"] + count["fail"]
    worst = next((verdict for verdict in ("fail", "warn") if count[verdict]), "pass")
    told = {
        "fail": f"{count['fail']} of {judged} gates failed",
        "warn": f"no gate failed, {count['warn']} of {judged} warn",
        "pass": f"all {judged} gates passed",
    }
    return {"gates_worst": worst, "gates_told": told[worst]}


def _groups(page: Page) -> dict[str, str]:
    """The groups of terms that the examples show: those that say something in any row."""
    terms = {
        group
        for example in page.examples
        for pick in example.picks
        for group, value in _grouped(pick.terms).items()
        if value
    }
    return {name: meaning for name, meaning in GROUPS.items() if name in terms}


def _examples(page: Page, limits: MediaLimits) -> list[dict[str, Any]]:
    """Example lists ready for the template: names, pictures, and bars of the grouped terms."""
    silent = GROUPS.keys() - _groups(page)
    grouped = [
        [
            {name: value for name, value in _grouped(pick.terms).items() if name not in silent}
            for pick in example.picks
        ]
        for example in page.examples
    ]
    every = [value for lists in grouped for terms in lists for value in terms.values()]
    low, high = min([0.0, *every]), max([0.0, *every])
    return [
        {
            "name": example.user_id if page.show_ids else f"user {number}",
            "source": example.source,
            "history": example.history if page.show_ids else (),
            "picks": [
                {
                    "pick": pick,
                    "picture": thumbnails.address(pick.picture, limits),
                    "letter": escaped(pick.title.strip()[:1].upper() or "?"),
                    "bars": {name: _bar(value, low, high) for name, value in terms.items()},
                }
                for pick, terms in zip(example.picks, lists, strict=True)
            ],
        }
        for number, (example, lists) in enumerate(zip(page.examples, grouped, strict=True), 1)
    ]


def _grouped(terms: Mapping[str, float]) -> dict[str, float]:
    """Terms of one group together: the popularities of all half-lives are one reason."""
    groups: dict[str, float] = {}
    for name, value in terms.items():
        group = name.split("_")[0]
        groups[group] = groups.get(group, 0.0) + value
    return groups


def _bar(value: float, low: float, high: float) -> dict[str, float]:
    """Where a bar from 0 to `value` lies on an axis from `low` to `high`, in percent."""
    span = (high - low) or 1.0
    begin, end = sorted((0.0, value))
    return {
        "value": value,
        "left": round(100 * (begin - low) / span, 2),
        "width": round(100 * (end - begin) / span, 2),
        "zero": round(-100 * low / span, 2),
    }


def _coverage(catalogue: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """How many items have what: name, count and share."""
    items = catalogue.get("items", 0)
    names = ("available", *(name for name in catalogue if name.startswith("with_")))
    return [
        (name, catalogue[name], catalogue[name] / items) for name in names
        if items and catalogue.get(name)
    ]  # fmt: skip


def words(name: str) -> str:
    """`items_of_the_last_day` as words, and `few_events/cart` as `Few events: cart`."""
    text = name.replace("_", " ").replace("/", ": ")
    return text[:1].upper() + text[1:]

"""The page: no markup out of the catalogue, nobody's id, equal inputs equal bytes."""

import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from recsys.serving import report
from recsys.serving.report import Page

CANARY = "canary-user-4711"
MARKUP = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></textarea><svg/onload=alert(1)>",
    "]]><!-- --><iframe src=javascript:alert(1)>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "a\x00b\x1b[2J\u202egnp.exe",
)


class Tags(HTMLParser):
    """Collects every element with its attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def photo(colour: str = "red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (640, 480), colour).save(stream, "PNG")
    return stream.getvalue()


def evaluation(word: str = "popular") -> dict[str, Any]:
    def row(system: str, metric: str, mean: float, less: float | None) -> dict[str, Any]:
        return {
            "system": system, "metric": metric, "mean": mean, "low": mean * 0.9,
            "high": mean * 1.1, "difference": less, "users": 1234,
            "difference_low": less and less - 0.001, "difference_high": less and less + 0.001,
        }  # fmt: skip

    metrics = ("recall_at_10", "mrr", "recall_at_10/user_new", "recall_at_10/item_warm")
    return {
        "facts": {"ks": [10, 20], "unlistable": 0.07},
        "against": "lists",
        "users": 1234,
        "rows": [
            row(system, metric, mean, less)
            for system, mean, less in (("lists", 0.06, None), (word, 0.03, -0.03))
            for metric in metrics
        ],
    }


def page(word: str = "plain", **changes: Any) -> dict[str, Any]:
    pick = {
        "item_id": f"i-{word}", "title": word, "category": word, "score": 1.25, "picture": photo(),
        "terms": {"similarity": 2.0, "popularity_1d": -1.0, "popularity_7d": 0.25},
        "weights": {"text": 0.26, "image": 0.74}, "drawn_by": (f"drawn {CANARY}", word),
    }  # fmt: skip
    return {
        "day": "2026-11-20",
        "release": "2026-11-20-0123456789abcdef",
        "counts": {"users": 3000, "users_popular": 59, "items_listed": 10, "items_eligible": 20},
        "accounting": {f"{word}.csv": {"read": 10, "kept": 7, "duplicate": 1, "filtered": 0,
                                       "quarantined": 2, "blank": 0}},
        "quarantine": {word: 2},
        "catalogue": {"items": 20, "available": 18, "with_image": 10},
        "evaluation": evaluation(word),
        "course": {"losses": [3.0, 2.0], "best_epoch": 1,
                   "epochs": [{"loss": 3.0, "validation": 0.1}, {"loss": 2.0, "validation": 0.2}]},
        "weights": {"similarity": 0.7, word: -0.2},
        "gates": [{"name": word, "value": 0, "limit": "0", "verdict": "pass"}],
        "examples": [{"user_id": CANARY, "picks": [pick], "history": (f"history {CANARY}", word)}],
        **changes,
    }  # fmt: skip


def test_a_picture_of_everything() -> None:
    text = " ".join(Tags(report.render(page())).words)
    for words in ("Lists for 2026-11-20", "all 1 gates passed", "3,000", "50 % of those",
                  "6.0 %", "2.00", "recall_at_10", "0.0600", "-0.0300 *", "user 1", "1.250",
                  "7.0 % of the chosen items", "Epoch", "The lists are better"):  # fmt: skip
        assert words in text, words
    # the popularities of both half-lives are one reason: -1 + 0.25
    assert "-0.75" in text


def test_only_differences_that_exclude_0_have_a_star() -> None:
    unsure = evaluation()
    for row in unsure["rows"][4:]:
        row |= {"difference_low": -0.07, "difference_high": 0.01}
    text = " ".join(Tags(report.render(page(evaluation=unsure))).words)
    assert "-0.0300 " in text
    assert "-0.0300 *" not in text


def test_what_a_row_is_made_of_is_told_and_the_history_that_drew_it_only_where_asked_for() -> None:
    assert "fused of image 74 %, text 26 %" in " ".join(
        " ".join(Tags(report.render(page())).words).split()
    )
    assert CANARY not in report.render(page())
    assert f"drawn {CANARY}" in report.render(page(show_ids=True))


def test_large_measures_are_written_out() -> None:
    gate = {"name": "little_log", "limit": "at least 1,000", "verdict": "pass", "measured": 201111}
    assert ">201,111<" in report.render(page(gates=[gate]))


def test_s6_no_markup_of_the_catalogue_runs() -> None:
    plain = Tags(report.render(page()))
    for word in MARKUP:
        nasty = Tags(report.render(page(word)))
        assert nasty.tags == plain.tags
        assert {(tag, name) for tag, name, _ in nasty.attributes} == {
            (tag, name) for tag, name, _ in plain.attributes
        }


def test_s6_markup_stands_there_as_text() -> None:
    nasty = Tags(report.render(page(MARKUP[0])))
    assert MARKUP[0] in nasty.words


def test_s9_control_characters_are_made_visible() -> None:
    html = report.render(page(MARKUP[-1]))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", html)
    assert "\\x1b" in html


def test_s6_nothing_is_loaded_or_run() -> None:
    html = report.render(page(show_ids=True))
    parsed = Tags(html)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(parsed.tags)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", "content", policy) in parsed.attributes
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on")
        if name in {"src", "href"}:
            assert value
            assert value.startswith("data:image/" if tag == "img" else "#")
    assert "url(" not in html
    assert "@import" not in html


def test_s10_no_user_is_named() -> None:
    html = report.render(page())
    assert CANARY not in html
    assert "user 1" in html
    assert CANARY in report.render(page(show_ids=True))


def test_the_same_page_is_the_same_bytes() -> None:
    assert report.render(page()) == report.render(Page.model_validate(page()))


def test_parts_that_are_left_out() -> None:
    parsed = Tags(report.render({"day": "2026-11-20", "release": "r"}))
    assert "section" not in parsed.tags
    assert "img" not in parsed.tags


def test_other_scripts_stay_as_they_are() -> None:
    assert "قميص 音楽 🎷" in report.render(page("قميص 音楽 🎷"))


def test_a_failed_gate_is_said_first() -> None:
    gate = {"name": "g", "value": 12, "limit": "0", "verdict": "fail"}
    assert "1 of 1 gates failed" in report.render(page(gates=[gate]))


def test_a_popular_list_without_pictures() -> None:
    pick = {"item_id": "i1", "score": 0.0, "terms": {}, "picture": b"not a picture"}
    html = report.render(page(examples=[{"user_id": "x", "source": "popular", "picks": [pick]}]))
    assert "popular list" in html
    assert "data:image/jpeg" not in html


def test_a_word_that_the_page_does_not_know() -> None:
    with pytest.raises(ValidationError, match="gate"):
        report.render(page(gate=[]))


def test_a_term_that_says_nothing_in_any_row_is_left_out() -> None:
    told = page()
    pick = told["examples"][0]["picks"][0]
    pick["terms"] |= {"freshness_3d": 0.0}
    assert "how new it is" not in report.render(told)
    pick["terms"] |= {"freshness_3d": 0.5}
    assert "how new it is" in report.render(told)


def test_bars_of_terms_lie_on_one_axis() -> None:
    # from -1 to 3: a bar of -1 begins at 0 % and is 25 % long, one of 3 begins at 25 %
    assert report._bar(-1, -1, 3) == {"value": -1, "left": 0, "width": 25, "zero": 25}
    assert report._bar(3, -1, 3) == {"value": 3, "left": 25, "width": 75, "zero": 25}
    assert report._bar(0, 0, 0) == {"value": 0, "left": 0, "width": 0, "zero": 0}


def test_gates_that_were_missed_come_first_and_say_by_how_much() -> None:
    rows = [
        {"name": "steady", "limit": "at least 0.7 × before", "verdict": "pass", "measured": 3000.0},
        {"name": "overlap", "limit": "at least 0.05", "verdict": "skipped"},
        {"name": "catalogue_shrinks", "means": "Items of the catalogue.", "measured": 600.0,
         "baseline": 1000.0, "value": 0.6, "limit": "at least 0.7 × before", "verdict": "fail",
         "beyond": 0.1},
        {"name": "drift/event", "limit": "at most 0.1", "verdict": "warn", "measured": 0.2},
    ]  # fmt: skip
    html = report.render(page(gates=rows, notice="The night was <refused>."))
    names = ("Catalogue shrinks", "Drift: event", "Steady", "Overlap")
    order = [html.index(name) for name in names]
    assert order == sorted(order)
    assert "1 of 3 gates failed" in html
    assert "missed by 0.1" in html
    assert "1,000" in html
    assert html.index("Not judged") < order[-1]
    assert "The night was &lt;refused&gt;." in html
    warned = report.render(page(gates=rows[3:]))
    assert "no gate failed, 1 of 1 warn" in warned

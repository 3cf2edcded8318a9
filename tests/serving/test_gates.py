"""Each gate just inside of its limits and just outside; changed tables; what a refusal says."""

import math
from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from pipelines.settings import Settings
from recsys.errors import GateFault, UsageFault
from recsys.serving import gates
from recsys.serving.baseline import Baseline
from recsys.serving.gate_table import TABLE
from recsys.serving.gates import Gate, GateSettings
from recsys.settings import load

STEP = 1e-6
# gate, measured, before (None: an absolute gate), where a warning begins, where a refusal begins
CASES = [
    ("catalogue_shrinks", "items", 1000, 900, 700),
    ("catalogue_grows", "items", 1000, 1500, 4000),
    ("offer_shrinks", "items_eligible", 500, 450, 350),
    ("nothing_to_list", "items_eligible", None, None, 1),
    ("content_missing", "missing/image", 0.25, 0.27, 0.35),
    ("old_events", "newest_age_hours", None, 26, 36),
    ("few_events_last_day", "daily/purchase", None, 0.7, 0.3),
    ("many_events_last_day", "daily/all", None, 2.5, 4),
    ("rows_lost", "rows_read", 10_000, 9_500, 7_000),
    ("rows_gained", "rows_read", 10_000, 20_000, 40_000),
    ("quarantine", "quarantine_share", 0.001, 0.003, 0.011),
    ("unknown_items", "unknown_item_share", 0.01, 0.02, 0.06),
    ("duplicates", "duplicate_share", 0.1, 0.15, None),
    ("little_log", "events", None, 50_000, 1_000),
    ("few_users", "learners", None, 1_000, 25),
    ("one_user", "largest_user_share", None, 0.1, 0.2),
    ("one_of_many_users", "largest_user_share_of_many", None, 0.01, None),
    ("one_item", "largest_item_share_of_day", 0.05, 0.15, 0.3),
    ("drift", "drift/category", None, 0.1, None),
    ("zero_vectors", "zero_vector_share", None, None, 0),
    ("broken_vectors", "broken_vector_share", None, None, 0),
    ("one_direction", "mean_cosine", None, 0.8, 0.95),
    ("directions", "directions", 20, 10, 2),
    ("training_loss", "training_loss", 5, 6, 10),
    ("validation_recall", "validation_recall", 0.2, 0.16, 0.1),
    ("recall", "recall_high_over_last/at_10", None, 0.97, 0.9),
    ("segment_recall", "segment_recall_high_over_last/user_new", None, 0.9, 0.75),
    ("beats_popular", "gain_over_popular_high/at_10", None, None, 0),
    ("gains_on_popular", "gain_over_popular/at_10", None, 0, None),
    ("users_without_list", "users_without_list", None, None, 0),
    ("lists_of_strangers", "lists_of_strangers", None, None, 0),
    ("short_lists", "short_lists", None, None, 0),
    ("long_lists", "long_lists", None, None, 0),
    ("forbidden_items", "forbidden_items", None, None, 0),
    ("items_had", "items_had", None, None, 0),
    ("broken_lists", "broken_lists", None, None, 0),
    ("canary", "canary_overlap", None, 0.99, 0.95),
    ("same_list", "same_list_share", None, 0.01, 0.05),
    ("one_item_in_lists", "largest_item_share", None, 0.5, 0.9),
    ("one_item_rises", "largest_item_share", 0.1, 0.3, 0.4),
    ("head_of_lists", "head_share", 0.1, 0.12, 0.2),
    ("coverage", "coverage", 0.5, 0.4, 0.25),
    ("popular_lists", "popular_share", 0.1, 0.15, 0.3),
    ("overlap", "overlap", None, 0.1, 0.05),
    ("own_list", "overlap_own_over_others", None, 1.2, 1.05),
    ("stuck_lists", "stuck_lists", None, None, 0),
    ("users", "users", 1000, 900, 700),
    ("list_seconds", "list_seconds", 100, 200, 500),
]
Case = tuple[str, str, float | None, float | None, float | None]


def judged(
    measures: Mapping[str, float], before: Mapping[str, float] | None = None, **settings: object
) -> dict[str, Gate]:
    """Gates that were judged, by name."""
    known = Baseline(last=before or {}, median=before or {})
    table = gates.judge(GateSettings.model_validate(settings), measures, known)
    return {gate.name: gate for gate in table if gate.verdict not in ("skipped", "off")}


def verdict(case: Case, measured: float) -> str:
    name, metric, before, _, _ = case
    table = judged({metric: measured}, {} if before is None else {metric: before})
    part = metric.partition("/")[2]
    return table[f"{name}/{part}" if part else name].verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_just_inside_and_just_outside(case: Case) -> None:
    name, _, before, warn, fail = case
    bad = 1 if TABLE[name].worse == "above" else -1
    step = STEP * (before or 1)
    if warn is not None:
        assert verdict(case, warn - bad * step) == "pass"
        assert verdict(case, warn + bad * step) == "warn"
    if fail is not None:
        assert verdict(case, fail - bad * step) == ("pass" if warn is None else "warn")
        assert verdict(case, fail + bad * step) == "fail"


def test_every_gate_has_its_case() -> None:
    assert [case[0] for case in CASES] == list(TABLE)


@pytest.mark.parametrize("name", ["users_without_list", "old_events", "beats_popular", "overlap"])
def test_the_limit_itself_is_allowed(name: str) -> None:
    case = next(case for case in CASES if case[0] == name)
    assert case[4] is not None
    assert verdict(case, case[4]) in ("pass", "warn")


@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_fails(measured: float) -> None:
    gate = judged({"training_loss": measured}, {"training_loss": 5.0})["training_loss"]
    assert (gate.verdict, gate.measured) == ("fail", None)
    assert "not a number" in gate.told()
    assert judged({"drift/event": measured})["drift/event"].verdict == "warn"


def test_without_a_baseline_only_absolute_gates_speak() -> None:
    measures = {"items": 10.0, "newest_age_hours": 40.0, "coverage": 0.5}
    assert set(judged(measures)) == {"old_events"}
    assert judged({"items": 10.0}, {"items": 0.0}) == {}  # no ratio to nothing


def test_one_rule_judges_every_part() -> None:
    table = judged({"daily/all": 1.0, "daily/cart": 0.5, "daily/view": 0.1, "dailyness": 0.0})
    few = {name: gate.verdict for name, gate in table.items() if name.startswith("few_events")}
    assert few == {
        "few_events_last_day/all": "pass",
        "few_events_last_day/cart": "warn",
        "few_events_last_day/view": "fail",
    }


def test_last_and_usual_are_told_apart() -> None:
    before = Baseline(last={"coverage": 0.3, "users": 90.0}, median={"coverage": 0.6, "users": 50})
    table = gates.judge(GateSettings(), {"coverage": 0.29, "users": 60.0}, before)
    found = {gate.name: gate for gate in table if gate.verdict not in ("skipped", "off")}
    assert found["coverage"].baseline == 0.6  # of the median
    assert found["coverage"].verdict == "fail"
    assert found["users"].baseline == 90  # of the last one
    assert found["users"].verdict == "fail"


def test_limits_can_be_moved_and_gates_switched_off() -> None:
    night = {"newest_age_hours": 40.0}
    assert judged(night)["old_events"].verdict == "fail"
    assert judged(night, rules={"old_events": {"fail": 48}})["old_events"].verdict == "warn"
    assert judged(night, rules={"old_events": {"fail": "never"}})["old_events"].verdict == "warn"
    both = {"old_events": {"warn": "never", "fail": 48}}
    assert judged(night, rules=both)["old_events"].verdict == "pass"
    off = GateSettings.model_validate({"rules": {"old_events": {"on": False}}})
    table = {gate.name: gate.verdict for gate in gates.judge(off, night, Baseline())}
    assert table["old_events"] == "off"
    assert table["users_without_list"] == "skipped"


def test_a_rule_of_ones_own() -> None:
    own = {"dull": {"metric": "drift/hour", "warn": 0.01, "fail": 0.02, "means": "Hours move."}}
    gate = judged({"drift/hour": 0.03}, rules=own)["dull"]
    assert (gate.verdict, gate.means) == ("fail", "Hours move.")
    assert gate.beyond == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gates.rules.old_evnts.fail=3", "old_evnts: no such gate"),
        ("gates.rules.old_events.fail=20", "warning's limit lies beyond"),
        ("gates.rules.old_events.fail=soon", "fail"),
        ("gates.rules.old_events.limit=3", "unknown setting"),
        ("gates.window=0", "greater than or equal to 1"),
    ],
)
def test_settings_that_are_refused(override: str, said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        load(Settings, None, [override])


def test_overrides_leave_the_rest_of_a_rule() -> None:
    changed = GateSettings.model_validate({"rules": {"coverage": {"fail": 0.1}}}).table()
    assert changed["coverage"] == TABLE["coverage"].model_copy(update={"fail": 0.1})
    assert {name: rule for name, rule in changed.items() if name != "coverage"} == {
        name: rule for name, rule in TABLE.items() if name != "coverage"
    }
    with pytest.raises(ValidationError):
        GateSettings.model_validate({"rules": {"coverage": {"fail": 0.9}}})


def test_a_refusal_says_which_gate_and_by_how_much() -> None:
    table = list(
        judged({"items": 600.0, "users": 95.0}, {"items": 1000.0, "users": 100.0}).values()
    )
    with pytest.raises(GateFault) as caught:
        gates.require(table, "runs/7/report.html")
    text = str(caught.value)
    assert caught.value.exit_code == 4
    assert "1 of 3 gates failed, so nothing is published" in text
    assert "catalogue_shrinks: 600 (before: 1,000); at least 0.7 × before" in text
    assert "missed by 0.1" in text
    assert "runs/7/report.html" in text
    assert "gates.rules.catalogue_shrinks.fail" in text
    gates.require([gate for gate in table if gate.verdict != "fail"], "")


def test_rows_are_plain_values() -> None:
    row = gates.rows(list(judged({"users": 95.0}, {"users": 100.0}).values()))[0]
    assert row == {
        "name": "users",
        "means": "Users with a list.",
        "measured": 95.0,
        "baseline": 100.0,
        "value": 0.95,
        "limit": "at least 0.7 × before, a warning from 0.9",
        "verdict": "pass",
        "beyond": 0.0,
    }


def test_a_summary_names_who_did_not_pass() -> None:
    table = judged(
        {"items": 600.0, "users": 85.0, "coverage": 0.5}, {"items": 1000.0, "users": 100}
    )
    rows = [*gates.rows(list(table.values())), {"name": "drift", "verdict": "skipped"}]
    assert gates.summary(rows) == "1 of 3 gates passed; failed: catalogue_shrinks; warned: users"
    assert gates.summary(rows[1:2]) == "1 of 1 gates passed"


def test_what_is_accepted_warns_and_says_why() -> None:
    accepted = GateSettings(accept=("little_log",), reason="a new shop")
    judged = {gate.name: gate for gate in gates.judge(accepted, {"events": 3}, Baseline())}
    assert judged["little_log"].verdict == "warn"
    assert judged["little_log"].limit.endswith("; accepted: a new shop")
    gates.require(list(judged.values()), "report.html")
    with pytest.raises(GateFault, match="--accept little_log"):
        gates.require(gates.judge(GateSettings(), {"events": 3}, Baseline()), "report.html")


@pytest.mark.parametrize(
    ("accept", "reason", "said"),
    [("little_log", " ", "needs a reason"), ("litle_log", "x", "no such gate")],
)
def test_only_a_gate_of_the_table_is_accepted_and_with_a_reason(
    accept: str, reason: str, said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        GateSettings(accept=(accept,), reason=reason)

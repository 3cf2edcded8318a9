"""The gates as they come: one row a rule; `gates.rules` in the settings changes any of them.

Where a number has a source it is named; the others are judgement, to be set by who knows the shop.
"""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from recsys.settings import Section

Of = Literal["value", "ratio", "change"]
Worse = Literal["above", "below"]
Since = Literal["last", "median"]


class Rule(Section):
    """One gate: a measured number and its limits."""

    metric: str = Field(min_length=1, description="what is measured; /* for all that begin so")
    of: Of = Field("value", description="the number itself, its ratio or change to the baseline")
    worse: Worse = Field("above", description="on which side of a limit it is bad")
    warn: FiniteFloat | None = Field(None, description="limit of a warning; None for never")
    fail: FiniteFloat | None = Field(None, description="limit of a refusal; None for never")
    since: Since = Field("last", description="the last good release, or the median of several")
    on: bool = Field(True, description="whether the gate is there at all")
    means: str = Field("", description="a sentence for the report")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn is not None and self.fail is not None:
            order = (self.warn, self.fail) if self.worse == "above" else (self.fail, self.warn)
            if order[0] > order[1]:
                raise ValueError("the warning's limit lies beyond the refusal's")
        return self

    def allowed(self) -> str:
        """The limits in words."""
        limit = self.fail if self.fail is not None else self.warn
        if limit is None:
            return "anything"
        side = "at most" if self.worse == "above" else "at least"
        whose = {"last": "before", "median": "usual"}[self.since]
        what = {
            "value": f"{side} {limit:,g}",
            "ratio": f"{side} {limit:g} × {whose}",
            "change": f"{side} {limit:+g} to {whose}",
        }[self.of]
        if self.fail is None:
            return f"{what}, else a warning"
        if self.warn is None or self.warn == self.fail:
            return what
        return f"{what}, a warning from {self.warn:,g}"


def _value(metric: str, worse: Worse, warn: float | None, fail: float | None, means: str) -> Rule:
    return Rule(metric=metric, worse=worse, warn=warn, fail=fail, means=means)


def _none(metric: str, means: str) -> Rule:
    return Rule(metric=metric, fail=0, means=means)


def _ratio(
    metric: str, worse: Worse, warn: float | None, fail: float | None, means: str,
    since: Since = "last",
) -> Rule:  # fmt: skip
    return Rule(
        metric=metric, of="ratio", worse=worse, warn=warn, fail=fail, since=since, means=means
    )


def _change(metric: str, warn: float | None, fail: float | None, means: str) -> Rule:
    return Rule(metric=metric, of="change", warn=warn, fail=fail, means=means)


LISTS = {
    "users_without_list": _none("users_without_list", "Users who must have a list and have none."),
    "lists_of_strangers": _none("lists_of_strangers", "Lists of users whom nobody knows."),
    "short_lists": _none("short_lists", "Lists shorter than what may be listed allows."),
    "long_lists": _none("long_lists", "Lists longer than asked for."),
    "forbidden_items": _none("forbidden_items", "Places of items that must not be listed."),
    "items_had": _none("items_had", "Places of items that the user has had."),
    "broken_lists": _none(
        "broken_lists", "Rules of lists that are broken: repeats, gaps, rising or absent scores."
    ),
    "canary": _value(
        "canary_overlap", "below", 0.99, 0.95,
        "Some lists made again by themselves, compared with the staged ones (TFX InfraValidator).",
    ),
    "same_list": _value(
        "same_list_share", "above", 0.01, 0.05, "Share of users with the most common list."
    ),
    "one_item_in_lists": _value(
        "largest_item_share", "above", 0.5, 0.9, "Share of model lists that hold one and the same."
    ),
    "one_item_rises": Rule(
        metric="largest_item_share", of="change", warn=0.2, fail=0.3, since="median",
        means="Share of model lists that hold one and the same.",
    ),
    "head_of_lists": _ratio(
        "head_share", "above", 1.2, 2, "Share of places of the 1 % most listed items.", "median"
    ),
    "coverage": _ratio(
        "coverage", "below", 0.8, 0.5, "Share of the listable items that some list holds.", "median"
    ),
    "popular_lists": _change(
        "popular_share", 0.05, 0.2, "Share of users who get the popular list for want of a history."
    ),
    "overlap": _value(
        "overlap", "below", 0.1, 0.05, "Mean Jaccard index of a user's list with the last one."
    ),
    "own_list": _value(
        "overlap_own_over_others", "below", 1.2, 1.05,
        "That overlap over the one with somebody else's last list: 1 where users were mixed up.",
    ),
    "stuck_lists": _none("stuck_lists", "1 where events came in and still no list changed."),
    "users": _ratio("users", "below", 0.9, 0.7, "Users with a list."),
    "list_seconds": _ratio(
        "list_seconds", "above", 2, 5, "Seconds that the lists took, from a minute on.", "median"
    ),
}  # fmt: skip
INPUTS = {
    "catalogue_shrinks": _ratio("items", "below", 0.9, 0.7, "Items of the catalogue."),
    "catalogue_grows": _ratio("items", "above", 1.5, 4, "Items of the catalogue."),
    "offer_shrinks": _ratio("items_eligible", "below", 0.9, 0.7, "Items that may be listed."),
    "nothing_to_list": _value(
        "items_eligible", "below", None, 1, "Items that are available, and of no later day."
    ),
    "content_missing": _change("missing/*", 0.02, 0.1, "Share of items without a vector of it."),
    "old_events": _value(
        "newest_age_hours", "above", 26, 36, "Hours since the newest event (dbt: 12 and 24)."
    ),
    "few_events_last_day": _value(
        "daily/*", "below", 0.7, 0.3,
        "Events of the last day over the usual, less the usual spread of a day.",
    ),
    "many_events_last_day": _value(
        "daily/*", "above", 2.5, 4,
        "Events of the last day over the usual, less the usual spread of a day.",
    ),
    "rows_lost": _ratio("rows_read", "below", 0.95, 0.7, "Rows of the log's files."),
    "rows_gained": _ratio("rows_read", "above", 2, 4, "Rows of the log's files."),
    "quarantine": _change("quarantine_share", 0.002, 0.01, "Share of rows set aside."),
    "unknown_items": _change("unknown_item_share", 0.01, 0.05, "Share of rows on unknown items."),
    "duplicates": _change("duplicate_share", 0.05, None, "Share of rows that repeat another."),
    "little_log": _value(
        "events", "below", 50_000, 1_000, "Events to learn from (Amazon Personalize asks as much)."
    ),
    "few_users": _value(
        "learners", "below", 1_000, 25, "Users with two events (Amazon Personalize asks as much)."
    ),
    "one_user": _value("largest_user_share", "above", 0.1, 0.2, "One user's share of all events."),
    "one_of_many_users": _value(
        "largest_user_share_of_many", "above", 0.01, None,
        "The same where there are a thousand users.",
    ),
    "one_item": _change("largest_item_share_of_day", 0.1, 0.25, "One item's share of a day."),
    "drift": _value(
        "drift/*", "above", 0.1, None,
        "Population stability index of the last week to what was before: 0.1 moderate, 0.25 large.",
    ),
}  # fmt: skip
MODEL = {
    "zero_vectors": _none("zero_vector_share", "Share of items whose vector is zero."),
    "broken_vectors": _none("broken_vector_share", "Share of items whose vector is not finite."),
    "one_direction": _value(
        "mean_cosine", "above", 0.8, 0.95, "Mean cosine of two items: near 1 all are the same."
    ),
    "directions": _ratio("directions", "below", 0.5, 0.1, "Effective rank of the item vectors."),
    "training_loss": _ratio("training_loss", "above", 1.2, 2, "Loss of the epoch that was kept."),
    "validation_recall": _ratio(
        "validation_recall", "below", 0.8, 0.5, "Recall of the towers on the validation window."
    ),
    "recall": _value(
        "recall_high_over_last/*", "below", 0.97, 0.9,
        "Upper end of the lists' recall interval over the last good release's recall.",
    ),
    "segment_recall": _value(
        "segment_recall_high_over_last/*", "below", 0.9, 0.75,
        "The same by segment, where it has a thousand users.",
    ),
    "beats_popular": _value(
        "gain_over_popular_high/*", "below", None, 0,
        "Upper end of the interval of recall gained over the popular list.",
    ),
    "gains_on_popular": _value(
        "gain_over_popular/*", "below", 0, None, "Recall gained over the popular list."
    ),
}  # fmt: skip
TABLE = INPUTS | MODEL | LISTS

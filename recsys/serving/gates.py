"""What must hold before anything goes live: a table of rules over what was measured of a night.

A rule compares one measured number, or its ratio to the last good releases', with a warning and a
failing limit. The night gathers the numbers, judges them here, and publishes only where none fails;
they are kept with the release, so that the next night has its baseline.
"""

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from recsys.errors import GateFault
from recsys.serving.baseline import Baseline
from recsys.serving.gate_table import TABLE, Of, Rule, Since, Worse
from recsys.settings import Section

Verdict = Literal["pass", "warn", "fail", "skipped", "off"]
WHOLE = 10_000  # from here on numbers are shown without a fraction
Limit = FiniteFloat | Literal["never"] | None


class RuleChange(Section):
    """What differs from a rule of the table; a new name makes a rule of its own."""

    on: bool = Field(True, description="whether the gate is there at all")
    warn: Limit = Field(None, description="limit of a warning, or never; as it was where absent")
    fail: Limit = Field(None, description="limit of a refusal, or never; as it was where absent")
    metric: str = Field("", description="what is measured, /* at its end for all that begin so")
    of: Of | None = Field(None, description="the number itself, its ratio or change to the last")
    worse: Worse | None = Field(None, description="on which side of the limit it is bad")
    since: Since | None = Field(None, description="the last good release, or the median of them")
    means: str = Field("", description="a sentence for the report")


class GateSettings(Section):
    """What a night has to pass; `rules.NAME.fail=0.5` moves a limit, `.on=false` drops a gate."""

    rules: dict[str, RuleChange] = Field({}, description="changes to the table of gates, by name")
    window: int = Field(7, ge=1, le=100, description="good releases that a median is taken over")
    fewest: int = Field(
        20, ge=1, description="users or events below which a share or a ratio is not judged"
    )
    overlap_days: int = Field(
        3, ge=1, description="age of the last good release up to which lists are compared with it"
    )
    accept: tuple[str, ...] = Field(
        (), description="gates whose refusal is meant, for this night: they warn instead"
    )
    reason: str = Field("", description="why they are accepted; needed, and kept with the release")
    refilter: bool = Field(
        False,
        description="after a refusal, publish the live lists again without what became unavailable",
    )
    refilter_at_most: float = Field(
        0.3, ge=0, le=1, description="share of rows that may fall out then; more is not believed"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        unknown = set(self.accept) - set(self.table())
        if unknown:
            raise ValueError(f"accept: no such gate: {', '.join(sorted(unknown))}")
        if self.accept and not self.reason.strip():
            raise ValueError("accept needs a reason, which the release keeps")
        return self

    def table(self) -> dict[str, Rule]:
        """The rules with their changes, by name.

        Raises:
            ValueError: a rule of the user's own names no metric, or a warning comes after its
                refusal.
        """
        return {
            name: _changed(name, TABLE.get(name), self.rules.get(name, RuleChange()))
            for name in (*TABLE, *(name for name in self.rules if name not in TABLE))
        }


@dataclass(frozen=True)
class Gate:
    """One line of a night's gate table.

    Attributes:
        name: of the rule, and after a slash of the part that it was judged for.
        means: what is looked at, a sentence.
        measured: tonight's number; None where there is none or it is not finite.
        baseline: what it is compared with; None for rules over the number itself.
        value: what the limits are for: the number, its ratio or its change.
        limit: what is allowed, in words.
        verdict: the outcome; `skipped` where there is nothing to measure or to compare with.
        beyond: by how much the value lies outside of the limit that it broke; 0 inside.
    """

    name: str
    means: str
    measured: float | None
    baseline: float | None
    value: float | None
    limit: str
    verdict: Verdict
    beyond: float = 0.0

    def told(self) -> str:
        """One line: which gate, what was found, what is allowed and by how much it is missed."""
        found = "not a number" if self.measured is None else _amount(self.measured)
        if self.baseline is not None:
            found += f" (before: {_amount(self.baseline)})"
        beyond = f", missed by {_amount(self.beyond)}" if self.beyond else ""
        return f"{self.name}: {found}; {self.limit}{beyond}"


def _amount(value: float) -> str:
    """Never 2.1e+04: that is 21,450 events."""
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:,.4g}"


def judge(settings: GateSettings, measures: Mapping[str, float], before: Baseline) -> list[Gate]:
    """Every rule of the table over what was measured, in the order of the table.

    Args:
        settings: the table.
        measures: tonight's numbers by name; what is absent could not be measured, and its gates
            are skipped; what is not finite fails them.
        before: the numbers of the last good releases.
    """
    gates = []
    for name, rule in settings.table().items():
        found = [metric for metric in measures if fnmatch.fnmatchcase(metric, rule.metric)]
        if not rule.on or not found:
            gates.append(_unjudged(name, rule, "off" if not rule.on else "skipped"))
        gates += [
            _judged(_named(name, rule, metric), rule, measures[metric], _base(rule, metric, before))
            for metric in (found if rule.on else ())
        ]
    return [_accepted(gate, settings) for gate in gates]


def require(gates: list[Gate], where: str) -> None:
    """Refuses to publish when a gate failed.

    Args:
        gates: the night's table.
        where: the report that shows it.

    Raises:
        GateFault: naming each failed gate, its value, its limit, and by how much it is missed.
    """
    failed = [gate for gate in gates if gate.verdict == "fail"]
    if failed:
        judged = sum(gate.verdict not in ("skipped", "off") for gate in gates)
        name = failed[0].name.partition("/")[0]
        raise GateFault(
            f"{len(failed)} of {judged} gates failed, so nothing is published: "
            + " | ".join(gate.told() for gate in failed),
            where=where,
            fix="look there, mend the input and run again; where the night is right, say "
            f"so: --accept {name} --reason '...'; or move the limit: gates.rules.{name}.fail=...",
        )


def rows(gates: list[Gate]) -> list[dict[str, Any]]:
    """For manifests and reports."""
    return [asdict(gate) for gate in gates]


def summary(table: Sequence[Mapping[str, Any]]) -> str:
    """A line about the rows of a release's manifest or a run's record: how many passed, who not."""
    names: dict[str, list[str]] = {"fail": [], "warn": [], "pass": []}
    for row in table:
        names.setdefault(row["verdict"], []).append(row["name"])
    judged = sum(len(names[verdict]) for verdict in ("fail", "warn", "pass"))
    told = [f"{len(names['pass'])} of {judged} gates passed"]
    told += [f"failed: {', '.join(names['fail'])}"] if names["fail"] else []
    told += [f"warned: {', '.join(names['warn'])}"] if names["warn"] else []
    return "; ".join(told)


def _changed(name: str, rule: Rule | None, change: RuleChange) -> Rule:
    said = change.model_dump(exclude_unset=True)
    values = ({} if rule is None else rule.model_dump()) | said
    for limit in ("warn", "fail"):
        if values.get(limit) == "never":
            values[limit] = None
        elif limit in said and said[limit] is None:
            values[limit] = getattr(rule, limit, None)
    if not values.get("metric"):
        raise ValueError(f"{name}: no such gate; one of your own needs a metric and limits")
    return Rule.model_validate(values)


def _accepted(gate: Gate, settings: GateSettings) -> Gate:
    if gate.verdict != "fail" or gate.name.partition("/")[0] not in settings.accept:
        return gate
    return replace(gate, verdict="warn", limit=f"{gate.limit}; accepted: {settings.reason}")


def _named(name: str, rule: Rule, metric: str) -> str:
    return f"{name}/{metric.partition('/')[2]}" if rule.metric.endswith("/*") else name


def _base(rule: Rule, metric: str, before: Baseline) -> float | None:
    return (before.last if rule.since == "last" else before.median).get(metric)


def _judged(name: str, rule: Rule, measured: float, base: float | None) -> Gate:
    against = base if rule.of != "value" else None
    if not math.isfinite(measured):
        verdict: Verdict = "warn" if rule.fail is None else "fail"
        return Gate(name, rule.means, None, against, None, rule.allowed(), verdict)
    if rule.of != "value" and (base is None or (rule.of == "ratio" and base == 0)):
        return Gate(name, rule.means, measured, base, None, rule.allowed(), "skipped")
    value = measured
    if base is not None and rule.of != "value":
        value = measured / base if rule.of == "ratio" else measured - base
    verdict, beyond = _outside(rule, value)
    return Gate(name, rule.means, measured, against, value, rule.allowed(), verdict, beyond)


def _outside(rule: Rule, value: float) -> tuple[Verdict, float]:
    """The verdict on a value and how far it lies beyond the limit that it broke."""
    sign = 1 if rule.worse == "above" else -1
    limits: tuple[tuple[Verdict, float | None], ...] = (("fail", rule.fail), ("warn", rule.warn))
    for verdict, limit in limits:
        if limit is not None and sign * (value - limit) > 0:
            return verdict, sign * (value - limit)
    return "pass", 0.0


def _unjudged(name: str, rule: Rule, verdict: Verdict) -> Gate:
    return Gate(name, rule.means, None, None, None, rule.allowed(), verdict)

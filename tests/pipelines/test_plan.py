"""What a load costs: sums by hand, ten times the users cost ten times as much, no nonsense."""

import json
from dataclasses import replace

import pytest

from pipelines import plan
from pipelines.cli import invoke
from pipelines.costs import FITTED, LARGEST, MEASURED, SEARCH, Cost, StageCosts
from pipelines.plan import Load

COSTS = StageCosts(seconds=Cost(1, 2, 3), memory=Cost(1000, 10, 100, 3, 4), disk=Cost(0, 4, 5))
LOAD = Load(users=100, items=10, events=4)


def test_by_hand() -> None:
    # 400 events, 10 items, 100 users: 1 + 800 + 30 s; 1000 + 4000 + 1000 + 700, 1600 + 50 bytes
    one = plan.stage("ingest", LOAD, COSTS)
    assert (one.cpu_seconds, one.memory, one.disk) == (831, 6700, 1650)
    # a night searches 10 items for 100 users, and for each item
    night = plan.stage("nightly", LOAD, COSTS)
    assert night.cpu_seconds == pytest.approx(831 + 1100 * SEARCH, rel=1e-12)


LIBRARIES = 190  # MB of them that lie in files
MEASURED_MB = {  # benchmarks/README.md: users with 20 events each, 2,000 items
    "train": {2_000: 540, 20_000: 1162, 200_000: 1233},
    "nightly": {2_000: 524, 20_000: 642, 200_000: 1299},
}


@pytest.mark.parametrize("name", MEASURED_MB)
def test_memory_is_foretold_within_a_tenth(name: str) -> None:
    for users, measured in MEASURED_MB[name].items():
        memory = plan.stage(name, Load(users, 2_000, 20), MEASURED[name]).memory
        assert memory / 1e6 == pytest.approx(measured + LIBRARIES, rel=0.1)


def test_of_many_users_only_some_are_fitted_on() -> None:
    cost = Cost(1, 0, 0, some=2)
    assert cost.of(FITTED, 0, 0) == 1 + 2 * FITTED == cost.of(10 * FITTED, 0, 0)


@pytest.mark.parametrize("name", list(MEASURED))
def test_ten_times_the_users_cost_at_most_ten_times_as_much(name: str) -> None:
    large = plan.stage(name, replace(LOAD, users=1000), MEASURED[name])
    small = plan.stage(name, LOAD, MEASURED[name])
    assert small.cpu_seconds < large.cpu_seconds <= 10 * small.cpu_seconds
    assert small.disk < large.disk <= 10 * small.disk
    assert small.memory < large.memory <= 10 * small.memory


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["plan", "--users", "50e6", "--items", "10e6"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1:4]] == list(MEASURED)
    assert "an extrapolation" in printed
    assert "All\nconstants are measured" in printed


def test_within_what_was_measured_nothing_is_extrapolated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "extrapolation" not in plan.run(Load(LARGEST.events / 20, LARGEST.items, 20))["text"]
    assert invoke(["plan", "--users", "500", "--items", "2000", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["name"] for stage in stages] == list(MEASURED)


@pytest.mark.parametrize("users", ["0", "-3", "nan", "inf"])
def test_a_number_of_nothing_is_refused(users: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["plan", "--users", users, "--items", "5"]) == 2
    assert "--users has to be above 0" in capsys.readouterr().err

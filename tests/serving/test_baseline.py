"""Which releases a night is compared with."""

import datetime
from pathlib import Path

from recsys import artefacts
from recsys.serving import baseline, release


def publish(root: Path, name: str, users: float, **facts: object) -> None:
    with artefacts.publishing(root, name, release.KIND) as staged:
        (staged.folder / "lists.txt").write_text(name)
        staged.facts |= {"date": name[:10], "measures": {"users": users}, **facts}


def test_none(tmp_path: Path) -> None:
    found = baseline.find(tmp_path, "2026-11-20", 7)
    assert found == baseline.Baseline()
    assert found.days_before(datetime.date(2026, 11, 20)) is None


def test_the_last_and_the_median(tmp_path: Path) -> None:
    for day, users in (("17", 10.0), ("18", 40.0), ("19", 20.0)):
        publish(tmp_path, f"2026-11-{day}-a", users)
    found = baseline.find(tmp_path, "2026-11-20", 7)
    assert found.names == ("2026-11-19-a", "2026-11-18-a", "2026-11-17-a")
    assert (found.last["users"], found.median["users"]) == (20, 20)
    assert found.folder == tmp_path / "2026-11-19-a"
    assert found.days_before(datetime.date(2026, 11, 20)) == 1
    assert baseline.find(tmp_path, "2026-11-20", 2).median["users"] == 30


def test_only_earlier_days_count(tmp_path: Path) -> None:
    for day in ("18", "19", "20", "21"):
        publish(tmp_path, f"2026-11-{day}-a", 1.0)
    assert baseline.find(tmp_path, "2026-11-20", 1).names == ("2026-11-19-a",)


def test_of_one_day_the_live_one(tmp_path: Path) -> None:
    publish(tmp_path, "2026-11-19-b", 1.0)
    publish(tmp_path, "2026-11-19-a", 2.0)
    assert baseline.find(tmp_path, "2026-11-20", 7).names == ("2026-11-19-a",)


def test_what_was_rolled_back_is_not_good(tmp_path: Path) -> None:
    for day in ("17", "18", "19"):
        publish(tmp_path, f"2026-11-{day}-a", 1.0)
    artefacts.point(tmp_path, "2026-11-17-a")
    assert baseline.find(tmp_path, "2026-11-20", 7).names == ("2026-11-17-a",)


def test_what_was_only_filtered_again_is_not_good(tmp_path: Path) -> None:
    publish(tmp_path, "2026-11-19-a", 1.0)
    publish(tmp_path, "2026-11-19-refiltered-b", 2.0, refiltered_from="2026-11-19-a")
    assert baseline.find(tmp_path, "2026-11-20", 7).names == ("2026-11-19-a",)


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    for day in ("17", "18", "19"):
        publish(tmp_path, f"2026-11-{day}-a", 1.0)
    (tmp_path / "2026-11-19-a" / "lists.txt").write_text("other bytes..")
    (tmp_path / "2026-11-18-a" / "manifest.json").write_text("{")
    assert baseline.find(tmp_path, "2026-11-20", 7).names == ("2026-11-17-a",)


def test_a_release_from_before_there_were_measures(tmp_path: Path) -> None:
    with artefacts.publishing(tmp_path, "2026-11-19-a", release.KIND) as staged:
        staged.facts["date"] = "2026-11-19"
    found = baseline.find(tmp_path, "2026-11-20", 7)
    assert (found.names, found.last, found.median) == (("2026-11-19-a",), {}, {})

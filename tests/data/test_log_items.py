"""A log without a catalogue: refused with the way on, or the ids of its usable rows."""

import datetime
from pathlib import Path

import polars as pl
import pytest

from recsys.data import catalogue, log_items
from recsys.data.catalogue import CatalogueSettings
from recsys.data.erasure import Erased, pseudonym
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

NOW = 1_800_000_000.0
LOG = (
    "user_id,item_id,timestamp\n"
    "u1,7,2026-07-01T00:00:00Z\n"
    "u1,12,2026-07-02T00:00:00Z\n"
    "u2,7,2026-07-02T00:00:00Z\n"
    "u2,99,yesterday\n"
)


@pytest.fixture
def data(tmp_path: Path) -> DataSettings:
    """Settings of a dataset folder that holds a log and nothing else."""
    (tmp_path / "interactions.csv").write_text(LOG)
    return DataSettings(folder=str(tmp_path), items_from_log=True, quarantine_fail=0.5)


def test_ids_of_usable_rows_are_the_catalogue(data: DataSettings, tmp_path: Path) -> None:
    found = catalogue.read(data, CatalogueSettings(), tmp_path, from_log=log_items.read(data, NOW))
    assert found.items["item_id"].to_list() == ["12", "7"]
    assert found.items["available"].all()
    assert "data.items_from_log" in found.warnings[0]


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    log = pl.DataFrame({"user_id": [1], "item_id": [7], "timestamp": [moment]})
    log.write_parquet(tmp_path / "interactions.parquet")
    data = DataSettings(folder=str(tmp_path), items_from_log=True)
    found = catalogue.read(data, CatalogueSettings(), tmp_path, from_log=log_items.read(data, NOW))
    assert found.items["item_id"].to_list() == ["7"]
    assert found.item_id_type == "int"


def test_an_erased_item_is_none(data: DataSettings) -> None:
    gone = Erased(items={pseudonym("item", "7"): 1})
    table = log_items.read(data, NOW, gone)
    assert table is not None
    assert table.frame["item_id"].to_list() == ["12"]


def test_a_table_that_is_there_counts(data: DataSettings, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id\n7\n")
    assert log_items.read(data, NOW) is None


def test_without_leave_it_is_refused_and_the_way_on_said(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(LOG)
    strict = DataSettings(folder=str(tmp_path))
    assert log_items.read(strict, NOW) is None
    with pytest.raises(InputFault, match="a log alone will do with data"):
        catalogue.read(strict, CatalogueSettings(), tmp_path)

"""Cells of the catalogue against plain Python."""

import math
from decimal import Decimal, InvalidOperation

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import item_cells
from recsys.data.entities import FILE
from recsys.data.raw import RawTable
from recsys.data.settings import DataSettings
from recsys.errors import InputFault


def typed(name: str, values: pl.Series | list[object]) -> tuple[pl.Series, pl.DataFrame]:
    """The typed column, and the quarantine of its cells."""
    column = pl.Series(name, values, strict=False)
    frame = pl.DataFrame(
        {
            "row": range(1, column.len() + 1),
            "byte_offset": [None] * column.len(),
            "item_id": [f"{row}" for row in range(column.len())],
        },
        schema={"row": pl.Int64, "byte_offset": pl.Int64, "item_id": pl.String},
    ).with_columns(column)
    table = RawTable("items.csv", frame, pl.DataFrame())
    items, rows, cells = item_cells.typed(table, DataSettings(timezone="UTC"))
    assert rows.is_empty()
    assert items[FILE].to_list() == ["items.csv"] * column.len()
    return items[name], cells


def price(text: str) -> float | None:
    """The oracle: a plain decimal number of 0 or more."""
    text = text.strip()
    if not set(text) <= set("0123456789.") or text.startswith(".") or text.endswith("."):
        return None
    try:
        return float(Decimal(text))
    except InvalidOperation:
        return None


numbers = st.one_of(
    st.text("0123456789.,-+eE $", max_size=8),
    st.decimals(0, 10**6, places=2, allow_nan=False).map(str),
    st.sampled_from(["nan", "inf", "1_000", "٣", "1e3", "0x1", "5.", ".5", "-0"]),
)


@given(st.lists(numbers, min_size=1, max_size=8))
def test_prices_as_texts(texts: list[str]) -> None:
    found, bad = typed("price", pl.Series(texts, dtype=pl.String))
    assert found.to_list() == [price(text) for text in texts]
    expected = [
        row for row, text in enumerate(texts, start=1) if text.strip() and price(text) is None
    ]
    assert bad["row"].to_list() == expected


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=8))
def test_prices_as_numbers(values: list[float | None]) -> None:
    found, bad = typed("price", pl.Series(values, dtype=pl.Float64))
    good = [value is not None and math.isfinite(value) and value >= 0 for value in values]
    assert found.is_not_null().to_list() == good
    assert bad.height == sum(
        value is not None and not right for value, right in zip(values, good, strict=True)
    )


@given(st.lists(st.one_of(st.none(), st.lists(st.sampled_from(["a", "b ", "", " "]))), max_size=6))
def test_lists(values: list[list[str] | None]) -> None:
    found, _ = typed("category", pl.Series(values, dtype=pl.List(pl.String)))
    assert found.to_list() == [
        list(dict.fromkeys(part.strip() for part in value or [] if part.strip()))
        for value in values
    ]


@pytest.mark.parametrize(
    ("values", "expected", "bad_rows"),
    [
        ([True, False, None], [True, False, False], [3]),
        ([1, 0, 2], [True, False, False], [3]),
        ([1.0, 0.0, 0.5], [True, False, False], [3]),
        (["True", " 0 ", "Yes", "n", ""], [True, False, True, False, False], [5]),
        (["sold out"], [False], [1]),
    ],
)
def test_availability(values: list[object], expected: list[bool], bad_rows: list[int]) -> None:
    found, bad = typed("available", values)
    assert found.to_list() == expected
    assert bad["row"].to_list() == bad_rows


@pytest.mark.parametrize(
    ("name", "values", "dtype"),
    [
        ("title", [{"en": "x"}], None),
        ("price", [[1.0]], None),
        ("category", [[["x"]]], None),
        ("image", [{"path": "x"}], None),
        ("available", [[True]], None),
        ("created_at", [[1]], None),
        ("description", [b"x"], pl.Binary),
    ],
)
def test_columns_of_no_usable_type(name: str, values: list[object], dtype: pl.DataType) -> None:
    with pytest.raises(InputFault, match=name) as fault:
        typed(name, pl.Series(values, dtype=dtype))
    assert "items.csv" in fault.value.where


def test_a_description_in_lines_is_joined() -> None:
    found, _ = typed("description", [["one", "two"], None])
    assert found.to_list() == ["one\ntwo", ""]


def test_categorical_attributes_become_texts() -> None:
    found, _ = typed("colour", pl.Series(["red"], dtype=pl.Categorical))
    assert found.dtype == pl.String

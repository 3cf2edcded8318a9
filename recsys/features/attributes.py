"""Categories, brand, price and other columns as one modality: indicators and standardised numbers.

Fitted on the items that training knows; the state is JSON and travels with the model. Columns stand
in the order of their names, for JSON keeps no other.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.features.settings import AttributeSettings

Vectors = npt.NDArray[np.float32]
State = dict[str, Any]


def fit(items: pl.DataFrame, settings: AttributeSettings) -> State:
    """Learns the values of text columns and the scale of numbers.

    Args:
        items: catalogue rows that training knows.
        settings: which columns; those that the catalogue lacks are left out.

    Returns:
        JSON-able: per column `values` (texts) or `mean`, `deviation` (of log(1 + x) if never
        negative, as prices are).
    """
    columns: State = {}
    for name in settings.columns if settings.enabled else ():
        if name not in items.columns:
            continue
        column = items[name]
        if column.dtype.is_numeric():
            columns[name] = _scale(column.drop_nulls().cast(pl.Float64).to_numpy())
        else:
            counts = Counter(value for values in _texts(column) for value in values)
            ordered = sorted(counts, key=lambda value: (-counts[value], value))
            columns[name] = {"values": ordered[: settings.most_values]}
    return {"columns": columns}


def width(state: State) -> int:
    """D of the vectors that `encode` makes."""
    return sum(len(column.get("values", (0,))) for _, column in _ordered(state))


def encode(items: pl.DataFrame, state: State) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Vectors `[N, D]` and which items have any known value at all `[N]`."""
    vectors = np.zeros((len(items), width(state)), np.float32)
    present = np.zeros(len(items), np.bool_)
    start = 0
    for name, column in _ordered(state):
        if "values" in column:
            places = {value: start + place for place, value in enumerate(column["values"])}
            for row, values in enumerate(_texts(items[name]) if name in items.columns else ()):
                for value in values:
                    if value in places:
                        vectors[row, places[value]] = 1.0
                        present[row] = True
            start += len(places)
        else:
            if name in items.columns and items[name].dtype.is_numeric():
                numbers = items[name].cast(pl.Float64).to_numpy()
                known = np.isfinite(numbers)
                vectors[known, start] = _scaled(numbers[known], column)
                present |= known
            start += 1
    return vectors, present


def _ordered(state: State) -> list[tuple[str, Any]]:
    """Columns by name, whatever order the state was read in."""
    return sorted(state["columns"].items())


def _texts(column: pl.Series) -> list[list[str]]:
    """Every item's values as a list of texts."""
    if isinstance(column.dtype, pl.List):
        return [[str(value) for value in values or [] if value] for values in column.to_list()]
    return [[str(value)] if value not in (None, "") else [] for value in column.to_list()]


def _scale(numbers: npt.NDArray[np.float64]) -> State:
    numbers = numbers[np.isfinite(numbers)]
    logarithm = bool(len(numbers) and numbers.min() >= 0)
    values = np.log1p(numbers) if logarithm else numbers
    mean = float(values.mean()) if len(values) else 0.0
    deviation = float(values.std()) if len(values) else 1.0
    return {"log": logarithm, "mean": mean, "deviation": deviation if deviation > 1e-9 else 1.0}


def _scaled(numbers: npt.NDArray[np.float64], column: State) -> npt.NDArray[np.float64]:
    values = np.log1p(np.maximum(numbers, 0)) if column["log"] else numbers
    scaled: npt.NDArray[np.float64] = (values - column["mean"]) / column["deviation"]
    return scaled

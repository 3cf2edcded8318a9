"""Attributes as vectors: by hand, of a catalogue that changed, and after a model was read back."""

import json

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys.features import attributes
from recsys.features.settings import AttributeSettings

ITEMS = pl.DataFrame(
    {
        "price": [1.0, None, np.e**2 - 1],
        "category": [["toy", "red"], ["toy"], []],
        "brand": ["Acme", "", None],
    }
)
CHOSEN = AttributeSettings(columns=("price", "category", "absent", "brand"))


def test_golden_columns_by_name() -> None:
    state = attributes.fit(ITEMS, CHOSEN)
    vectors, present = attributes.encode(ITEMS, state)
    # brand Acme; category toy, red (by frequency); price: logs ln 2 and 2, one deviation around
    # their mean
    assert attributes.width(state) == 4
    np.testing.assert_allclose(vectors, [[1, 1, 1, -1], [0, 1, 0, 0], [0, 0, 0, 1]], atol=1e-6)
    assert present.tolist() == [True, True, True]


@given(st.permutations(["price", "category", "brand"]))
def test_what_was_written_and_read_says_the_same(columns: list[str]) -> None:
    state = attributes.fit(ITEMS, AttributeSettings(columns=tuple(columns)))
    wanted, _ = attributes.encode(ITEMS, state)
    for text in (json.dumps(state, sort_keys=True), json.dumps(state)):
        np.testing.assert_array_equal(attributes.encode(ITEMS, json.loads(text))[0], wanted)
    golden, _ = attributes.encode(ITEMS, attributes.fit(ITEMS, CHOSEN))
    np.testing.assert_array_equal(wanted, golden)  # nor does the order of the settings matter


def test_a_column_that_went_and_values_that_came_are_unknown() -> None:
    state = attributes.fit(ITEMS, CHOSEN)
    later = pl.DataFrame({"category": [["blue"], ["red"]], "brand": ["Acme", "New"]})
    vectors, present = attributes.encode(later, state)
    assert vectors.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert present.tolist() == [True, True]
    vectors, present = attributes.encode(later.clear().select("brand"), state)
    assert vectors.shape == (0, 4)
    assert present.tolist() == []


def test_off_or_few_values() -> None:
    assert attributes.width(attributes.fit(ITEMS, AttributeSettings(enabled=False))) == 0
    few = attributes.fit(ITEMS, AttributeSettings(columns=("category",), most_values=1))
    assert attributes.encode(ITEMS, few)[0].tolist() == [[1], [1], [0]]

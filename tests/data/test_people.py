"""Attributes of users as codes: by hand, of odd values, and the same in another table."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import people
from recsys.user_columns import UserColumn

USERS = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "d"],
        "city": ["Lyon", "Paris", "Paris", None],
        "kids": [1.0, None, 2.0, 1.0],
        "member": [True, False, True, True],
        "tags": [["x"], ["y"], [], []],
    }
)


def test_golden_codes() -> None:
    columns = people.columns(USERS, (), 256)
    assert [column.name for column in columns] == ["city", "kids", "member"]
    assert columns[0].values == ("Paris", "Lyon")
    assert columns[1].values == ("1", "2")  # whole numbers, though stored as floats
    found = people.coded(USERS, columns)
    assert found.codes.tolist() == [[1, 0, 0], [0, -1, 1], [0, 1, 0], [-1, 0, 0]]
    assert found.of(["d", "nobody", "a"]).tolist() == [[-1, 0, 0], [-1, -1, -1], [1, 0, 0]]


def test_rare_values_and_a_limit() -> None:
    (column,) = people.columns(USERS, ("city",), 256, fewest=2)
    assert column.values == ("Paris",)
    (column,) = people.columns(USERS, ("city",), 1)
    assert column.values == ("Paris",)
    assert people.columns(USERS, ("city",), 256, fewest=5) == ()
    assert people.columns(USERS, ("absent",), 256) == ()


def test_many_numbers_fall_into_bands_of_equal_size() -> None:
    users = pl.DataFrame({"user_id": map(str, range(1000)), "age": [*range(999), None]})
    (column,) = people.columns(users, (), 256)
    codes = people.coded(users, (column,)).codes[:, 0]
    assert column.size == 10
    assert codes[-1] == -1
    assert {int((codes == code).sum()) for code in range(10)} <= {99, 100}
    other = pl.DataFrame({"user_id": ["x", "y", "z"], "age": [-5.0, 1e9, float("nan")]})
    assert people.coded(other, (column,)).codes[:, 0].tolist() == [0, 9, -1]
    texts = pl.DataFrame({"user_id": ["x"], "age": ["old"]})
    assert people.coded(texts, (column,)).codes.tolist() == [[-1]]


def test_a_table_without_the_column_or_without_users_says_nothing() -> None:
    columns = (UserColumn(name="city", values=("Paris", "Lyon")),)
    found = people.coded(USERS.drop("city"), columns)
    assert found.codes.tolist() == [[-1], [-1], [-1], [-1]]
    nobody = people.coded(USERS.clear(), columns)
    assert nobody.of(["a"]).tolist() == [[-1]]


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=30))
def test_how_a_number_is_stored_does_not_matter(values: list[int | None]) -> None:
    ids = pl.Series("user_id", [str(row) for row in range(len(values))])
    kinds = (pl.Int64, pl.Float64, pl.String)
    tables = [pl.DataFrame([ids, pl.Series("kids", values, pl.Int64).cast(kind)]) for kind in kinds]
    columns = people.columns(tables[0], (), 256)
    found = [people.coded(table, columns).codes.tolist() for table in tables]
    assert found[0] == found[1] == found[2]

"""The quarantine frame, its messages and its budget."""

import polars as pl
import pytest

from recsys.data import faults
from recsys.errors import InputFault


def bad(count: int, code: str = "empty_id") -> pl.DataFrame:
    """`count` bad rows of the file a.csv."""
    rows = pl.DataFrame({"row": range(2, count + 2), "code": [code] * count})
    return faults.quarantine(rows.with_columns(column=pl.lit("user_id"), value=pl.lit("")), "a.csv")


def test_messages_show_twenty_examples_and_count_the_rest() -> None:
    lines = faults.messages(faults.together([bad(25), bad(1, "bad_weight")]))
    assert len(lines) == 20 + 1 + 1
    assert lines[0] == (
        "a.csv:2:user_id empty_id an empty id (''); allowed: a text that is not blank; "
        "fix: mend the producer"
    )
    assert lines[20] == "... and 5 more of empty_id"


def test_values_are_escaped_and_short() -> None:
    rows = pl.DataFrame({"row": [2], "code": ["bad_weight"], "value": ["\x1b[31m" + "x" * 5000]})
    line = faults.messages(faults.quarantine(rows, "a\n.csv"))[0]
    assert "\x1b" not in line
    assert "\n" not in line
    assert len(line) < 300
    assert faults.quarantine(rows, "a.csv")["value"].str.len_chars()[0] == faults.RAW_CHARACTERS


def test_the_budget_warns_above_one_share_and_refuses_above_another() -> None:
    # 10 of 1,000 rows are 1 %: above 0.1 % a warning, at 1 % not yet refused.
    assert faults.budget(bad(1), 1000, 0.001, 0.01, "items") == []
    assert "10 of 1,000 rows (1.00%)" in faults.budget(bad(10), 1000, 0.001, 0.01, "items")[0]
    with pytest.raises(InputFault, match="empty_id 11"):
        faults.budget(bad(11), 1000, 0.001, 0.01, "items")
    assert faults.budget(faults.empty(), 0, 0.0, 0.0, "items") == []


def test_every_code_says_what_is_wrong_allowed_and_to_do() -> None:
    assert all(len(texts) == 3 and all(texts) for texts in faults.CODES.values())
    assert faults.counts(faults.together([bad(2), bad(3, "bad_weight")])) == {
        "bad_weight": 3,
        "empty_id": 2,
    }

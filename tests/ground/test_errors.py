"""Messages: one block, nothing in them can move a terminal's cursor."""

from recsys.errors import InputFault, shown


def test_a_block_says_what_value_where_and_what_to_do() -> None:
    fault = InputFault("bad row", value="b\x1b[2J42", where="log.csv:17", fix="mend it")
    assert str(fault).splitlines() == [
        "error: bad row",
        "  value: 'b\\x1b[2J42'",
        "  where: log.csv:17",
        "  to do: mend it",
    ]


def test_control_and_bidi_characters_are_escaped() -> None:
    assert "\n" not in InputFault("a\nb").block()
    assert shown("x\u202ey") == "'x\\u202ey'"


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 500)) == 80

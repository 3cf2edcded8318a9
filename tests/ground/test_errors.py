"""Messages: one block, nothing in them can move a terminal's cursor."""

import pytest

from recsys import progress
from recsys.errors import InputFault, escaped_lines, shown


def test_a_block_says_what_value_where_and_what_to_do() -> None:
    fault = InputFault("bad row", value="b\x1b[2J42", where="log.csv:17", fix="mend it")
    assert str(fault).splitlines() == [
        "error: bad row",
        "  value: 'b\\x1b[2J42'",
        "  where: log.csv:17",
        "  to do: mend it",
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_steers_a_terminal_or_adds_a_line(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.write_json(as_json)
    try:
        progress.say("id \x1b[2J \r \x9b2J \u202e end", where="\x1b\n\u202e")
    finally:
        progress.write_json(False)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not set(said) & set("\x1b\r\x9b\u202e")
    assert escaped_lines("one\n\x1btwo") == "one\n\\x1btwo"


def test_control_and_bidi_characters_are_escaped() -> None:
    assert "\n" not in InputFault("a\nb").block()
    assert shown("x\u202ey") == "'x\\u202ey'"


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 500)) == 80

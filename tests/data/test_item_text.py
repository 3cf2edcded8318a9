"""Texts for encoders: what is stripped, what is kept, what counts as missing."""

import hashlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import item_text


def text_of(title: str | None, description: str | None = None, limit: int = 100) -> str | None:
    frame = pl.DataFrame(
        {"title": [title], "description": [description]},
        schema={"title": pl.String, "description": pl.String},
    )
    text = item_text.joined(frame, limit)["text"][0]
    assert text is None or isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("title", "description", "expected"),
    [
        ("Boots", "warm", "Boots\nwarm"),
        ("Boots", None, "Boots"),
        (None, "warm", "warm"),
        # T01, T03: nothing readable is missing
        (None, None, None),
        ("", " \t\r\n\u00a0\u3000", None),
        ("\0\x07\x1b", "\u202e\u2066", None),
        ("\u200b\u200d\ufeff\u2060", "&zwj;&#8203;", None),
        # hidden signs go, the words around them stay
        ("safe\u202egpj.exe", None, "safegpj.exe"),
        ("ign\u200bore", "a\0b\x1b[2J", "ignore\nab[2J"),
        ("soft\u00adware", None, "software"),
        ("hidden\U000e0041", None, "hidden"),
        # T04: nothing of any script is dropped
        ("👨\u200d👩\u200d👧 مرحبا 你好 नमस्ते", None, "👨\u200d👩\u200d👧 مرحبا 你好 नमस्ते"),
        ("می\u200cخواهم", None, "می\u200cخواهم"),
        ("e\u0301", None, "\u00e9"),
        # T05: markup and entities
        ("<b>Big</b> &amp; <i class='x'>small</i>", None, "Big & small"),
        ("<script>alert('1')</script>Hat<style>p{}</style>", None, "Hat"),
        ("a<!-- no -->b<br/>c", None, "a b c"),
        ("&lt;b&gt; &#8238;x &nbsp; y", None, "<b> x y"),
        ("1 < 2 and 3 > 2, I <3 U", None, "1 < 2 and 3 > 2, I <3 U"),
        # T07: plain text, whatever it looks like
        ("=cmd|' /C calc'!A0", "../../etc/passwd", "=cmd|' /C calc'!A0\n../../etc/passwd"),
        ("http://169.254.169.254/", None, "http://169.254.169.254/"),
        ("two\r\nlines\tand tab", None, "two lines and tab"),
    ],
)
def test_texts(title: str | None, description: str | None, expected: str | None) -> None:
    assert text_of(title, description) == expected


def test_long_texts_are_cut_and_said_so() -> None:
    frame = pl.DataFrame(
        {
            "title": ["x" * 30, "x" * 20, "ab", " " * 200, None],
            "description": [None, None, "c" * 18, "far", None],
        }
    )
    found = item_text.joined(frame, 20)
    assert found["text"].to_list() == ["x" * 20, "x" * 20, "ab\n" + "c" * 17, "far", None]
    assert found["text_cut"].to_list() == [True, False, True, True, False]


def test_ten_megabytes_are_read_in_a_moment() -> None:
    # T02: what is far behind the limit is not looked at
    found = item_text.joined(
        pl.DataFrame({"title": ["<" * 10_000_000], "description": ["a&" * 5_000_000]}), 1000
    )
    assert found["text_cut"].to_list() == [True]
    assert len(found["text"][0]) == 1000


def test_hash_is_that_of_the_text() -> None:
    found = item_text.joined(pl.DataFrame({"title": [" Hüt "], "description": ["x"]}), 100)
    assert found["text_hash"][0] == hashlib.sha256("Hüt\nx".encode()).hexdigest()


@given(st.text(max_size=60), st.text(max_size=60))
def test_cleaning_is_total_and_leaves_nothing_hidden(title: str, description: str) -> None:
    text = text_of(title, description, 30)
    if text is not None:
        assert 0 < len(text) <= 30
        assert text.strip()
        assert not any(ord(sign) < 32 and sign != "\n" for sign in text)
        assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u200b\ufeff\x7f\x9b")

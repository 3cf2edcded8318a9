"""The settings' reference: all of them, and a template that is the defaults."""

import re
import tomllib

import pytest
from pydantic import Field

from pipelines.settings import Settings
from recsys import reference
from recsys.errors import near
from recsys.settings import Section, load


class Inner(Section):
    """One."""

    rate: float = Field(0.5, ge=0, lt=1, description="how fast")


class Outer(Section):
    """Two."""

    inner: Inner = Field(Inner(), description="the inner")
    name: str = Field('a "b"', description="what it is called")
    kinds: tuple[str, ...] = Field(("x", "y"), description="which")
    limit: int | None = Field(None, description="at most")


def test_entries_say_what_a_setting_may_be() -> None:
    found = {entry.key: entry for entry in reference.entries(Outer)}
    assert list(found) == ["inner.rate", "name", "kinds", "limit"]
    assert found["inner.rate"].kind == "number, at least 0, below 1"
    assert found["inner.rate"].default == "0.5"
    assert found["kinds"].kind == "list of text"
    assert found["kinds"].default == '["x", "y"]'
    assert found["limit"].kind == "whole number, or unset"
    assert found["limit"].default == ""


def test_a_template_holds_what_was_chosen_and_mentions_the_rest() -> None:
    text = reference.template(Outer, {"inner.rate": 0.25})
    assert tomllib.loads(text) == {"inner": {"rate": 0.25}}
    assert "# limit = (unset)" in text
    assert text.index("# name") < text.index("[inner]")


def test_the_template_of_all_settings_uncommented_is_the_defaults(tmp_path) -> None:
    text = reference.template(Settings, {})
    lines = [line.removeprefix("# ") for line in text.splitlines() if "= (unset)" not in line]
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines))
    assert load(Settings, path) == Settings()
    assert len(lines) > 150


def test_every_setting_says_what_it_does() -> None:
    found = reference.entries(Settings)
    assert len({entry.key for entry in found}) == len(found)
    assert not [entry.key for entry in found if len(entry.about) < 4]
    assert all(re.fullmatch(r"[a-z0-9_.]+", entry.key) for entry in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (1e-5, "1e-05"), ("a\n", '"a\\n"'), ((), "[]"), ({}, "{}"),
     ({"a b": 1.0}, '{ "a b" = 1.0 }'), (None, "")],
)  # fmt: skip
def test_values_as_toml(value: object, text: str) -> None:
    assert reference.toml(value) == text
    if text:
        assert tomllib.loads(f"x = {text}")["x"] == (list(value) if value == () else value)


def test_near_names_even_among_very_many() -> None:
    assert near("epoch", ["epochs", "seed"], 1) == ["epochs"]
    assert near("zzz", ["epochs"]) == []
    assert "u099998" in near("u09999", [f"u{number:06d}" for number in range(100_000)])

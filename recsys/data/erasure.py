"""The list of erased users and items, and which rows are theirs. Ingest drops those; erase adds.

The list holds no ids, only their hashes with their lengths (so that they are recognised inside a
refused line, too). Whoever has the list and guesses an id can confirm the guess, no more.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from recsys import artefacts, durable
from recsys.data import faults
from recsys.errors import shown

Kind = Literal["user", "item"]
KIND = "erasures"
ROOT, NAME, FILE = "erasures", "list", "erased.json"
OWNERS: dict[Kind, tuple[str, ...]] = {"user": ("user_id",), "item": ("item_id", "similar_item_id")}
TEXTS = ("raw", "value")
EXAMPLES = 3  # of files, in a warning
IN_WORD = re.compile(r"[\w-]")


@dataclass(frozen=True)
class Erased:
    """Hashed ids.

    Attributes:
        users, items: `pseudonym` -> length of the id in characters.
    """

    users: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.users or self.items)

    @property
    def digest(self) -> str:
        """A hash of the list; empty for an empty list."""
        if not self:
            return ""
        return hashlib.sha256(" ".join(sorted({*self.users, *self.items})).encode()).hexdigest()

    def of(self, kind: Kind) -> Mapping[str, int]:
        """The hashed ids of users or of items."""
        return self.users if kind == "user" else self.items

    def holds(self, kind: Kind, identifier: str) -> bool:
        """Whether an id is on the list."""
        known = self.of(kind)
        return len(identifier) in known.values() and pseudonym(kind, identifier) in known

    def adding(self, kind: Kind, identifier: str) -> "Erased":
        """The list with one more id."""
        more = {**self.of(kind), pseudonym(kind, identifier): len(identifier)}
        return dataclasses.replace(self, **{f"{kind}s": more})


NOBODY = Erased()


def pseudonym(kind: Kind, identifier: str) -> str:
    """What stands on the list for an id: 32 hex digits of its SHA-256, users and items apart."""
    return hashlib.sha256(f"recsys {kind} {identifier}".encode()).hexdigest()[:32]


def read(work: Path) -> Erased:
    """The list of a work folder; empty where nothing was ever erased.

    Raises:
        InputFault: it is damaged. Going on without it would bring erased people back.
    """
    folder = work / ROOT / NAME
    if not folder.is_dir():
        return NOBODY
    artefacts.read(folder, KIND)
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Erased(found["users"], found["items"])


def remember(work: Path, kind: Kind, identifier: str) -> None:
    """Puts an id on the list of a work folder, durably; one that stands there stays.

    Raises:
        InputFault: the list is damaged.
        ResourceFault: the disk is full or not writable; the list is as it was.
    """
    known = read(work)
    if known.holds(kind, identifier):
        return
    more = known.adding(kind, identifier)
    with artefacts.publishing(work / ROOT, NAME, KIND, current=False) as staged:
        lists = {"users": dict(more.users), "items": dict(more.items)}
        durable.write_json(staged.folder / FILE, lists)


def without(frame: pl.DataFrame, erased: Erased) -> pl.DataFrame:
    """The rows that are of no erased id, in their order."""
    return frame.filter(~concerned(frame, erased)) if erased else frame


def rows_by(column: str, frame: pl.DataFrame, erased: Erased) -> dict[str, int]:
    """How many rows of erased ids stand with each value of a column, in their order."""
    if not erased:
        return {}
    gone = frame.filter(concerned(frame, erased))
    return dict(gone.group_by(column, maintain_order=True).len().iter_rows())


def left_out(rows: Mapping[str, int]) -> list[str]:
    """A warning that a dataset still holds rows of erased ids; their files, and how many."""
    files = [file for file, count in rows.items() if count]
    if not files:
        return []
    named = ", ".join(map(shown, files[:EXAMPLES])) + (", ..." if len(files) > EXAMPLES else "")
    return [
        f"{sum(rows.values()):,} rows of erased users or items are left out; the dataset still "
        f"holds them, and they are yours to delete there: {named}"
    ]


def concerned(frame: pl.DataFrame, erased: Erased) -> pl.Series:
    """Which rows are of an erased id: by their id columns; in a quarantine by what was refused.

    A refused line that cannot be taken apart counts where the id stands in it as a word, whichever
    field that is: rather one refused line too many than a person left behind.
    """
    found = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    for kind, columns in OWNERS.items():
        for name in columns:
            if name in frame.columns and erased.of(kind):
                found |= _in_column(frame[name], kind, erased)
    if set(faults.SCHEMA) <= set(frame.columns):
        for name in TEXTS:
            found |= _in_texts(frame[name], erased)
    return found


def _in_column(ids: pl.Series, kind: Kind, erased: Erased) -> pl.Series:
    texts = ids.cast(pl.String)
    theirs = [text for text in texts.unique().drop_nulls() if erased.holds(kind, text)]
    return texts.is_in(pl.Series(theirs, dtype=pl.String).implode()).fill_null(False)


def _in_texts(texts: pl.Series, erased: Erased) -> pl.Series:
    marks = [text is not None and _in_text(text, erased) for text in texts]
    return pl.Series(marks, dtype=pl.Boolean)


def _in_text(text: str, erased: Erased) -> bool:
    """Whether an erased id stands in a refused line: in its id's field, or as a word."""
    fields = _fields(text)
    kinds: tuple[Kind, ...] = ("user", "item")
    for kind in kinds:
        name = OWNERS[kind][0]
        words = [str(fields[name])] if name in fields else _words(text, erased, kind)
        if any(erased.holds(kind, word) for word in words):
            return True
    return False


def _fields(text: str) -> dict[str, object]:
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(text: str, erased: Erased, kind: Kind) -> list[str]:
    """Pieces of `text` that are as long as an erased id and no part of a longer word."""
    lengths = sorted(set(erased.of(kind).values()))
    edge = functools.partial(_edge, text)
    starts = [place for place in range(len(text)) if edge(place)] if lengths else []
    return [
        text[start : start + length]
        for start in starts
        for length in lengths
        if start + length <= len(text) and edge(start + length)
    ]


def _edge(text: str, place: int) -> bool:
    """Whether no word goes on across a place."""
    inside = 0 < place < len(text)
    return not (inside and IN_WORD.match(text[place - 1]) and IN_WORD.match(text[place]))

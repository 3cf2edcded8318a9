"""An erased id in texts: which words it is, and JSON and SQLite databases without it.

An id that is a plain number or word would be found in texts of any kind: there it is looked for
only where ids stand (`'7'` in a message, error messages, fields of that name). Called by erase.
"""

import functools
import html
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.data import erasure
from recsys.data.erasure import Erased, Kind
from recsys.errors import escaped

MARK = "[erased]"
MESSAGES = {"error", "warnings", "message"}  # fields of records that quote input
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


@dataclass(frozen=True)
class Target:
    """What is to be erased.

    Attributes:
        kind, identifier: of whom or what.
        keys: content keys of embeddings that only this item has.
        paths: folders that the settings name; an id that stands in them is no sign of anything.
    """

    kind: Kind
    identifier: str
    keys: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    @functools.cached_property
    def erased(self) -> Erased:
        """A list with this id alone."""
        return Erased().adding(self.kind, self.identifier)

    @functools.cached_property
    def word(self) -> re.Pattern[str]:
        """The id as a word, as it stands or as pages, JSON and messages write it."""
        return self._pattern(self.identifier)

    @functools.cached_property
    def sure(self) -> re.Pattern[str]:
        """The id where it can mean nothing else; a plain number or word only in quotes."""
        return self.word if self.telling else self._pattern(repr(self.identifier))

    @functools.cached_property
    def telling(self) -> bool:
        """Whether the id can be told from other words: letters and digits, an address, long."""
        text = self.identifier
        if any(self.word.search(path) for path in self.paths):
            return False
        mixed = any(map(str.isalpha, text)) and any(map(str.isdigit, text))
        return (len(text) > 2 and mixed) or "@" in text or (text.isdigit() and len(text) > 8)

    def _pattern(self, text: str) -> re.Pattern[str]:
        ways = {text, json.dumps(text)[1:-1], escaped(text), repr(text)[1:-1], html.escape(text)}
        ways.add(html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))  # Jinja
        ways.discard("")
        longest = sorted(ways, key=lambda way: (-len(way), way))
        either = "|".join(map(re.escape, longest))
        first, last = text[:1], text[-1:]
        before = r"(?<![\w-])" if erasure.IN_WORD.match(first) else ""
        after = r"(?![\w-])" if erasure.IN_WORD.match(last) else ""
        return re.compile(f"{before}(?:{either}){after}")


def scrubbed(value: Any, target: Target) -> tuple[Any, int]:
    """A value of JSON without the id, and how often it stood there."""
    scrubber = _Scrubber(target)
    return scrubber.value(value), scrubber.count


def in_json(text: str, target: Target) -> tuple[str, int]:
    """A JSON text without the id, as `durable.write_json` writes it; how often it stood there."""
    try:
        value, count = scrubbed(json.loads(text), target)
    except ValueError:  # no JSON after all
        return target.sure.subn(MARK, text)
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", count


def in_database(path: Path, target: Target) -> int:
    """In how many cells of a database the id stands.

    Raises:
        sqlite3.Error: the file is no database, or damaged.
    """
    clean = _cleaner(target)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return sum(
            clean(value) != value
            for table, column in _cells(connection)
            for (value,) in connection.execute(f"select {column} from {table}")
        )


def clean_database(path: Path, target: Target) -> None:
    """Rewrites cells in one transaction, then the whole file, so that no freed page keeps them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("cleaned", 1, _cleaner(target), deterministic=True)
        connection.execute("pragma secure_delete = on")
        with connection:
            for table, column in list(_cells(connection)):
                connection.execute(
                    f"update {table} set {column} = cleaned({column}) "
                    f"where {column} is not cleaned({column})"
                )
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _cells(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Every table and column of a database, quoted."""
    tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    for (table,) in tables:
        for row in connection.execute(f"pragma table_info({_quoted(table)})").fetchall():
            yield _quoted(table), _quoted(row[1])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cleaner(target: Target) -> Callable[[Any], Any]:
    return lambda value: target.sure.sub(MARK, value) if isinstance(value, str) else value


class _Scrubber:
    """Walks through JSON and counts what it takes out."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.names = (target.kind, *erasure.OWNERS[target.kind])
        self.count = 0

    def value(self, value: Any, name: str = "", message: bool = False) -> Any:
        if isinstance(value, dict):
            return {
                self.text(key, False): self.value(inner, key, message or key in MESSAGES)
                if key != "settings"
                else self.settings(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.value(inner, name, message) for inner in value]
        if name in self.names and str(value) == self.target.identifier:
            self.count += 1
            return MARK
        return self.text(value, message) if isinstance(value, str) else value

    def settings(self, value: Any) -> Any:
        """Settings come from the operator: only a list of ids can hold it."""
        if isinstance(value, dict):
            return {key: self.settings(inner) for key, inner in value.items()}
        if isinstance(value, list):
            kept = [self.settings(inner) for inner in value if inner != self.target.identifier]
            self.count += len(value) - len(kept)
            return kept
        return value

    def text(self, text: str, message: bool) -> str:
        if message:  # a refused line stands there in quotes, and the id somewhere in it
            text = QUOTED.sub(lambda line: self.without(self.target.word, line[0]), text)
        return self.without(self.target.sure, text)

    def without(self, pattern: re.Pattern[str], text: str) -> str:
        cleaned, count = pattern.subn(MARK, text)
        self.count += count
        return cleaned

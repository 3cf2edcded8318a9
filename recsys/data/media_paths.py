"""From a path written in the catalogue to a file that is safe to open, or the reason why not.

The catalogue and the encoders resolve every picture, clip and sound through here. Nothing is
opened here, and a refused path is not even looked up on the disk.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Literal

from recsys import durable

Reason = Literal[
    "media_too_long",
    "media_control_character",
    "media_backslash",
    "media_percent_encoded",
    "media_url",
    "media_absolute",
    "media_home",
    "media_parent",
    "media_symlink_escape",
    "media_missing",
    "media_not_a_file",
    "media_unreadable",
    "media_too_large",
]
# Not there, or not readable today: the modality is missing, but nobody tried to leave the folder.
ABSENT: frozenset[Reason] = frozenset({"media_missing", "media_unreadable"})

LONGEST_PATH = 1024  # bytes
LONGEST_NAME = 255  # bytes, what file systems allow
THREADS = 8
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
ENCODED = re.compile(r"%(?:2e|2f|5c|00|25)", re.IGNORECASE)


def resolve(root: Path, text: str) -> Path | Reason:
    """The real path of the media file that `text` names below `root`, or why it is refused.

    Args:
        root: the dataset folder. Links inside it may lead anywhere inside it, not out of it.
        text: a relative path with `/`, as the catalogue has it.
    """
    written_badly = refused(text)
    if written_badly:
        return written_badly
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, text))  # noqa: PTH118
    if not Path(real).is_relative_to(top):
        return "media_symlink_escape"
    try:
        mode = os.stat(real).st_mode  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return "media_missing"
    except OSError:
        return "media_unreadable"
    if not stat.S_ISREG(mode):
        return "media_not_a_file"
    return Path(real)


def relative(text: str) -> str:
    """The one spelling of a resolvable path: no `./`, no doubled `/`."""
    return PurePosixPath(text).as_posix()


def hashes(root: Path, texts: Iterable[str], max_bytes: int) -> Mapping[str, str | Reason]:
    """The content hash of each media file, or why it cannot be used; files are read in parallel.

    Args:
        root: the dataset folder.
        texts: paths as the catalogue has them; each is looked at once.
        max_bytes: larger files are refused unread.

    Returns:
        `text -> sha256` in 64 hex digits, or a reason, which starts with `media_`.
    """
    distinct = sorted(set(texts))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda text: _hash(root, text, max_bytes), distinct)
        return dict(zip(distinct, found, strict=True))


def _hash(root: Path, text: str, max_bytes: int) -> str | Reason:
    path = resolve(root, text)
    if not isinstance(path, Path):
        return path
    try:
        if path.stat().st_size > max_bytes:
            return "media_too_large"
        return durable.sha256(path)
    except OSError:
        return "media_unreadable"


def refused(text: str) -> Reason | None:  # noqa: PLR0911
    """Why the text alone forbids a look-up; None where it does not."""
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        return "media_control_character"
    names = text.split("/")
    if len(raw) > LONGEST_PATH or any(len(name.encode()) > LONGEST_NAME for name in names):
        return "media_too_long"
    if HIDDEN.search(text):
        return "media_control_character"
    if "\\" in text:
        return "media_backslash"
    if ENCODED.search(text):
        return "media_percent_encoded"
    if ":" in names[0]:  # http:, file:, concat:, data:, subfile,,start,0,,:, C:
        return "media_url"
    if text.startswith("/"):
        return "media_absolute"
    if text.startswith("~"):
        return "media_home"
    if ".." in names:
        return "media_parent"
    return None

"""What a user can cause, as exceptions: each knows its exit code and says what to do.

Every room raises these; only the command line turns them into text and an exit code.
"""

import difflib
from collections.abc import Sequence

COMPARED = 20_000  # names that are compared letter by letter: a second's work


class Fault(Exception):  # noqa: N818
    """Something that the user can mend: what was wrong, the value, where, and what to do.

    Attributes:
        exit_code: the process exit code of `contracts.md` that belongs to this kind of fault.
    """

    exit_code = 1

    def __init__(self, what: str, *, value: object = None, where: str = "", fix: str = "") -> None:
        self.what = what
        self.value = value
        self.where = where
        self.fix = fix
        super().__init__(self.block())

    def block(self) -> str:
        """The message as printed: one block, control characters escaped."""
        lines = [f"error: {self.what}"]
        if self.value is not None:
            lines.append(f"  value: {shown(self.value)}")
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  to do: {self.fix}")
        return "\n".join(escaped(line) for line in lines)


class UsageFault(Fault):
    """Wrong command line or settings."""

    exit_code = 2


class InputFault(Fault):
    """Bad input data or a damaged artefact."""

    exit_code = 3


class GateFault(Fault):
    """A gate or freshness check refused; the old release stays."""

    exit_code = 4


class LockFault(Fault):
    """Another run holds the lock."""

    exit_code = 5


class MismatchFault(Fault):
    """Artefacts do not fit together."""

    exit_code = 6


class ResourceFault(Fault):
    """Disk, memory or permission."""

    exit_code = 7


def escaped(text: str) -> str:
    """`text` with every control and bidirectional-override character made visible."""
    hidden = {
        *range(0x20),
        0x7F,
        *range(0x80, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    }
    return "".join(
        character if ord(character) not in hidden else repr(character)[1:-1] for character in text
    )


def escaped_lines(text: str) -> str:
    """`text` for a terminal or a log: its lines stay, whatever else could steer one is visible."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def shown(value: object, limit: int = 80) -> str:
    """`value` as evidence in a message: quoted if text, escaped, at most `limit` characters."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = escaped(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def near(text: str, known: Sequence[str], count: int = 3) -> list[str]:
    """Those of `known` that are spelt much as `text`; of very many only what begins alike is read.

    Args:
        text: what somebody wrote.
        known: what can be meant.
        count: how many at most.
    """
    for size in range(1, len(text) + 1):
        if len(known) <= COMPARED:
            break
        known = [name for name in known if name.startswith(text[:size])]
    return difflib.get_close_matches(text, known[:COMPARED], n=count, cutoff=0.5)

"""Object stores, through fsspec: what an address may be, and what lies behind one.

The only module that knows fsspec. What a store or the network refuses is told as a fault: what is
not there is bad input, all the rest is of resources and may be tried again.
"""

import contextlib
import datetime
import errno
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import durable
from recsys.errors import InputFault, ResourceFault, UsageFault

# What stands before :// and the package that fsspec needs for it; the last two are for tests.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "file": "", "memory": ""}
KNOWN = "s3://, gs:// and az://"
ADDRESS = re.compile(r"[A-Za-z][\w.+:-]*://")
# What stores tell of an object's version; the first ones follow its content alone.
MARKS = ("md5Hash", "ETag", "generation", "etag", "mtime", "LastModified", "last_modified",
         "created")  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """An object as a store tells of it.

    Attributes:
        size: in bytes.
        marks: what tells its version, by the store's own names (`MARKS`).
    """

    size: int
    marks: Mapping[str, str]

    def same(self, other: "Seen") -> bool:
        """Whether both are one version, by the first mark that both have; False without one."""
        mark = next((name for name in MARKS if name in self.marks and name in other.marks), None)
        return self.size == other.size and mark is not None and (
            self.marks[mark] == other.marks[mark]
        )  # fmt: skip


def is_address(text: str) -> bool:
    """Whether a text names a place in a store, and not on a disk."""
    return bool(ADDRESS.match(text))


def checked(address: str) -> str:
    """The address without a slash at its end.

    Raises:
        ValueError: of a kind that is not read, without a bucket, or with something secret in it;
            the message never holds the address.
    """
    scheme, _, rest = address.partition("://")
    if "@" in rest or "?" in rest:
        raise ValueError(
            "an address holds no user, password or query: the store's library takes credentials "
            "from the environment, a profile or a role"
        )
    if scheme not in PACKAGES:
        raise ValueError(f"no address of {scheme}:// is read; known are {KNOWN}")
    if not rest.strip("/"):
        raise ValueError("the address names no bucket")
    return address.rstrip("/")


class Store:
    """What lies below an address, or the one object that it names.

    Raises:
        UsageFault: the package for this kind of store is not installed.
    """

    def __init__(self, address: str) -> None:
        import fsspec

        self.address = address
        self._scheme = address.partition("://")[0]
        if package := PACKAGES[self._scheme]:  # what it would log, a fault says in one block
            logging.getLogger(package).setLevel(logging.CRITICAL)
        with self._asked():
            # answers of now, not of an earlier listing; a file in one stream, in bounded memory
            self._files, self._root = fsspec.url_to_fs(
                address, use_listings_cache=False, max_concurrency=1
            )

    def objects(self) -> dict[str, Seen]:
        """Every object below the address, by its name from there on.

        Raises:
            InputFault: there is no such bucket or folder, or it is empty.
            ResourceFault: the store cannot be reached, or refuses.
        """
        with self._asked():
            listed = self._files.find(self._root, detail=True)
        base = self._root.rstrip("/") + "/"
        found = {
            path.removeprefix(base): _seen(about)
            for path, about in listed.items()
            if path.startswith(base) and not path.endswith("/") and about["type"] == "file"
        }
        if not found:
            raise self._absent()
        return found

    def look(self, name: str) -> Seen:
        """One object as it is now; faults as of `objects`."""
        with self._asked(name):
            return _seen(self._files.info(self._path(name)))

    def get(self, name: str, path: Path) -> None:
        """Copies an object into a file of this machine; faults as of `objects`."""
        with self._asked(name):
            self._files.get_file(self._path(name), str(path))

    def put(self, path: Path) -> None:
        """Makes a file the object of this address: it appears whole, or not at all.

        Raises:
            InputFault: there is no such bucket.
            ResourceFault: the store cannot be reached, or refuses; an older object stays.
        """
        with self._asked():
            if self._scheme == "file":  # the one kind whose objects are seen while they grow
                aside = f"{self._root}{durable.TEMPORARY}{secrets.token_hex(4)}"
                self._files.put_file(str(path), aside)
                self._files.mv(aside, self._root)
            else:
                self._files.put_file(str(path), self._root)
            there = self._files.info(self._root)["size"]
        if there != path.stat().st_size:
            raise ResourceFault(
                "the object is not what was sent",
                value=f"{there:,} of {path.stat().st_size:,} bytes", where=self.address,
                fix="run the same command again",
            )  # fmt: skip

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def _asked(self, name: str = "") -> Iterator[None]:
        """Turns what goes wrong between this machine and the store into a fault."""
        where = f"{self.address}/{name}" if name else self.address
        try:
            yield
        except ImportError:
            package = PACKAGES[self._scheme]
            raise UsageFault(
                f"{self._scheme}:// needs {package}", where=where, fix=f"pip install {package}"
            ) from None
        except FileNotFoundError:
            raise self._absent(name) from None
        except PermissionError as error:
            raise ResourceFault(
                f"access is denied: {_said(error)}", where=where,
                fix="see that the credentials in the environment may list, read and write there",
            ) from None  # fmt: skip
        except Exception as error:
            number = error.errno if isinstance(error, OSError) else None
            if number in durable.DISK - {errno.EIO}:  # which stores call much of their own
                raise ResourceFault(
                    f"the disk refuses: {os.strerror(number or 0)}", where=where,
                    fix="free space or mend the permissions, then run the same command again",
                ) from None  # fmt: skip
            raise ResourceFault(
                f"the store cannot be reached, or refuses: {_said(error)}", where=where,
                fix="see to network, endpoint and credentials, then run the same command again",
            ) from None  # fmt: skip

    def _absent(self, name: str = "") -> InputFault:
        if name:
            return InputFault(
                "the object is gone since it was listed", where=f"{self.address}/{name}",
                fix="run the same command again",
            )  # fmt: skip
        return InputFault(
            "there is no such bucket, or nothing in it", where=self.address,
            fix="compare the address with what the store's own tool lists",
        )  # fmt: skip


def _seen(about: Mapping[str, Any]) -> Seen:
    marks = {name: _text(about[name]) for name in MARKS if about.get(name)}
    return Seen(int(about["size"]), marks)


def _text(value: object) -> str:
    """A mark as text: listings and single answers write quotes and times in different ways."""
    if isinstance(value, datetime.datetime):
        value = value.timestamp()
    return str(value).strip('"')


def _said(error: Exception) -> str:
    """What a library said, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]

"""Where a public data set lies: a folder or a zip archive, never left and never unpacked."""

import fnmatch
import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recsys.data import media_paths, sources
from recsys.data.faults import CODES
from recsys.errors import InputFault

FREE_BYTES = 2**20  # a small file may have any ratio


@dataclass(frozen=True)
class Origin:
    """The files of a data set by their plain names.

    Attributes:
        path: of the folder or archive.
        names: of the files, sorted.
        inside: folder of the archive that holds them, with a slash; empty for folders.
        max_ratio: largest decompressed : compressed size.
    """

    path: Path
    names: tuple[str, ...]
    inside: str = ""
    max_ratio: float = 100.0

    @property
    def packed(self) -> bool:
        """Whether this is an archive."""
        return self.path.is_file()

    def find(self, *patterns: str) -> list[str]:
        """Names that fit the first of the patterns that fits any."""
        for pattern in patterns:
            found = fnmatch.filter(self.names, pattern)
            if found:
                return found
        return []

    def one(self, *patterns: str) -> str:
        """The one name that fits.

        Raises:
            InputFault: none or several fit.
        """
        found = self.find(*patterns)
        if len(found) != 1:
            raise InputFault(
                f"{len(found)} files are called {' or '.join(patterns)}; one is needed",
                value=", ".join(found or self.names[:8]) or "no files",
                where=str(self.path), fix="name the folder as it was unpacked",
            )  # fmt: skip
        return found[0]

    def location(self, name: str) -> Path:
        """The real path of a file of a folder.

        Raises:
            InputFault: it leads out of the folder or is no file; or this is an archive.
        """
        if self.packed:
            raise InputFault(
                "this file cannot be read inside an archive", value=name, where=str(self.path),
                fix="unpack the archive and name the folder",
            )  # fmt: skip
        found = media_paths.resolve(self.path, name)
        if isinstance(found, Path):
            return found
        what, _, fix = CODES.get(found, ("not there, or not readable", "", "restore it"))
        raise InputFault(f"{name} is {what}", where=str(self.path), fix=fix)

    def folder(self, *patterns: str) -> dict[str, str]:
        """`stem -> name` of the files of the first folder that fits, one level of folders deep.

        Hidden files, odd names and whatever leads out of the data set are passed over.
        """
        if self.packed:
            return {}
        folders = sorted(path for path in self.path.iterdir() if path.is_dir())
        for pattern in patterns:
            for folder in (path for path in folders if fnmatch.fnmatch(path.name, pattern)):
                return {Path(name).stem: name for name in self._media(folder)}
        return {}

    def _media(self, folder: Path) -> Iterator[str]:
        inner = (path for path in sorted(folder.iterdir()) if path.is_dir())
        for place in (folder, *inner):
            if place.is_symlink():
                continue
            for path in sorted(place.iterdir()):
                name = path.relative_to(self.path).as_posix()
                if not path.name.startswith(".") and isinstance(
                    media_paths.resolve(self.path, name), Path
                ):
                    yield name

    def pieces(self, name: str, size: int) -> Iterator[bytes]:
        """The content of a file, decompressed, in pieces of `size` bytes.

        Raises:
            InputFault: damaged, or it unpacks to far more than it should.
        """
        done = 0
        try:
            stream, packed = self._open(name)
            allowed = None if packed is None else max(FREE_BYTES, int(packed * self.max_ratio))
            with stream:
                while piece := stream.read(size):
                    done += len(piece)
                    if allowed is not None and done > allowed:
                        raise InputFault(
                            "the file unpacks to far more than it should (a decompression bomb?)",
                            value=f"{packed:,} bytes became more than {allowed:,}", where=name,
                            fix="look at it; raise data.max_ratio if it is right",
                        )  # fmt: skip
                    yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
            raise _damaged(name, str(error)) from None
        except OSError as error:
            if error.errno is None:  # pyarrow reports damage as an OSError without a number
                raise _damaged(name, str(error)) from None
            raise

    def _open(self, name: str) -> tuple[IO[bytes], int | None]:
        """The opened file, and its compressed size where it is compressed."""
        if self.packed:
            archive = zipfile.ZipFile(self.path)
            info = archive.getinfo(self.inside + name)
            return archive.open(info), info.compress_size
        path = self.location(name)
        packed = path.suffix in (".gz", ".zst")
        return sources.opened(path), path.stat().st_size if packed else None


def opened(path: Path, max_ratio: float = 100.0) -> Origin:
    """Looks at a data set; one folder around its files is passed through.

    Raises:
        InputFault: neither a folder nor a zip archive.
    """
    if path.is_dir():
        inner = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
        if len(inner) == 1 and inner[0].is_dir() and not inner[0].is_symlink():
            path = inner[0]
        names = sorted(entry.name for entry in path.iterdir() if not entry.is_dir())
        return Origin(path, tuple(names), max_ratio=max_ratio)
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
        inside = _around(members)
        names = sorted(
            member.removeprefix(inside)
            for member in members
            if member.startswith(inside) and "/" not in member.removeprefix(inside)
        )
        return Origin(path, tuple(names), inside, max_ratio)
    raise InputFault(
        "neither a folder nor a zip archive", value=str(path), where="PATH",
        fix="name what was downloaded: the unpacked folder, or the .zip file",
    )  # fmt: skip


def _around(members: Sequence[str]) -> str:
    """The one folder that holds all of an archive, with a slash; empty where there is none."""
    tops = {m.split("/", 1)[0] for m in members if "/" in m and not m.startswith("__MACOSX")}
    plain = any("/" not in member for member in members)
    return f"{tops.pop()}/" if len(tops) == 1 and not plain else ""


def _damaged(name: str, why: str) -> InputFault:
    return InputFault(
        f"the file is damaged or truncated: {why}", where=name, fix="download it again"
    )

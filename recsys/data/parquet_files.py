"""Reads a Parquet file with page checksums; ids become texts, nothing else is touched."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data import faults, schemas, sources
from recsys.data.raw import RawTable, label, ours
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

MAGIC = b"PAR1"


def read(
    path: Path, settings: DataSettings, required: Sequence[str], wanted: Sequence[str] | None
) -> RawTable:
    """Reads one Parquet file.

    Raises:
        InputFault: truncated, damaged, no Parquet at all, too large, a column missing, or ids
            that are neither texts nor whole numbers.
    """
    parts = list(chunks(path, settings, required, wanted))
    return replace(parts[0], frame=pl.concat([part.frame for part in parts]))


def chunks(
    path: Path, settings: DataSettings, required: Sequence[str], wanted: Sequence[str] | None
) -> Iterator[RawTable]:
    """Reads one Parquet file `settings.chunk_rows` rows at a time, at least one stretch.

    Raises:
        InputFault: as `read`.
    """
    file = label(path, settings)
    behind = 0
    try:
        _check_ends(path, file)
        for frame, unread in _stretches(path, settings, required, wanted, file):
            yield _raw(frame, unread, behind, file)
            behind += frame.height
    except (InputFault, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise _damaged(error, file) from None
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # A damaged footer makes some libraries panic with exceptions outside Exception.
        raise _damaged(error, file) from None


def _raw(frame: pl.DataFrame, unread: tuple[str, ...], behind: int, file: str) -> RawTable:
    integers = frozenset(
        name for name in schemas.IDS if name in frame.columns and frame.schema[name].is_integer()
    )
    ids = [_texts(name, frame.schema[name], file) for name in schemas.IDS if name in frame.columns]
    rows = pl.int_range(behind + 1, behind + frame.height + 1, dtype=pl.Int64, eager=True)
    nowhere = pl.repeat(None, frame.height, dtype=pl.Int64, eager=True)
    places = pl.DataFrame({"row": rows, "byte_offset": nowhere})
    return RawTable(
        file=file,
        frame=pl.concat([places, frame.with_columns(ids)], how="horizontal"),
        quarantine=faults.empty(),
        unread=unread,
        integer_ids=integers,
    )


def _damaged(error: BaseException, file: str) -> InputFault:
    return InputFault(
        f"the Parquet file is damaged: {type(error).__name__}: {str(error)[:200]}",
        where=file, fix="upload it again",
    )  # fmt: skip


def _check_ends(path: Path, file: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(512)
        stream.seek(max(0, size - 4))
        tail = stream.read(4)
    if not head:
        raise InputFault("the file is empty (0 bytes)", where=file, fix="upload it again")
    if not head.startswith(MAGIC):
        kind = sources.looks_like(head) or (
            "a JSON or JSONL file" if head.lstrip()[:1] in (b"{", b"[")
            else "a CSV or text file" if b"\0" not in head and b"\n" in head
            else "no Parquet file"
        )  # fmt: skip
        raise InputFault(
            f"the file looks like {kind}", value=repr(head[:40]), where=file,
            fix="give it the ending of what it is",
        )  # fmt: skip
    if tail != MAGIC or size < 12:
        raise InputFault(
            "the Parquet file is truncated: its end is missing", value=f"{size:,} bytes",
            where=file, fix="upload it again",
        )  # fmt: skip


def _stretches(
    path: Path,
    settings: DataSettings,
    required: Sequence[str],
    wanted: Sequence[str] | None,
    file: str,
) -> Iterator[tuple[pl.DataFrame, tuple[str, ...]]]:
    """Rows by our names, and the columns that nobody wanted."""
    with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        meta = parquet.metadata
        size = max(
            sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)),
            meta.num_rows * 4,
        )
        if size > settings.max_input_bytes:
            raise InputFault(
                "the file is too large", value=f"{size:,} bytes uncompressed", where=file,
                fix="split it into a folder of parts, or raise data.max_input_bytes",
            )  # fmt: skip
        theirs = parquet.schema_arrow.names
        known = ours(settings)
        names = [known.get(name, name) for name in theirs]
        schemas.check_names(names, required, file)
        chosen, unread = schemas.choose(names, wanted, file)
        read = [theirs[names.index(name)] for name in chosen]
        count = 0
        for batch in parquet.iter_batches(settings.chunk_rows, columns=read):
            frame = _frame(pa.Table.from_batches([batch]), read, chosen)
            count += frame.height
            yield frame, unread
        if not count:
            yield _frame(parquet.schema_arrow.empty_table(), read, chosen), unread
        if count != meta.num_rows:
            raise InputFault(
                f"{meta.num_rows:,} rows were promised, {count:,} read",
                where=file, fix="upload it again",
            )  # fmt: skip


def _frame(table: pa.Table, read: list[str], chosen: list[str]) -> pl.DataFrame:
    table.validate(full=True)
    frame = pl.from_arrow(table.select(read).rename_columns(chosen))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _texts(name: str, dtype: pl.DataType, file: str) -> pl.Expr:
    if dtype.is_integer() or isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return pl.col(name).cast(pl.String)
    raise InputFault(
        f"{name} holds no ids", value=str(dtype), where=f"{file}: {name}",
        fix="write ids as texts or whole numbers",
    )  # fmt: skip

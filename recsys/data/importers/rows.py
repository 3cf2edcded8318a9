"""Reads any file of a public data set block by block: its rows, and the rows that are none."""

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.importers import delimited, json_rows
from recsys.data.importers.blocks import blocks
from recsys.data.importers.origin import Origin
from recsys.data.importers.plan import ROW, Chunk, Delimited, Form, JsonLines, Refused
from recsys.errors import InputFault

PARQUET_ROWS = 200_000


def read(origin: Origin, file: str, form: Form, wanted: Sequence[str]) -> Iterator[Chunk]:
    """Reads a file.

    Args:
        origin: where it lies.
        file: its name there.
        form: how it is written.
        wanted: columns that are needed.

    Raises:
        InputFault: a column is missing; the file is damaged or not written as `form` says.
    """
    match form:
        case Delimited():
            yield from delimited.read(origin, file, form, wanted)
        case JsonLines():
            for first, lines in json_rows.lines(blocks(origin, file, quoted=False)):
                frame, bad = json_rows.parsed(first, lines, form.schema)
                yield Chunk(frame, [Refused(*row) for row in bad])
        case _:
            yield from _parquet(origin, file, wanted)


def _parquet(origin: Origin, file: str, wanted: Sequence[str]) -> Iterator[Chunk]:
    path = origin.location(file)
    first = 1
    try:
        source = pq.ParquetFile(path, page_checksum_verification=True)
        delimited.check_names(source.schema_arrow.names, wanted, file)
        for batch in source.iter_batches(PARQUET_ROWS, columns=list(dict.fromkeys(wanted))):
            frame = pl.from_arrow(pa.Table.from_batches([batch]))
            assert isinstance(frame, pl.DataFrame)
            numbers = pl.int_range(first, first + frame.height, eager=True).alias(ROW)
            yield Chunk(frame.insert_column(0, numbers), [])
            first += frame.height
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputFault(
            f"no Parquet file, or damaged: {error}", where=file, fix="download it again"
        ) from None

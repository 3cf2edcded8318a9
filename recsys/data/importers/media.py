"""Pictures, clips and sounds that an imported catalogue names itself: placed beside its tables.

Addresses are only listed, in image_urls.parquet; `recsys fetch-images` reads that on request.
"""

from pathlib import Path, PurePosixPath

import polars as pl

from recsys import durable
from recsys.data import media_paths
from recsys.data.importers import folder
from recsys.data.importers.origin import Origin
from recsys.data.item_cells import MEDIA
from recsys.errors import shown

ADDRESS = r"^(?i:https?)://"
EXAMPLES = 3
PLACE = "media"  # folder of the dataset


def gather(origin: Origin, start: str, staging: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Places what the columns of items.parquet name, and writes there where it lies now.

    Args:
        origin: the data set.
        start: folder of it, where the paths begin; empty for its own.
        staging: the dataset folder that is being made.

    Returns:
        counts of media files and image_urls; what a person should know.

    Raises:
        InputFault: the data set is an archive, in which media cannot be read.
    """
    table = staging / "items.parquet"
    named = [name for name in MEDIA if name in pl.read_parquet_schema(table)]
    if not named:
        return {}, ()
    items = pl.read_parquet(table, hive_partitioning=False)
    cells = items.select("item_id", *named).unpivot(named, index="item_id", value_name="written")
    cells = cells.explode("written").drop_nulls("written")
    urls = cells.filter(pl.col("written").str.contains(ADDRESS))
    written = cells["written"].filter(~cells["written"].str.contains(ADDRESS)).unique().sort()
    targets = {text: _target(text) for text in written}
    sources = {text: f"{start}/{text}" if start else text for text in written}
    there = [text for text in written if targets[text] != text and _is_there(origin, sources[text])]
    once = {targets[text]: sources[text] for text in there}  # ./a.jpg is a.jpg
    folder.place(origin, {source: target for target, source in once.items()}, staging)
    counts = {"media files": len(once)}
    replaced = pl.element().replace(list(targets), list(targets.values()))
    plain = pl.element().filter(~pl.element().str.contains(ADDRESS))
    items = items.with_columns(pl.col(name).list.eval(plain).list.eval(replaced) for name in named)
    items.write_parquet(table, compression="zstd")
    durable.sync_file(table)
    notes = _notes([text for text in targets if text not in set(there)], origin, start)
    if urls.height:
        counts["image_urls"] = _list(urls, staging)
        notes += (
            "image_urls.parquet lists where pictures are; `recsys fetch-images` fetches them",
        )
    return counts, notes


def _target(text: str) -> str:
    """Where a named file shall lie; the text itself where the catalogue would refuse it."""
    if media_paths.refused(text):
        return text
    return (PurePosixPath(PLACE) / media_paths.relative(text)).as_posix()


def _is_there(origin: Origin, name: str) -> bool:
    if origin.packed:
        origin.location(name)  # says that archives hold no media
    return isinstance(media_paths.resolve(origin.path, name), Path)


def _notes(absent: list[str], origin: Origin, start: str) -> tuple[str, ...]:
    if not absent:
        return ()
    return (
        f"{len(absent):,} named media files are not there, or not safe to open, below "
        f"{origin.path / start} (mapping.items.media names another folder), first "
        f"{', '.join(map(shown, absent[:EXAMPLES]))}",
    )


def _list(urls: pl.DataFrame, staging: Path) -> int:
    pictures = urls.filter(pl.col("variable") == "image")
    listed = pictures.group_by("item_id", maintain_order=True).agg(pl.col("written").alias("url"))
    path = staging / "image_urls.parquet"
    listed.write_parquet(path, compression="zstd")
    durable.sync_file(path)
    return listed.height

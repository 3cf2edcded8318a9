"""Lists in Redis: one key a user below the release's name, and a pointer that moves last.

    GET recsys:current                          -> 2026-10-30-0123456789abcdef
    GET recsys:2026-10-30-0123456789abcdef:u:u17 -> [{"item_id": "b42", "score": 1.93}, ...]
    GET recsys:2026-10-30-0123456789abcdef:popular   for users without a key

A reader asks for the pointer first; whoever read it before the switch still finds the old night,
whose keys expire by themselves.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from recsys.errors import Fault, ResourceFault, UsageFault

BATCH = 1000


def load(
    url: str, prefix: str, name: str, lists: pl.DataFrame, popular: pl.DataFrame, keep_seconds: int
) -> int:
    """Loads a release and makes it the current one; returns how many users it holds.

    Args:
        url: as redis://localhost:6379/0.
        prefix: of all keys.
        name: of the release.
        lists, popular: its tables; `popular` for users of whom nothing is known.
        keep_seconds: after which the keys of this release expire.

    Raises:
        UsageFault: the extra `serve` is not installed, or the address is none.
        ResourceFault: the server cannot be reached, or refuses; the old night stays current.
    """
    try:
        import redis
    except ImportError:
        raise missing("redis") from None
    try:
        client = redis.Redis.from_url(url, socket_timeout=60, socket_connect_timeout=10)
        head = f"{prefix}:{name}"
        count = 0
        for batch in _batches(_users(lists)):
            pipeline = client.pipeline(transaction=False)
            for user, places in batch:
                pipeline.set(f"{head}:u:{user}", json.dumps(places), ex=keep_seconds)
            pipeline.execute()
            count += len(batch)
        overall = popular.filter(pl.col("category").is_null()).sort("rank")
        client.set(
            f"{head}:popular", json.dumps(overall.select("item_id", "score").to_dicts()),
            ex=keep_seconds,
        )  # fmt: skip
        client.set(f"{prefix}:current", name)
        return count
    except ValueError as error:
        raise UsageFault(f"no address of a Redis server: {error}", where="export redis") from None
    except redis.RedisError as error:
        raise ResourceFault(
            f"Redis: {error}", where="export redis",
            fix="see that the server runs and has room; the night before is still current",
        ) from None  # fmt: skip


def missing(library: str) -> Fault:
    """The fault of a library that is not installed."""
    return UsageFault(
        f"this export needs {library}", where="export", fix="pip install 'recsys[serve]'"
    )


def _users(lists: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    columns = ["user_id", "item_id", "score"]
    rows = lists.sort("user_id", "rank").select(columns).iter_rows()
    for user, group in itertools.groupby(rows, key=lambda row: row[0]):
        yield user, [{"item_id": item, "score": round(score, 6)} for _, item, score in group]


def _batches(
    rows: Iterable[tuple[str, list[dict[str, Any]]]],
) -> Iterator[list[tuple[str, list[dict[str, Any]]]]]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch

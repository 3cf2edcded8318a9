"""`recsys fetch-images`: pictures that an import listed by address, from named hosts, on request.

The only module that opens an address. What is there already is not fetched again, so that the same
command goes on where it was interrupted.
"""

import hashlib
import io
import secrets
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import polars as pl
from PIL import Image

from recsys import durable
from recsys.data.importers.folder import SETTINGS
from recsys.errors import InputFault, UsageFault
from recsys.features import images
from recsys.features.media import MediaFault, MediaLimits
from recsys.progress import track

PLACE = "media/fetched"  # of the dataset folder
AT_ONCE = 4  # requests
MEGABYTE = 1_000_000
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}
ABSENT = '[features.image]\nencoder = "none"\n'  # what an import without pictures writes
PORTS = {"https": 443, "http": 80}
Origin = tuple[str, str, int]


@dataclass(frozen=True)
class Limits:
    """How much may be fetched: pictures an item, bytes a picture, bytes in all, seconds a wait."""

    each: int = 1
    file_bytes: int = 10 * MEGABYTE
    all_bytes: int = 10_000 * MEGABYTE
    timeout_seconds: float = 30.0


@dataclass
class _Budget:
    """Bytes that are left, for threads."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        with self.lock:
            self.left -= count
            if self.left < 0:  # for good: nobody is asked again
                raise MediaFault("all_bytes", "the bytes that may be fetched in all are used up")


def run(dataset: Path, hosts: Iterable[str], limits: Limits) -> dict[str, Any]:
    """Fetches the pictures of image_urls.parquet and adds them to items.parquet.

    Args:
        dataset: a folder that `recsys import` made.
        hosts: those that may be asked, as `images.example.com` (https) or `http://host:8080`.
        limits: how much.

    Raises:
        UsageFault: no host, or not one.
        InputFault: the folder lists no addresses.
    """
    allowed = {_host(text) for text in hosts}
    if not allowed:
        raise UsageFault(
            "no host is named", where="--host", fix="name each, as --host cdn.shop.com"
        )
    items = _items(dataset)
    listed = _listed(dataset, limits.each)
    opener = urllib.request.build_opener(_Redirects(allowed))
    budget = _Budget(limits.all_bytes)

    def one(url: str) -> str:
        try:
            _fetch(url, dataset, allowed, opener, limits, budget)
        except MediaFault as fault:
            return fault.code
        return "fetched"

    todo = [url for url in listed["url"].unique(maintain_order=True) if not _there(dataset, url)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fates = Counter(track(pool.map(one, todo), "fetch", len(todo)))
    with_pictures = _add(dataset, items, listed)
    before = listed["url"].n_unique() - len(todo)
    counts = {"there before": before, "fetched": fates.pop("fetched", 0), **fates}
    lines = [f"{name.replace('_', ' ')}: {count:,}" for name, count in counts.items()]
    return {
        "text": "\n".join([*lines, f"items with a picture: {with_pictures:,}", *_unhide(dataset)]),
        "pictures": counts,
        "items_with_a_picture": with_pictures,
    }


def _host(text: str) -> Origin:
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme not in PORTS or not parts.hostname or not bare or port == -1:
        raise UsageFault(
            "not a host", value=text, where="--host", fix="write images.example.com",
        )  # fmt: skip
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme]


def _origin(url: str) -> Origin | None:
    """Scheme, host and port of an address; None where it is not one, or holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to a host that was named."""

    def __init__(self, allowed: set[Origin]) -> None:
        self._allowed = allowed

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        if _origin(newurl) not in self._allowed:
            raise MediaFault("other_host", "redirected to a host that was not named")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(
    url: str, dataset: Path, allowed: set[Origin], opener: urllib.request.OpenerDirector,
    limits: Limits, budget: _Budget,
) -> None:  # fmt: skip
    """One picture into its place, once it has been read as a picture.

    Raises:
        MediaFault: why it is not there.
    """
    if _origin(url) not in allowed:
        raise MediaFault("other_host", "the host was not named")
    budget.take(0)
    try:
        with opener.open(url, timeout=limits.timeout_seconds) as answer:
            content = answer.read(limits.file_bytes + 1)
    except urllib.error.HTTPError as error:
        raise MediaFault(f"answer_{error.code}", str(error)) from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a line end in the address
        raise MediaFault("no_answer", str(error)) from None
    if len(content) > limits.file_bytes:
        raise MediaFault("too_many_bytes", f"more than {limits.file_bytes:,} bytes")
    budget.take(len(content))
    images.decode(content, MediaLimits())
    with Image.open(io.BytesIO(content), formats=images.FORMATS) as image:
        suffix = SUFFIXES[str(image.format)]
    path = dataset / (_stem(url) + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{durable.TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    aside.write_bytes(content)
    durable.sync_file(aside)
    aside.replace(path)


def _stem(url: str) -> str:
    return f"{PLACE}/{hashlib.sha256(url.encode()).hexdigest()[:32]}"


def _there(dataset: Path, url: str) -> str:
    """The path of a fetched picture, from the dataset folder; empty where there is none."""
    stem = _stem(url)
    return next((stem + end for end in SUFFIXES.values() if (dataset / (stem + end)).is_file()), "")


def _items(dataset: Path) -> pl.DataFrame:
    for name in ("items.parquet", "image_urls.parquet"):
        if not (dataset / name).is_file():
            raise InputFault(
                f"there is no {name}", where=str(dataset),
                fix="name a folder that `recsys import` made of data with addresses of pictures",
            )  # fmt: skip
    return pl.read_parquet(dataset / "items.parquet", hive_partitioning=False)


def _listed(dataset: Path, each: int) -> pl.DataFrame:
    """item_id and url of the first pictures of each item."""
    listed = pl.read_parquet(dataset / "image_urls.parquet", hive_partitioning=False)
    first = listed.with_columns(pl.col("url").list.head(each))
    return first.explode("url").drop_nulls("url").filter(pl.col("url") != "")


def _add(dataset: Path, items: pl.DataFrame, listed: pl.DataFrame) -> int:
    """Writes the fetched pictures behind those that items have; returns how many have any."""
    paths = pl.Series([_there(dataset, url) for url in listed["url"]], dtype=pl.String)
    found = listed.with_columns(path=paths).filter(pl.col("path") != "")
    new = found.group_by("item_id", maintain_order=True).agg(fetched="path")
    nothing = pl.lit([], dtype=pl.List(pl.String))
    if "image" not in items.columns:
        items = items.with_columns(image=nothing)
    if items.schema["image"] == pl.String:
        items = items.with_columns(pl.concat_list("image").list.drop_nulls())
    joined = items.join(new, on="item_id", how="left", maintain_order="left")
    both = pl.col("image").fill_null(nothing).list.concat(pl.col("fetched").fill_null(nothing))
    items = joined.with_columns(image=both.list.unique(maintain_order=True)).drop("fetched")
    path = dataset / "items.parquet"
    aside = path.with_name(f"{durable.TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    items.write_parquet(aside, compression="zstd")
    durable.sync_file(aside)
    aside.replace(path)
    durable.sync_folder(dataset)
    return int((items["image"].list.len() > 0).sum())


def _unhide(dataset: Path) -> list[str]:
    """Takes back what the import wrote because there were no pictures."""
    path = dataset / SETTINGS
    if not path.is_file() or ABSENT not in (text := path.read_text("utf-8")):
        return []
    durable.replace_text(path, text.replace(ABSENT, "[features.image]\n", 1))
    return [f"{path}: features.image.encoder is no longer none"]

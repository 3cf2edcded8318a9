"""Writes the sample shop as a dataset folder, exactly as a user's own data would lie there."""

import csv
import datetime
import json
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data import product_media, product_texts
from recsys.data.synthetic import DAY_SECONDS, END, EVENTS, Log, ShopSettings, Truth, live, plant
from recsys.errors import InputFault

PHOTOS, CLIPS = "media/photos", "media/clips"


def write_shop(settings: ShopSettings, folder: Path) -> Truth:
    """Writes interactions.csv, items.jsonl, users.csv and media/, and returns the planted truth.

    The folder appears whole or not at all; the same settings write the same files.

    Raises:
        InputFault: the folder is there already.
    """
    if folder.exists():
        raise InputFault(
            "the sample shop's folder exists already", value=str(folder), where="demo",
            fix="remove it or name another",
        )  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        (staging / PHOTOS).mkdir(parents=True)
        (staging / CLIPS).mkdir(parents=True)
        truth = plant(settings)
        _write_items(truth, staging)
        _write_media(truth, staging)
        _write_log(truth, live(truth), staging / "interactions.csv")
        _write_users(truth, staging / "users.csv")
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return truth


def item_id(row: int) -> str:
    """The shop's id of an item row."""
    return f"i{row:05d}"


def user_id(row: int) -> str:
    """The shop's id of a user row."""
    return f"u{row:05d}"


def _media(truth: Truth) -> tuple[list[str | None], list[str | None]]:
    """Paths of photo and clip of each item; None where the item has none."""
    settings = truth.settings
    random = np.random.default_rng([settings.seed, 3])
    count = settings.items
    photo = random.random(count) >= settings.no_photo
    clip = random.random(count) >= settings.no_clip
    png = random.random(count) < 0.1
    photos = [
        f"{PHOTOS}/{item_id(row)}.{'png' if png[row] else 'jpg'}" if photo[row] else None
        for row in range(count)
    ]
    return photos, [f"{CLIPS}/{item_id(row)}.mp4" if clip[row] else None for row in range(count)]


def _write_items(truth: Truth, folder: Path) -> None:
    photos, clips = _media(truth)
    random = np.random.default_rng([truth.settings.seed, 4])
    described = np.random.default_rng([truth.settings.seed, 7]).random(len(truth.theme))
    with (folder / "items.jsonl").open("w", encoding="utf-8") as stream:
        for row, (theme, kind) in enumerate(zip(truth.theme, truth.category, strict=True)):
            created = truth.start_seconds + truth.created_day[row] * DAY_SECONDS
            item: dict[str, Any] = {
                "item_id": item_id(row),
                "title": product_texts.title(theme, kind, random),
                "description": product_texts.description(theme, kind, random),
                "category": product_texts.KINDS[kind],
                "brand": str(random.choice(product_texts.BRANDS)),
                "price": round(float(random.lognormal(3, 0.5)), 2),
                "created_at": _iso(created),
                "available": bool(random.random() >= 0.02),
                "image": photos[row],
                "video": clips[row],
            }
            if described[row] < truth.settings.described:
                seen = truth.hue[row], truth.pattern[row], truth.motion[row]
                item["description"] += f" {product_texts.look(*seen)}"
            stream.write(json.dumps({k: v for k, v in item.items() if v is not None}) + "\n")


def _write_media(truth: Truth, folder: Path) -> None:
    settings = truth.settings
    photos, clips = _media(truth)

    def draw(row: int) -> None:
        random = np.random.default_rng([settings.seed, 5, row])
        photo, clip = photos[row], clips[row]
        if photo:
            hue, pattern, kind = truth.hue[row], truth.pattern[row], truth.category[row]
            pixels = product_media.photo(hue, pattern, kind, settings.photo_side, random)
            product_media.write_photo(pixels, folder / photo)
        if clip:
            frames = product_media.clip(
                truth.motion[row], settings.clip_side, settings.clip_frames, random
            )
            product_media.write_clip(frames, folder / clip)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(draw, range(settings.items)))


def _write_log(truth: Truth, log: Log, path: Path) -> None:
    """The log in time order, with broken rows among the good ones."""
    random = np.random.default_rng([truth.settings.seed, 6])
    broken = set(
        random.choice(len(log.users), int(truth.settings.broken * len(log.users)), replace=False)
    )
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["user_id", "item_id", "timestamp", "event"])
        for number, (user, item, second, event) in enumerate(
            zip(log.users, log.items, log.seconds, log.events, strict=True)
        ):
            row = [user_id(user), item_id(item), _iso(second), EVENTS[event]]
            if number in broken:
                row = _broken(row, int(random.integers(5)))
            writer.writerow(row)


def _broken(row: list[str], how: int) -> list[str]:
    """A row as broken uploads have it."""
    match how:
        case 0:
            return [row[0], row[1], "yesterday", row[3]]
        case 1:
            return [row[0], row[1], row[2][:-1], row[3]]  # no offset
        case 2:
            return ["", *row[1:]]
        case 3:
            return row[:3]
        case _:
            return [row[0], row[1], row[2], "clik"]


def _write_users(truth: Truth, path: Path) -> None:
    random = np.random.default_rng([truth.settings.seed, 7])
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["user_id", "country", "age_group"])
        for row in range(truth.settings.users):
            country = random.choice(["DE", "FR", "PL", "US", "CN"])
            writer.writerow([user_id(row), country, random.choice(["18-29", "30-44", "45-64"])])


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return min(moment, END).isoformat().replace("+00:00", "Z")

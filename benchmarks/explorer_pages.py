"""Seconds of the explorer's pages over a shop of 100,000 items, 20,000 users and 300,000 events.

    python benchmarks/explorer_pages.py WORK SHOP

WORK holds what `recsys ingest` and `recsys encode` made of SHOP. Lists are drawn at random and the
towers are untrained: what a page costs does not depend on what they have learned.
"""

import http.client
import statistics
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import uvicorn

from pipelines import encode, inputs
from pipelines.explorer import app, live
from pipelines.explorer.grouped import Grouped
from pipelines.explorer.live import Live
from pipelines.explorer.shelf import Shelf
from pipelines.settings import Settings
from recsys.models import two_tower
from recsys.serving import recommend, reranking
from recsys.settings import load

K, PORT, VISITS = 20, 8199, 30


def shelf(settings: Settings) -> Shelf:
    """The shop with random lists of K items for every user."""
    found, random = inputs.load(settings), np.random.default_rng(0)
    now = found.newest_seconds() + 1
    people = found.people(found.events)
    rows = random.integers(0, len(found.vocabulary), len(people) * K)
    lists = pl.DataFrame(
        {
            "user_id": np.repeat(people.to_numpy(), K),
            "rank": np.tile(np.arange(1, K + 1, dtype=np.int32), len(people)),
            "item_id": found.items["item_id"].gather(rows),
            "score": np.tile(np.linspace(5, 1, K), len(people)),
            "term_similarity": np.tile(np.linspace(5, 1, K), len(people)),
            "source": "model",
        }
    )
    near = pl.DataFrame({"item_id": ["-"], "rank": [1], "similar_item_id": ["-"], "score": [0.0]})
    facts = {"date": "2026-09-20", "counts": {"users": len(people)}, "gates": []}
    return Shelf(
        settings, "2026-09-20-random", facts, found, now, Grouped(lists, "user_id"),
        Grouped(near, "item_id"), Grouped(found.log_before(now), "user_id"),
    )  # fmt: skip


def ready(held: Shelf) -> Live:
    """A model with untrained towers over the whole catalogue."""
    settings, found = held.settings, held.found
    features = encode.item_features(settings, found, found.vocabulary.ids, {"columns": {}})
    towers = two_tower.build(settings.model, features, settings.event_names, 0).eval()
    shop = found.shop(found.events, held.at_seconds, today=True)
    made = recommend.prepare(towers, features, shop, held.at_seconds, settings.lists)
    weights = reranking.as_trained(made.terms, settings.lists.rerank)
    model = SimpleNamespace(towers=towers, content="untrained")
    night: Any = SimpleNamespace(
        recommender=made, features=features, found=found, model=model, weights=weights
    )
    it = Live.__new__(Live)
    it._shelf, it._night, it.fault = held, night, ""
    it._asked = lru_cache(live.REMEMBERED)(it._ask)
    it._space = live._space(held, cast(Any, night))
    return it


def seconds(path: str) -> float:
    """Of one request, with everything that it carries."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    begin = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, (path, answer.status)
    return time.perf_counter() - begin


def main() -> None:
    chosen = [f"work={sys.argv[1]}", f"data.folder={sys.argv[2]}", "features.video.encoder=none"]
    begin = time.perf_counter()
    held = shelf(load(Settings, None, chosen))
    print(f"shelf: {time.perf_counter() - begin:.1f} s, {len(held.found.vocabulary):,} items")
    begin = time.perf_counter()
    model = ready(held)
    print(f"model: {time.perf_counter() - begin:.1f} s")
    options = uvicorn.Config(app.build(held, model), port=PORT, log_level="error")
    threading.Thread(target=uvicorn.Server(options).run, daemon=True).start()
    time.sleep(1)
    users = held.lists.keys.gather_every(len(held.lists.keys) // VISITS).head(VISITS)
    items = held.found.items["item_id"].gather_every(3000).head(VISITS)
    print(f"first view: {seconds('/'):.3f} s")
    for name, paths in {
        "user": [f"/user?id={user}" for user in users],
        "blend, first": [f"/user/list?id={user}&popularity=0.5&diversity=0.3" for user in users],
        "blend": [f"/user/list?id={user}&popularity=0.7&diversity=0.2" for user in users],
        "item": [f"/item?id={item}" for item in items],
        "picture": [f"/picture?id={item}" for item in items],
        "find": [f"/find?q=lamp%20{number}" for number in range(VISITS)],
        "search": [f"/search?q=lamp%20{number}" for number in range(VISITS)],
    }.items():
        took = [seconds(path) for path in paths]
        print(f"{name}: median {statistics.median(took):.3f} s, worst {max(took):.3f} s")


if __name__ == "__main__":
    assert Path(sys.argv[1]).is_dir(), __doc__
    main()

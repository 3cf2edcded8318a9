"""An explorer that is served, for the tests that ask it and for those that look at it."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.settings import load as read_settings

TINY = ShopSettings(
    items=80, users=50, days=14, events=1500, photo_side=32, clip_side=32, clip_frames=8, broken=0
)
EVIL = "<script>alert(1)</script>"
# An id is only ever an id, whatever it would be to a shell, a database, a path or a spreadsheet.
ODD_USER, ODD_ITEM = "'; DROP TABLE lists; --$(touch pwned)", "=../../*`touch pwned`[i]{}%s"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A served explorer over two nights: shelf, model, and `host:port`."""
    uvicorn = pytest.importorskip("uvicorn", reason="the extra `explore` is not installed")
    pytest.importorskip("fastapi", reason="the extra `explore` is not installed")
    from pipelines import cli
    from pipelines.explorer import app
    from pipelines.explorer.live import Live
    from pipelines.explorer.shelf import load
    from pipelines.settings import Settings

    root = tmp_path_factory.mktemp("explorer")
    write_shop(TINY, root / "shop")
    items = root / "shop" / "items.jsonl"
    lines = items.read_text().splitlines()
    told = json.loads(lines[7]) | {"title": EVIL, "image": None}
    odd = json.dumps(json.loads(lines[9]) | {"item_id": ODD_ITEM})
    items.write_text("\n".join([*lines[:7], json.dumps(told), lines[8], odd, *lines[10:]]) + "\n")
    for path in (root / "shop" / "interactions.csv", root / "shop" / "users.csv"):
        text = path.read_text().replace(",i00009,", f",{ODD_ITEM},")
        path.write_text(text.replace("\nu00009,", f"\n{ODD_USER},"))
    chosen = [
        f"work={root}/work", f"data.folder={root}/shop", "tracking.enabled=false",
        "split.validation_days=2", "split.test_days=2", "train.epochs=1", "model.width=16",
        "evaluation.draws=100", "nightly.k=8", "features.video.encoder=none",
        "lists.candidates.count=30",
    ]  # fmt: skip
    assert cli.invoke(["nightly", "--date", "2026-10-29", *chosen]) == 0
    assert cli.invoke(["nightly", *chosen]) == 0
    shelf = load(read_settings(Settings, None, chosen))
    live = Live(shelf)
    assert live.wait(60), live.fault
    config = uvicorn.Config(app.build(shelf, live), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield shelf, live, f"127.0.0.1:{port}"
    server.should_exit = True
    thread.join(5)

"""Exports against real servers, started here on sockets of their own; files that harm nobody."""

import csv
import getpass
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.errors import ResourceFault, UsageFault
from recsys.serving.exports import files, postgres, redis_store

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)


def lists(items: list[str], users: tuple[str, ...] = ("u1", "u2")) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"user_id": user, "rank": rank, "item_id": item, "score": 1.0 / rank, "source": "model"}
            for user in users for rank, item in enumerate(items, 1)
        ],
        schema_overrides={"rank": pl.Int32},
    )  # fmt: skip


POPULAR = pl.DataFrame(
    {"category": [None, "mug"], "rank": [1, 1], "item_id": ["p1", "p2"], "score": [0.5, 0.4]},
    schema_overrides={"category": pl.String, "rank": pl.Int32},
)


def started(command: list[str], ready: Any) -> Iterator[None]:
    """Runs a server until the test is over; `ready` raises until it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(150):
            try:
                ready()
                break
            except Exception:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    redis = pytest.importorskip("redis", reason="the extra `serve` is not installed")
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server here")
    with tempfile.TemporaryDirectory() as folder:
        url = f"unix://{folder}/redis.sock"
        command = ["redis-server", "--port", "0", "--save", "", "--dir", folder]
        command += ["--unixsocket", f"{folder}/redis.sock"]
        yield from (url for _ in started(command, redis.Redis.from_url(url).ping))


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    psycopg = pytest.importorskip("psycopg", reason="the extra `serve` is not installed")
    if POSTGRES is None:
        pytest.skip("there is no PostgreSQL server here")
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if not shutil.which("runuser"):
            pytest.skip("root, and no runuser to become postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    owner = "postgres" if as_user else getpass.getuser()
    with tempfile.TemporaryDirectory() as folder:
        shutil.chown(folder, owner)
        made = [*as_user, str(POSTGRES.parent / "initdb"), "-D", f"{folder}/data", "-A", "trust"]
        subprocess.run([*made, "--no-sync"], check=True, capture_output=True)
        address = f"host={folder} dbname=postgres user={owner}"
        command = [*as_user, str(POSTGRES), "-D", f"{folder}/data", "-k", folder, "-h", ""]
        command += ["-c", "fsync=off"]

        def ready() -> None:
            psycopg.connect(address).close()

        yield from (address for _ in started(command, ready))


def of_redis(url: str, user: str) -> list[str]:
    """What a shop's page asks for: the pointer, the user's key, else what is popular."""
    import redis

    client = redis.Redis.from_url(url, decode_responses=True)
    head = f"recsys:{client.get('recsys:current')}"
    found = client.get(f"{head}:u:{user}") or client.get(f"{head}:popular")
    return [place["item_id"] for place in json.loads(found)]


def test_redis_shows_the_new_night_at_once(redis_url: str) -> None:
    assert redis_store.load(redis_url, "recsys", "night-1", lists(["a", "b"]), POPULAR, 900) == 2
    assert of_redis(redis_url, "u1") == ["a", "b"]
    assert of_redis(redis_url, "nobody") == ["p1"]
    redis_store.load(redis_url, "recsys", "night-2", lists(["c"]), POPULAR, 900)
    assert of_redis(redis_url, "u2") == ["c"]
    import redis

    client = redis.Redis.from_url(redis_url)
    assert 0 < client.ttl("recsys:night-1:u:u1") <= 900  # the night before goes by itself


def test_redis_that_refuses_keeps_the_night_before(redis_url: str) -> None:
    import redis

    client = redis.Redis.from_url(redis_url, decode_responses=True)
    redis_store.load(redis_url, "full", "night-1", lists(["a"]), POPULAR, 900)
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", used)
    many = lists(["x" * 200] * 20, tuple(f"u{n}" for n in range(3000)))
    with pytest.raises(ResourceFault, match="still current"):
        redis_store.load(redis_url, "full", "night-2", many, POPULAR, 900)
    client.config_set("maxmemory", 0)
    assert client.get("full:current") == "night-1"


def test_redis_that_is_not_there() -> None:
    pytest.importorskip("redis", reason="the extra `serve` is not installed")
    with pytest.raises(ResourceFault, match="Redis"):
        redis_store.load("unix:///nowhere.sock", "recsys", "n", lists(["a"]), POPULAR, 9)
    with pytest.raises(UsageFault, match="no address"):
        redis_store.load("localhost", "recsys", "n", lists(["a"]), POPULAR, 9)


def of_postgres(address: str, question: str) -> list[Any]:
    import psycopg

    with psycopg.connect(address) as connection:
        return [row[0] for row in connection.execute(question).fetchall()]


MINE = "SELECT item_id FROM recsys.lists WHERE user_id = 'u1' ORDER BY rank"


def test_postgres_exchanges_nights_in_one_transaction(database: str) -> None:
    assert postgres.load(database, "recsys", "night-1", lists(["a", "b"]), POPULAR) == 4
    assert of_postgres(database, MINE) == ["a", "b"]
    more = lists(["c"]).with_columns(term_new=pl.lit(1.5))  # another night, another term
    postgres.load(database, "recsys", "night-2", more, POPULAR)
    assert of_postgres(database, MINE) == ["c"]
    postgres.load(database, "recsys", "night-2", more, POPULAR)  # the same again
    assert of_postgres(database, MINE) == ["c"]
    assert of_postgres(database, "SELECT item_id FROM recsys.popular WHERE category IS NULL") == [
        "p1"
    ]
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'recsys' ORDER BY 1"
    assert of_postgres(database, tables) == ["lists night-2", "popular night-2"]


def test_a_load_that_fails_leaves_the_night_before(database: str) -> None:
    postgres.load(database, "kept", "night-1", lists(["a"]), POPULAR)
    bad = lists(["b"]).with_columns(item_id=pl.lit("zero \x00 byte"))
    with pytest.raises(ResourceFault, match="PostgreSQL"):
        postgres.load(database, "kept", "night-2", bad, POPULAR)
    assert of_postgres(database, "SELECT DISTINCT item_id FROM kept.lists") == ["a"]


def test_names_cannot_be_commands(database: str) -> None:
    name = 'n"; DROP SCHEMA recsys CASCADE; --'
    users = ("u'; DROP TABLE x; --",)
    postgres.load(database, "odd", name, lists(["a\t\\N"], users), POPULAR)
    assert of_postgres(database, "SELECT user_id FROM odd.lists") == list(users)
    assert of_postgres(database, "SELECT item_id FROM odd.lists") == ["a\t\\N"]


def test_a_csv_cell_is_never_a_formula(tmp_path: Path) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "＝1+1", 'say "hi", you', "plain"]
    files.write(lists(evil, ("=cmd|' /C calc'!A0",)), tmp_path / "lists.csv", "csv")
    with (tmp_path / "lists.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows for cell in row.values() if cell[:1] in "=+-@\t＝"]
    assert [row["item_id"].removeprefix("'") for row in rows] == evil
    assert [float(row["score"]) for row in rows] == pytest.approx([1 / n for n in range(1, 9)])


def test_a_link_at_the_files_name_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("canary")
    (tmp_path / "lists.csv").symlink_to(tmp_path / "precious")
    (tmp_path / ".lists.csv.part").symlink_to(tmp_path / "precious")
    files.write(lists(["a"]), tmp_path / "lists.csv", "csv")
    assert (tmp_path / "precious").read_text() == "canary"
    assert not (tmp_path / "lists.csv").is_symlink()


def test_jsonl_holds_texts_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lists.jsonl"
    files.write(lists(["=1+1"]), path, "jsonl")
    assert json.loads(path.read_text().splitlines()[0])["item_id"] == "=1+1"
    assert list(path.parent.iterdir()) == [path]

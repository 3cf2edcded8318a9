"""Lists in PostgreSQL: a table a night behind a view, exchanged in one transaction.

    SELECT item_id FROM recsys.lists WHERE user_id = 'u17' ORDER BY rank;

Readers see the night before until the transaction ends, then the new one, never half of it. A load
that fails leaves nothing behind.
"""

from typing import Any

import polars as pl

from recsys.errors import ResourceFault
from recsys.serving.exports.redis_store import missing

TYPES = {pl.String: "text", pl.Int32: "integer", pl.Int64: "bigint", pl.Float64: "double precision"}


def load(address: str, schema: str, name: str, lists: pl.DataFrame, popular: pl.DataFrame) -> int:
    """Loads a release and makes it the one that the views show; returns its rows.

    Args:
        address: as postgresql://user@host/database; empty for libpq's environment variables.
        schema: of the tables; made where it is not there.
        name: of the release.
        lists, popular: its tables.

    Raises:
        UsageFault: the extra `serve` is not installed.
        ResourceFault: the server cannot be reached, or refuses; the old night stays.
    """
    try:
        import psycopg
        from psycopg import sql
    except ImportError:
        raise missing("psycopg") from None
    try:
        with psycopg.connect(address, connect_timeout=10) as connection:
            run = connection.cursor()
            run.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            # one load at a time; the second waits for the first
            run.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"recsys {schema}"])
            for view, frame, key in (
                ("lists", lists, ("user_id", "rank")), ("popular", popular, ("category", "rank")),
            ):  # fmt: skip
                _replace(run, sql, schema, view, name, frame, key)
        return len(lists)
    except psycopg.Error as error:
        raise ResourceFault(
            f"PostgreSQL: {str(error).strip()}", where="export postgres",
            fix="see that the server runs and that the role may create; the night before stays",
        ) from None  # fmt: skip


def _replace(
    run: Any, sql: Any, schema: str, view: str, name: str, frame: pl.DataFrame, key: tuple[str, ...]
) -> None:
    """Makes and fills a table beside the old one; only then the view turns to it."""
    place, there = sql.Identifier(schema, f"{view} next"), sql.Identifier(schema, view)
    columns = [sql.Identifier(column) for column in frame.columns]
    typed = [
        sql.SQL("{} {}").format(column, sql.SQL(TYPES[type(kind)]))
        for column, kind in zip(columns, frame.dtypes, strict=True)
    ]
    run.execute(sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(typed)))
    with run.copy(sql.SQL("COPY {} FROM STDIN").format(place)) as target:
        for row in frame.iter_rows():
            target.write_row(row)
    index = [sql.Identifier(column) for column in key]
    run.execute(sql.SQL("CREATE INDEX ON {} ({})").format(place, sql.SQL(", ").join(index)))
    run.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(there))
    run.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)"
        " AND tablename <> %s",
        [schema, f"{view} ", f"{view} next"],
    )
    for (old,) in run.fetchall():
        run.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, old)))
    table = sql.Identifier(f"{view} {name}")
    run.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(place, table))
    run.execute(
        sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(
            there, sql.Identifier(schema, f"{view} {name}")
        )
    )
    run.execute(
        sql.SQL("COMMENT ON VIEW {} IS {}").format(there, sql.Literal(f"recsys release {name}"))
    )

"""The explorer over a tiny shop with two nights: its pages, its guard, its pictures."""

import dataclasses
import datetime as dt
import http.client
import io
import re
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
from PIL import Image

uvicorn = pytest.importorskip("uvicorn", reason="the extra `explore` is not installed")
pytest.importorskip("fastapi", reason="the extra `explore` is not installed")

from fastapi import testclient  # noqa: E402

from pipelines import cli  # noqa: E402
from pipelines.explorer import app, pages, pictures  # noqa: E402
from pipelines.explorer.grouped import Grouped, containing  # noqa: E402
from pipelines.explorer.guard import without_port  # noqa: E402
from pipelines.explorer.live import Blend, Live  # noqa: E402
from pipelines.explorer.shelf import Shelf  # noqa: E402
from recsys.errors import near  # noqa: E402
from recsys.features.media import MediaLimits  # noqa: E402

EVIL = "<script>alert(1)</script>"

Site = tuple[Shelf, Live, str]


def ask(
    site: Site, path: str, *, host: str = "", body: bytes | None = None, headers: dict | None = None
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(site[2], timeout=20)
    sent = {"Host": host or site[2], **(headers or {})}
    connection.request("GET" if body is None else "POST", path, body=body, headers=sent)
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace"), answer.headers


def a_user(site: Site) -> str:
    """One with history and a list of the model."""
    lists = site[0].lists.frame.filter(pl.col("source") == "model")
    return lists["user_id"][0]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "Users with much history"),
        ("/find?q=u0000", "u00001"),
        ("/find?q=nothing-is-called-so", "Nothing is called"),
        ("/item?id=i00003", "Similar items"),
        ("/search?q=mug", "/item?id="),
        ("/compare", "What changed"),
        ("/night", "Gates"),
        ("/report", "Nightly recommendations"),
    ],
)
def test_every_page_answers(site: Site, path: str, said: str) -> None:
    status, text, headers = ask(site, path)
    assert status == 200
    assert said in text
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", text)


def test_a_user_page_says_why(site: Site) -> None:
    user = a_user(site)
    _, text, _ = ask(site, f"/user?id={user}")
    rows = site[0].lists[user].sort("rank")
    shown = re.findall(r'class="pic" href="/item\?id=(\w+)"', text)
    assert shown == rows["item_id"].to_list()
    assert text.count("drawn by") == len(rows)
    assert text.count("<span>Similarity</span>") == len(rows)
    assert "Blend" in text


def test_ids_that_nobody_has_say_near_ones(site: Site) -> None:
    status, text, _ = ask(site, "/user?id=u000010")
    assert status == 404
    assert "u00001" in text
    assert ask(site, f"/item?id={quote(EVIL)}")[0] == 404


def test_what_a_catalogue_says_is_escaped(site: Site) -> None:
    for path in ("/item?id=i00007", f"/find?q={quote('<script>')}", f"/user?id={quote(EVIL)}"):
        text = ask(site, path)[1]
        assert EVIL not in text
        assert "&lt;script&gt;" in text


def test_as_published_is_the_published_list(site: Site) -> None:
    shelf, live, _ = site
    user = a_user(site)
    published = shelf.lists[user].sort("rank")
    again = live.lists(user, Blend(diversity=0.0))
    assert again["item_id"].to_list() == published["item_id"].to_list()
    assert again["score"].to_numpy() == pytest.approx(published["score"].to_numpy(), abs=1e-5)


def test_sliders_weigh_their_own_terms(site: Site) -> None:
    user = a_user(site)
    found = site[1].lists(user, Blend(popularity=0.0, freshness=2.0))
    terms = [name for name in found.columns if name.startswith("term_popularity")]
    assert terms
    assert all((found[name] == 0).all() for name in terms)
    plain = dict(zip(*site[0].lists[user].select("item_id", "term_freshness_3d"), strict=True))
    for row in found.iter_rows(named=True):
        if row["item_id"] in plain:
            assert row["term_freshness_3d"] == pytest.approx(2 * plain[row["item_id"]], abs=1e-9)
    status, text, _ = ask(site, f"/user/list?id={user}&popularity=0&diversity=0.4")
    assert status == 200
    assert "blended anew" in text
    assert ask(site, f"/user/list?id={user}&popularity=99")[0] == 422


def test_sliders_only_blend_what_is_known_of_the_user(site: Site) -> None:
    _, live, _ = site
    user = a_user(site)
    first = live.lists(user, Blend(popularity=0.5))
    before = live._asked.cache_info()
    again = live.lists(user, Blend(popularity=0.5))
    live.why(user, again["item_id"].to_list())
    after = live._asked.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 2)
    assert again.equals(first)


def test_a_model_that_is_not_there_leaves_the_release(site: Site) -> None:
    shelf, _, _ = site
    elsewhere = shelf.settings.model_copy(update={"work": "/nowhere"})
    live = Live(dataclasses.replace(shelf, settings=elsewhere))
    assert not live.wait(30)
    told = pages.listed(shelf, live, a_user(site), Blend())
    assert len(told["places"]) == 8
    assert "there is no" in told["fault"]
    assert not told["can_blend"]


def test_a_port_that_is_taken_is_told_before_the_model_is_made(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, port = site[0].settings, site[2].partition(":")[2]
    chosen = [f"work={settings.work}", f"data.folder={settings.data.folder}"]
    assert cli.invoke(["explore", *chosen, f"explore.port={port}"]) == 7
    told = capsys.readouterr().err
    assert f"value: '127.0.0.1:{port}'" in told
    assert "shows" not in told


def test_other_years_are_written_out(site: Site) -> None:
    shelf, live, _ = site
    client = testclient.TestClient(app.build(shelf, live), base_url="http://127.0.0.1")
    years = re.compile(r"\d+ Oct 2026|October 2026")
    paths = (f"/user?id={quote(a_user(site))}", "/item?id=i00003")
    assert not any(years.search(client.get(path).text) for path in paths)
    later = dataclasses.replace(shelf, manifest={**shelf.manifest, "date": "2027-01-01"})
    client = testclient.TestClient(app.build(later, live), base_url="http://127.0.0.1")
    assert all(years.search(client.get(path).text) for path in paths)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_hosts_get_nothing(site: Site, host: str) -> None:
    status, text, _ = ask(site, "/", host=host or " ")
    assert status == 421
    assert "user" not in text


def test_other_sites_cannot_post(site: Site) -> None:
    assert ask(site, "/search", body=b"", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403


@pytest.mark.parametrize(
    ("host", "name"),
    [("localhost:8000", "localhost"), ("[::1]:8000", "[::1]"), ("[::1]", "[::1]"), ("A.b", "a.b")],
)
def test_hosts_lose_their_port(host: str, name: str) -> None:
    assert without_port(host) == name


def test_pictures_are_small_and_come_from_the_catalogue_alone(site: Site) -> None:
    shelf = site[0]
    with_photo = shelf.found.items.filter(pl.col("image").list.len() > 0)["item_id"][0]
    connection = http.client.HTTPConnection(site[2], timeout=20)
    connection.request(
        "GET", f"/picture?id={quote(with_photo)}&side=100000", headers={"Host": site[2]}
    )
    answer = connection.getresponse()
    with Image.open(io.BytesIO(answer.read())) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) <= 480
    status, text, headers = ask(site, "/picture?id=../../etc/passwd")
    assert (status, headers["content-type"]) == (404, "image/svg+xml")  # shown instead of an error
    assert "<svg" in text
    assert ask(site, "/picture?id=i00001&kind=text")[0] == 422
    for path in ("/static/../app.py", "/static/%2e%2e/app.py"):
        assert ask(site, path)[0] == 404


def test_a_photo_finds_itself(site: Site) -> None:
    shelf = site[0]
    row = shelf.found.items.filter(
        (pl.col("image").list.len() > 0) & pl.col("available")
    ).row(0, named=True)  # fmt: skip
    photo = (Path(shelf.settings.data.folder) / row["image"][0]).read_bytes()
    status, text, _ = ask(site, "/search?q=", body=photo)
    assert status == 200
    assert len(re.findall(r'class="tile" href="/item\?id=(\w+)"', text)) > 10
    status, text, _ = ask(site, "/search", body=b"no photo at all")
    assert status == 400
    assert "cannot be read" in text
    assert ask(site, "/search", body=b"\0" * (21 << 20))[0] == 400


def test_grouped_rows_are_those_of_their_key() -> None:
    table = pl.DataFrame({"k": ["b", "a", "b", "c"], "v": [1, 2, 3, 4]})
    rows = Grouped(table, "k")
    assert rows["b"]["v"].to_list() == [1, 3]
    assert rows["none"].is_empty()
    assert "a" in rows
    assert "none" not in rows
    assert rows.keys.to_list() == ["a", "b", "c"]
    assert Grouped(table.clear(), "k")["a"].is_empty()


def test_finding_ids() -> None:
    keys = pl.Series([f"u{number:06d}" for number in range(60_000)])
    assert containing(keys, "U00001", 3) == ["u000010", "u000011", "u000012"]
    assert containing(pl.Series(["xab", "abx", "b"]), "ab", 5) == ["abx", "xab"]
    assert "u059999" in near("u0599999", keys.to_list())


@pytest.mark.parametrize(
    ("size", "told"), [((20, 30), "tall"), ((30, 30), "square"), ((48, 27), "wide")]
)
def test_posters_stand_in_frames_that_show_them_whole(
    tmp_path: Path, size: tuple[int, int], told: str
) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = ["a.jpg", "broken.jpg", "absent.jpg"]
    assert pictures.shape(tmp_path, paths, MediaLimits(min_side=8)) == told
    assert pictures.shape(tmp_path, [], MediaLimits()) == "square"


def test_a_visit_tells_its_events_in_their_order_and_ratings(site: Site) -> None:
    moment = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    item = site[0].found.items["item_id"][0]
    told = pl.DataFrame(
        {"user_id": "u", "item_id": item, "timestamp": moment, "event": ["view", "cart"],
         "weight": [1.0, 3.0]}
    )  # fmt: skip
    visits = pages._visits(site[0], told.reverse())
    assert [visit["events"] for visit in visits] == [["view", "cart"]]
    rated = told.with_columns(event=pl.lit("rating"), weight=pl.Series([4.5, 2.0]))
    shelf = dataclasses.replace(site[0], past=Grouped(rated, "user_id"))
    assert pages._visits(shelf, rated.reverse())[0]["events"] == ["rating 4.5", "rating 2"]

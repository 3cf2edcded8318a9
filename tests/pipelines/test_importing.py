"""`recsys import` on small files in the exact format of each public data set.

Every dataset folder that comes out passes `recsys check` with the settings file beside it.
"""

import datetime
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipelines import cli
from pipelines.settings import Settings
from recsys.data.importers import movielens
from recsys.settings import load

Import = Callable[..., Path]
FLAGS = ["0"] * 19
ROOT = Path(__file__).parents[2]


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    """Writes files, imports them as `source`, checks the result, returns the dataset folder."""

    def run(source: str, files: dict[str, bytes | str], *settings: str) -> Path:
        for name, content in files.items():
            path = tmp_path / "from" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        out = tmp_path / "out"
        assert cli.invoke(["import", source, str(tmp_path / "from"), str(out), *settings]) == 0
        config = ["--config", str(out / "settings.toml"), f"work={tmp_path}/work"]
        assert cli.invoke(["check", "--json", *config]) == 0
        told = capsys.readouterr().out.splitlines()[-1]
        accounting = json.loads(told)["accounting"]["interactions.parquet"]
        assert accounting["kept"] == accounting["read"] > 0
        return out

    return run


def table(out: Path, name: str) -> list[dict[str, Any]]:
    return pl.read_parquet(out / f"{name}.parquet").to_dicts()


def utc(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[misc,arg-type]


def photo() -> bytes:
    import io

    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(stream, "JPEG")
    return stream.getvalue()


def test_movielens_100k(imported: Import) -> None:
    toy, comedy = FLAGS.copy(), FLAGS.copy()
    toy[3] = toy[4] = comedy[5] = "1"
    end = "|http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|"
    out = imported(
        "movielens",
        {
            "u.data": "196\t1\t3\t881250949\n186\t2\t3\t891717742\n",
            "u.item": (
                f"1|Toy Story (1995)|01-Jan-1995|{end}{'|'.join(toy)}\n"
                f"2|Misérables, Les (1995)|01-Jan-1995|{end}{'|'.join(comedy)}\n"
            ).encode("latin-1"),
            "u.user": "196|49|M|writer|55105\n186|39|F|executive|00000\n",
            "u.genre": "unknown|0\n\n",
        },
    )
    assert table(out, "interactions")[0] == {
        "user_id": 196, "item_id": 1, "timestamp": utc(1997, 12, 4, 15, 55, 49), "weight": 3.0,
    }  # fmt: skip
    first, second = table(out, "items")
    assert first["category"] == ["Animation", "Children's"]
    assert (second["title"], second["year"]) == ("Misérables, Les (1995)", 1995)
    assert table(out, "users")[1] == {
        "user_id": 186, "gender": "F", "age": 39.0, "occupation": "executive", "zip": "00000",
    }  # fmt: skip


ONE_M = {
    "ratings.dat": b"1::1193::5::978300760\n1::661::3::978302109\n",
    "movies.dat": "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
    "661::Café; Society (1995)::Animation|Children's|Musical\n".encode("latin-1"),
    "users.dat": b"1::F::1::10::48067\n",
}  # fmt: skip


def test_movielens_1m(imported: Import) -> None:
    out = imported("movielens", {**ONE_M, "README": "SUMMARY"})
    assert table(out, "interactions")[1] == {
        "user_id": 1, "item_id": 661, "timestamp": utc(2000, 12, 31, 22, 35, 9), "weight": 3.0,
    }  # fmt: skip
    assert table(out, "items")[1] == {
        "item_id": 661, "title": "Café; Society (1995)", "year": 1995,
        "category": ["Animation", "Children's", "Musical"],
    }  # fmt: skip
    assert table(out, "users")[0]["zip"] == "48067"


@pytest.mark.parametrize("least", [10, 10_000_000])
def test_a_large_movielens_is_read_as_was_best_on_it(
    imported: Import, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(movielens, "LARGE", least)
    chosen = load(Settings, imported("movielens", ONE_M) / "settings.toml")
    config = ROOT / "configs/movielens.toml" if least == 10 else None
    measured = load(Settings, config)
    assert chosen.model.users == measured.model.users
    assert chosen.train.batches == measured.train.batches


def test_movielens_10m_has_half_stars_no_users_and_utf8(imported: Import) -> None:
    out = imported(
        "movielens",
        {
            "ratings.dat": "1::122::5::838985046\n1::185::3.5::838983525\n",
            "movies.dat": "122::Boomerang (1992)::Comedy|Romance\n185::Amélie (2001)::Drama\n",
            "tags.dat": "15::4973::excellent!::1215184630\n",
        },
    )
    assert [row["weight"] for row in table(out, "interactions")] == [5.0, 3.5]
    assert table(out, "items")[1]["title"] == "Amélie (2001)"
    assert not (out / "users.parquet").exists()


LATEST = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,11,4.5,964981247\n",
    "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n"
    '11,"American President, ""The"" (1995)",(no genres listed)\n',
    "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n",
    "tags.csv": "userId,movieId,tag,timestamp\n2,60756,funny,1445714994\n",
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_movielens_latest_and_20m_to_32m(imported: Import, ends: str) -> None:
    out = imported("movielens", {k: v.replace("\n", ends) for k, v in LATEST.items()})
    second = table(out, "items")[1]
    assert second["title"] == 'American President, "The" (1995)'
    assert second["category"] is None
    assert table(out, "interactions")[1]["weight"] == 4.5


def test_movielens_from_its_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ONE_M.items():
            archive.writestr(f"ml-1m/{name}", content)
        archive.writestr("__MACOSX/ml-1m/._ratings.dat", b"junk")
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    assert cli.invoke(["import", "movielens", str(tmp_path / "ml.zip"), str(packed)]) == 0
    (tmp_path / "ml-1m").mkdir()
    for name, content in ONE_M.items():
        (tmp_path / "ml-1m" / name).write_bytes(content)
    assert cli.invoke(["import", "movielens", str(tmp_path / "ml-1m"), str(plain)]) == 0
    for name in ("interactions", "items", "users"):  # the same input, the same bytes
        file = f"{name}.parquet"
        assert (packed / file).read_bytes() == (plain / file).read_bytes()
    assert sorted(path.name for path in plain.iterdir()) == [
        "interactions.parquet", "items.parquet", "settings.toml", "users.parquet",
    ]  # fmt: skip


REVIEW = {
    "rating": 5.0, "title": "Such a lovely scent", "text": "This spray is really nice.",
    "images": [{"small_image_url": "https://m.media-amazon.com/s.jpg",
                "medium_image_url": "https://m.media-amazon.com/m.jpg",
                "large_image_url": "https://m.media-amazon.com/l.jpg",
                "attachment_type": "IMAGE"}],
    "asin": "B00YQ6X8EO", "parent_asin": "B00YQ6X8EO",
    "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ", "timestamp": 1588687728923, "helpful_vote": 0,
    "verified_purchase": True,
}  # fmt: skip
META = {
    "main_category": "All Beauty", "title": "Howard Leather Wipes", "average_rating": 4.8,
    "rating_number": 10, "features": ["16 oz", ""], "description": ["Care for leather."],
    "price": 12.99,
    "images": [
        {"thumb": "https://m.media-amazon.com/t.jpg", "large": "https://m.media-amazon.com/l.jpg",
         "variant": "MAIN", "hi_res": None},
        {"thumb": "https://m.media-amazon.com/u.jpg", "large": "https://m.media-amazon.com/2.jpg",
         "variant": "PT01", "hi_res": "https://m.media-amazon.com/h.jpg"}],
    "videos": [{"title": "How", "url": "https://www.amazon.com/vdp/1", "user_id": ""}],
    "store": "Howard Products", "categories": [], "details": {"Package Dimensions": "7 x 5"},
    "parent_asin": "B00YQ6X8EO", "bought_together": None,
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_amazon_reviews_2023(imported: Import, packed: bool) -> None:
    bare = {"price": "from 8.99", "images": [], "description": [], "features": [], "store": None}
    other = {**META, **bare, "parent_asin": "0123456789", "categories": ["Beauty", "Hair"]}
    reviews = [REVIEW, {**REVIEW, "timestamp": 1588687728924, "parent_asin": "0123456789"}]
    files = {
        "All_Beauty.jsonl": "".join(json.dumps(review) + "\n" for review in reviews).encode(),
        "meta_All_Beauty.jsonl": "".join(
            json.dumps(meta) + "\n" for meta in [META, other]
        ).encode(),
    }
    if packed:
        files = {f"{name}.gz": gzip.compress(data) for name, data in files.items()}
    out = imported("amazon-reviews-2023", files)
    assert table(out, "interactions")[0] == {
        "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ", "item_id": "B00YQ6X8EO",
        "timestamp": utc(2020, 5, 5, 14, 8, 48, 923_000), "weight": 5.0,
    }  # fmt: skip
    first, second = table(out, "items")
    assert first == {
        "item_id": "B00YQ6X8EO", "title": "Howard Leather Wipes",
        "description": "Care for leather.\n16 oz", "category": ["All Beauty"],
        "brand": "Howard Products", "price": 12.99,
    }  # fmt: skip
    assert (second["item_id"], second["category"]) == ("0123456789", ["Beauty", "Hair"])
    assert second["price"] is None
    assert second["description"] is None
    assert table(out, "image_urls")[0] == {
        "item_id": "B00YQ6X8EO",
        "url": ["https://m.media-amazon.com/l.jpg", "https://m.media-amazon.com/h.jpg"],
    }


def test_amazon_ratings_alone_make_a_catalogue_of_ids(imported: Import) -> None:
    rows = (
        "user_id,parent_asin,rating,timestamp\nA2,B1,4.0,1588687728923\nA1,B0,5.0,1588687728924\n"
    )
    out = imported("amazon-reviews-2023", {"All_Beauty.csv.gz": gzip.compress(rows.encode())})
    assert table(out, "items") == [{"item_id": "B0"}, {"item_id": "B1"}]


PAIRS = "user,item,timestamp\n1,10,1583378629552\n2,11,1662984729429\n"


def test_microlens_100k(imported: Import) -> None:
    out = imported(
        "microlens",
        {
            "MicroLens-100k_pairs.csv": PAIRS,
            "MicroLens-100k_pairs.tsv": "1\t10\n2\t11\n",
            "MicroLens-100k_title_en.csv": '10,Cats, dogs and more\n11,"He said ""no"", twice"\n',
            "MicroLens-100k_likes_and_views.txt": "10\t5\t100\n",
            "tags_to_summary.csv": "10,Pets\n",
            "MicroLens-100k_covers/10.jpg": photo(),
            "readme.txt": "...",
        },
    )
    assert table(out, "interactions")[0] == {
        "user_id": 1, "item_id": 10, "timestamp": utc(2020, 3, 5, 3, 23, 49, 552_000),
    }  # fmt: skip
    image = "media/MicroLens-100k_covers/10.jpg"
    assert table(out, "items") == [
        {"item_id": 10, "title": "Cats, dogs and more", "category": "Pets", "image": image},
        {"item_id": 11, "title": 'He said "no", twice', "category": None, "image": None},
    ]
    assert (out / image).read_bytes() == photo()


def test_microlens_50k_has_a_header_and_quotes(imported: Import) -> None:
    titles = 'item,title\n10,"Cats, ""and"" dogs"\n11,"two\nlines"\n'
    files = {"MicroLens-50k_pairs.csv": PAIRS, "MicroLens-50k_titles.csv": titles}
    out = imported("microlens", files)
    assert [row["title"] for row in table(out, "items")] == ['Cats, "and" dogs', "two\nlines"]


def vectors(*rows: list[float]) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, np.array(rows, dtype=np.float64))
    return stream.getvalue()


INTER = """userID\titemID\trating\ttimestamp\tx_label
0\t1\t5.0\t1328140800\t0
1\t0\t4.0\t1330387200\t2
"""


def test_mmrec_with_metadata_and_vectors(imported: Import) -> None:
    out = imported(
        "mmrec",
        {
            "baby.inter": INTER,
            "image_feat.npy": vectors([0.5, 1.0], [0.0, 0.0]),
            "text_feat.npy": vectors([1, 2, 3], [4, 5, 6]),
            "i_id_mapping.csv": "asin\titemID\n188\t0\nB00\t1\n",
            "u_id_mapping.csv": "user_id\tuserID\nA1\t0\n",
            "meta-baby.csv": "itemID,asin,title,price,brand,categories,description\n"
            '0,188,Punch,9.99,Ghost,"[[\'Sports & Outdoors\', ""Men\'s""], [\'Toys\']]",A tool\n'
            "1,B00,,,,,\n",
        },
    )
    assert table(out, "items")[0] == {
        "item_id": 0, "asin": "188", "title": "Punch", "description": "A tool", "brand": "Ghost",
        "price": 9.99, "category": ["Sports & Outdoors", "Men's", "Toys"],
    }  # fmt: skip
    assert table(out, "features/image_feat") == [{"item_id": 0, "vector": [0.5, 1.0]}]
    assert len(table(out, "features/text_feat")) == 2
    assert 'ready_made = ["image_feat", "text_feat"]' in (out / "settings.toml").read_text()


def test_mmrec_in_milliseconds_without_ratings(imported: Import) -> None:
    inter = "userID\titemID\ttimestamp\tx_label\n0\t1\t1583378629552\t0\n1\t0\t1662984729429\t2\n"
    out = imported("mmrec", {"microlens.inter": inter})
    assert table(out, "interactions")[0] == {
        "user_id": 0, "item_id": 1, "timestamp": utc(2020, 3, 5, 3, 23, 49, 552_000),
    }  # fmt: skip
    assert table(out, "items") == [{"item_id": 0}, {"item_id": 1}]


ARTICLES = (
    "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,"
    "graphical_appearance_no,graphical_appearance_name,colour_group_code,colour_group_name,"
    "perceived_colour_value_id,perceived_colour_value_name,perceived_colour_master_id,"
    "perceived_colour_master_name,department_no,department_name,index_code,index_name,"
    "index_group_no,index_group_name,section_no,section_name,garment_group_no,"
    "garment_group_name,detail_desc\n"
    "0108775015,0108775,Strap top,253,Vest top,Garment Upper body,1010016,Solid,09,Black,4,Dark,5,"
    'Black,1676,Jersey Basic,A,Ladieswear,1,Ladieswear,16,Womens Everyday,1002,Jersey Basic,"Top, '
    'narrow ""straps""."\n'
)
CUSTOMER = "00000dbacae5abe5e23885899a1fa44253a17956c6d1c3d25f88aa139fdfc657"


def test_h_and_m(imported: Import) -> None:
    out = imported(
        "h-and-m",
        {
            "articles.csv": ARTICLES,
            "customers.csv": "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,"
            f"postal_code\n{CUSTOMER},,,ACTIVE,NONE,49.0,52043ee2\n",
            "transactions_train.csv": "t_dat,customer_id,article_id,price,sales_channel_id\n"
            f"2018-09-20,{CUSTOMER},0108775015,0.050830508474576274,2\n",
            "sample_submission.csv": "customer_id,prediction\n",
            "images/010/0108775015.jpg": photo(),
        },
    )
    assert table(out, "interactions") == [
        {"user_id": CUSTOMER, "item_id": "0108775015", "timestamp": utc(2018, 9, 20)}
    ]
    item = table(out, "items")[0]
    assert item["description"] == 'Top, narrow "straps".'
    assert item["category"] == ["Garment Upper body", "Vest top"]
    assert item["image"] == "media/images/010/0108775015.jpg"
    assert table(out, "users")[0]["age"] == 49.0


def test_a_mapping_of_csv_files(imported: Import, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text(
        """
[mapping.interactions]
files = "orders-*.csv"
separator = ";"
encoding = "cp1252"
columns = { user_id = "Kunde", item_id = "Artikel", timestamp = "Datum", weight = "Menge" }
time = "%d.%m.%Y %H:%M"
timezone = "Europe/Berlin"
event = "purchase"
[mapping.items]
files = "products.csv"
columns = { item_id = "sku", title = "name", category = "tags", season = "season" }
lists = { category = "|" }
"""
    )
    head = "Datum;Kunde;Artikel;Menge\n"
    out = imported(
        "mapping",
        {
            "orders-1.csv": f"{head}01.07.2026 12:00;Jürgen;007;2\n".encode("cp1252"),
            "orders-2.csv": f"{head}02.07.2026 12:00;Zoë;7;1\n".encode("cp1252"),
            "products.csv": "sku,name,tags,season\n007,Bond,film|spy,\n7,Seven,film,summer\n",
        },
        "--config", str(config),
    )  # fmt: skip
    assert table(out, "interactions")[0] == {
        "user_id": "Jürgen", "item_id": "007", "timestamp": utc(2026, 7, 1, 10), "weight": 2.0,
    }  # fmt: skip
    assert table(out, "items")[0] == {
        "item_id": "007", "title": "Bond", "category": ["film", "spy"], "season": None,
    }  # fmt: skip


def test_a_mapping_of_parquet_keeps_types(imported: Import, tmp_path: Path) -> None:
    log = pl.DataFrame({"u": [1, 2], "i": [5, 6], "t": [utc(2026, 7, 1), utc(2026, 7, 2)]})
    items = pl.DataFrame({"i": [5, 6], "tags": [["a", "b"], []], "weight_kg": [1.5, None]})
    log.write_parquet(tmp_path / "log.parquet")
    items.write_parquet(tmp_path / "items.parquet")
    out = imported(
        "mapping",
        {name: (tmp_path / name).read_bytes() for name in ("log.parquet", "items.parquet")},
        "mapping.interactions.files=log.parquet",
        'mapping.interactions.columns={user_id="u",item_id="i",timestamp="t"}',
        "mapping.interactions.event=view",
        "mapping.items.files=items.parquet",
        'mapping.items.columns={item_id="i",category="tags",weight_kg="weight_kg"}',
    )
    assert table(out, "interactions")[0]["user_id"] == 1
    assert table(out, "items")[0] == {"item_id": 5, "category": ["a", "b"], "weight_kg": 1.5}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["movielenz", "."], 2, "one of: movielens"),
        (["movielens", "nowhere"], 3, "neither a folder nor a zip archive"),
        (["movielens", "."], 3, "no MovieLens data set"),
        (["h-and-m", "."], 3, "0 files are called articles.csv"),
        (["mmrec", "."], 3, "0 files are called *.inter"),
        (["amazon-reviews-2023", "."], 3, "no reviews"),
        (["microlens", "."], 3, "0 files are called *_pairs.csv"),
        (["mapping", "."], 2, "mapping.interactions.files"),
    ],
)
def test_what_a_user_can_cause_is_one_error(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text("nothing of use")
    assert cli.invoke(["import", *arguments, "out"]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt"]


def test_a_mapping_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("u,i,t\n1,2,1600000000\n")
    start = ["import", "mapping", str(tmp_path), str(tmp_path / "out")]
    named = "mapping.interactions.files=log.csv"
    ids = 'mapping.interactions.columns={user_id="u",item_id="i",timestamp="t"}'
    assert cli.invoke([*start, named]) == 2
    assert "no column is named for user_id" in capsys.readouterr().err
    assert cli.invoke([*start, named, ids]) == 3
    assert "set mapping.interactions.time to a unit" in capsys.readouterr().err
    assert cli.invoke([*start, named, ids, "mapping.interactions.time=s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"][0]["kept"] == told["counts"]["interactions"] == 1

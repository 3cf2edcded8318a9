"""A dataset in an object store: its mirror holds what the store holds, whatever goes wrong."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from recsys import remote
from recsys.data import mirror
from recsys.data.settings import DataSettings
from recsys.errors import InputFault, ResourceFault
from recsys.remote import Seen, Store

Tree = dict[str, bytes]
SHOP: Tree = {
    "items.csv": b"item_id\ni1\n", "interactions/2026-08-01.csv": b"u1,i1\n",
    "interactions/2026-08-02.csv": b"u2,i1\n", "media/a b/ü.jpg": b"\xff\xd8" * 40,
}  # fmt: skip


class Bucket:
    """A folder of the memory's store, and the mirror of it."""

    def __init__(self, work: Path, address: str) -> None:
        self.files, self.root = fsspec.url_to_fs(address)
        self.place = work / "mirror" / "dataset"
        self.data = DataSettings(folder=address).mirrored(self.place)

    def fill(self, tree: Tree) -> None:
        for name, content in tree.items():
            self.files.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        self.files.rm_file(f"{self.root}/{name}")

    def mirrored(self) -> Tree:
        return {
            path.relative_to(self.place).as_posix(): path.read_bytes()
            for path in self.place.rglob("*")
            if path.is_file()
        }

    def told(self) -> tuple[int, int]:
        """How many objects came, and how many files went."""
        told = mirror.update(self.data)
        return told["brought"], told["gone"]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    bucket = Bucket(tmp_path, f"memory://{tmp_path.name}/dataset")
    bucket.fill(SHOP)
    yield bucket
    bucket.files.store.clear()


def test_only_what_is_new_or_has_changed_travels(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bucket.told() == (4, 0)
    assert bucket.mirrored() == SHOP
    asked: list[str] = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda *told: (asked.append(told[1]), get(*told))[1])
    assert bucket.told() == (0, 0)
    bucket.fill({"interactions/2026-08-03.csv": b"u3,i1\n", "items.csv": b"item_id\ni2\n"})
    bucket.remove("media/a b/ü.jpg")
    assert bucket.told() == (2, 1)
    assert sorted(asked) == ["interactions/2026-08-03.csv", "items.csv"]
    assert bucket.mirrored()["items.csv"] == b"item_id\ni2\n"
    assert not (bucket.place / "media").exists()


def test_a_store_of_files_is_one_too(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path, f"file://{tmp_path}/store")
    (tmp_path / "store" / "interactions").mkdir(parents=True)
    (tmp_path / "store" / "media" / "a b").mkdir(parents=True)
    bucket.fill(SHOP)
    assert bucket.told() == (4, 0)
    assert bucket.told() == (0, 0)
    bucket.fill({"items.csv": b"item_id\ni2\n"})  # of the same length
    assert bucket.told() == (1, 0)
    assert bucket.mirrored() == SHOP | {"items.csv": b"item_id\ni2\n"}


def test_what_somebody_changed_in_the_mirror_is_brought_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.told()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ü.jpg").write_bytes(b"precious")
    (bucket.place / "items.csv").write_bytes(b"item_id\ni9\n")
    (bucket.place / "interactions" / "2026-08-01.csv").unlink()
    (bucket.place / "media" / "a b" / "ü.jpg").unlink()
    (bucket.place / "media" / "a b").rmdir()
    (bucket.place / "media" / "a b").symlink_to(outside)
    (bucket.place / "stray").write_bytes(b"")
    assert bucket.told() == (3, 2)
    assert bucket.mirrored() == SHOP
    assert (outside / "ü.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("text", ["", "[]", '{"address": "memory://x", "objects": 3}', "{"])
def test_a_damaged_record_costs_a_copy_and_no_more(bucket: Bucket, text: str) -> None:
    bucket.told()
    (bucket.place.parent / mirror.RECORD).write_text(text)
    assert bucket.told() == (4, 0)
    assert bucket.told() == (0, 0)


def test_another_address_is_another_dataset(bucket: Bucket) -> None:
    bucket.told()
    other = Bucket(bucket.place.parents[1], bucket.data.address.replace("dataset", "other"))
    other.fill({"items.csv": SHOP["items.csv"]})
    assert other.told() == (1, 3)
    assert other.mirrored() == {"items.csv": SHOP["items.csv"]}


def test_what_was_whole_before_a_kill_is_not_brought_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, count, lock = Store.get, [0], threading.Lock()

    def dies(store: Store, name: str, path: Path) -> None:
        get(store, name, path)
        with lock:
            count[0] += 1
            if count[0] == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(mirror, "THREADS", 1)
    monkeypatch.setattr(Store, "get", dies)
    with pytest.raises(KeyboardInterrupt):
        bucket.told()
    whole = len(bucket.mirrored())
    assert whole in {2, 3}  # the next one may have begun
    (bucket.place.parent / ".staging-of-a-kill").write_bytes(b"half")
    monkeypatch.undo()
    assert bucket.told() == (4 - whole, 0)
    assert bucket.mirrored() == SHOP
    assert {path.name for path in bucket.place.parent.iterdir()} == {"dataset", mirror.RECORD}


@pytest.mark.parametrize("new", [b"u1,i1\nu7,i7\n", b"u9,i9\n", b""])
def test_an_object_that_changes_under_the_reader_is_no_file(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, new: bytes
) -> None:
    name, get = "interactions/2026-08-01.csv", Store.get
    bucket.told()
    bucket.fill({name: b"u1,i1\nu1,i2\n"})

    def slow(store: Store, asked: str, path: Path) -> None:
        get(store, asked, path)
        bucket.fill({name: new})

    monkeypatch.setattr(Store, "get", slow)
    with pytest.raises(InputFault, match=r"changed while it was read[\s\S]*run the same command"):
        bucket.told()
    assert bucket.mirrored()[name] == SHOP[name]  # the whole old one
    monkeypatch.undo()
    assert bucket.told() == (1, 0)
    assert bucket.mirrored()[name] == new


def test_a_short_answer_is_no_file(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "get", lambda store, name, path: path.write_bytes(b"i"))
    with pytest.raises(InputFault, match=r"1 of \d+ bytes"):
        bucket.told()
    assert bucket.mirrored() == {}


def test_an_object_that_went_is_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Store.objects

    def late(store: Store) -> dict[str, Seen]:
        found = listed(store)
        bucket.remove("items.csv")
        return found

    monkeypatch.setattr(Store, "objects", late)
    with pytest.raises(InputFault, match="gone since it was listed"):
        bucket.told()


def test_nothing_there_takes_nothing_away(bucket: Bucket) -> None:
    bucket.told()
    for name in SHOP:
        bucket.remove(name)
    with pytest.raises(InputFault, match="no such bucket, or nothing in it"):
        bucket.told()
    assert bucket.mirrored() == SHOP


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/x", "a//x", "./x", "a/.", "..", "a\0b", "a/" + "n" * 256,
     "items.csv/x"],
)  # fmt: skip
def test_s3_no_object_leaves_the_mirror(bucket: Bucket, name: str, tmp_path: Path) -> None:
    bucket.files.store[f"{bucket.root}/{name}"] = bucket.files.store[f"{bucket.root}/items.csv"]
    with pytest.raises(InputFault, match="cannot be a file of the mirror"):
        bucket.told()
    assert list(tmp_path.iterdir()) == []


NAMES = st.text(st.sampled_from("a./\0~%-ü\\ \n"), max_size=6)


@tried(max_examples=200)
@given(name=NAMES)
def test_s3_a_name_that_passes_lies_in_the_mirror(name: str) -> None:
    place = Path("/work/mirror/dataset")
    try:
        mirror._refuse_names([name], "memory://shop")
    except InputFault:
        return
    inside = (place / name).resolve()
    assert inside.relative_to(place).as_posix() == name


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "the disk refuses: No space left"),
        (PermissionError("Access Denied"), "access is denied"),
        (OSError(5, "An error occurred (SlowDown)"), "cannot be reached, or refuses: OSError"),
        (TimeoutError(), "cannot be reached"),
        (ValueError("Could not connect to the\nendpoint URL"), "Could not connect to the endpoint"),
    ],
)
def test_what_store_disk_and_network_refuse_is_told(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    bucket.told()
    bucket.fill({"items.csv": b"item_id\ni2\n"})

    def refuses(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(bucket.files), "get_file", refuses)
    with pytest.raises(ResourceFault) as caught:
        bucket.told()
    assert words in str(caught.value)
    assert "run the same command again" in str(caught.value) or "credentials" in str(caught.value)
    assert bucket.mirrored() == SHOP


def test_a_disk_without_room_is_told_before(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        mirror.shutil, "disk_usage", lambda _: mirror.shutil._ntuple_diskusage(9, 9, 0)
    )
    with pytest.raises(ResourceFault, match="no room"):
        bucket.told()
    assert bucket.mirrored() == {}


def test_the_record_names_nobody(bucket: Bucket) -> None:
    bucket.fill({"interactions/user=u17.csv": b"u17,i1\n"})
    bucket.told()
    text = (bucket.place.parent / mirror.RECORD).read_text()
    assert "u17" not in text
    assert len(json.loads(text)["objects"]) == 5


def test_a_version_is_told_by_the_first_mark_that_both_have() -> None:
    one = Seen(3, {"ETag": "a", "created": "1"})
    assert one.same(Seen(3, {"ETag": "a", "created": "2"}))
    assert one.same(Seen(3, {"created": "1"}))
    assert not one.same(Seen(3, {"ETag": "b", "created": "1"}))
    assert not one.same(Seen(4, {"ETag": "a"}))
    assert not one.same(Seen(3, {"generation": "7"}))
    assert not Seen(3, {}).same(Seen(3, {}))
    assert remote._seen({"size": 3, "etag": '"x"'}) == Seen(3, {"etag": "x"})

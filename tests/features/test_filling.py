"""The store and its filling: resumed bytes, quarantine, damage, and nothing encoded twice."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import Fault, ResourceFault
from recsys.features import encode
from recsys.features import store as stores
from recsys.features.media import MediaFault
from recsys.features.store import Batch, Store, open_store

WIDTH = 4


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the library may catch it."""


class Counting:
    """A text's length, beside facts of its whole batch: the bytes depend on the plan."""

    modality, width, fingerprint = "text", WIDTH, "counting"

    def __init__(
        self, kill_after: int = -1, bad: str = "", nan: str = "", broken: bool = False
    ) -> None:
        self.seen: list[str] = []
        self.batches = 0
        self.kill_after, self.bad, self.nan, self.broken = kill_after, bad, nan, broken

    def load(self, source: str | Path) -> str:
        if "unreadable" in str(source):
            raise MediaFault("unreadable", "permission")
        if "damaged" in str(source):
            raise MediaFault("not_an_image", "bits")
        if "surprise" in str(source):
            raise KeyError("a decoder's own mistake")
        if "no process" in str(source):
            raise ResourceFault("the process that decodes media does not start")
        return str(source)

    def encode(self, batch: list[str]) -> npt.NDArray[np.float32]:
        if self.batches == self.kill_after:
            raise Killed
        if self.broken:
            raise RuntimeError("CUDA error: device lost")
        if self.bad in batch and self.bad:
            raise RuntimeError("out of something")
        self.batches += 1
        self.seen += batch
        total = sum(len(text) for text in batch)
        rows = [[len(text), len(batch), total, np.nan if text == self.nan else 1] for text in batch]
        return np.array(rows, dtype=np.float32)


def texts(count: int, start: int = 0) -> dict[str, str]:
    every = [f"text {number} " + "x" * (number % 7) for number in range(start, start + count)]
    return {hashlib.sha256(text.encode()).hexdigest(): text for text in every}


def fill(root: Path, encoder: Any, sources: Any, batch: int = 4) -> encode.Filled:
    store = open_store(root, encoder.fingerprint, encoder.width, heal=True)
    return encode.fill(store, lambda: encoder, sources, batch, 2)


def published(root: Path) -> bytes:
    return (root / "counting" / stores.TABLE).read_bytes()


def test_only_what_is_missing_is_encoded(tmp_path: Path) -> None:
    fill(tmp_path, Counting(), texts(10))
    second = Counting()
    filled = fill(tmp_path, second, texts(13))
    assert sorted(second.seen) == sorted(texts(3, 10).values())
    assert (filled.encoded, filled.reused, filled.failed) == (3, 10, 0)
    third = Counting()
    assert fill(tmp_path, third, texts(5)).encoded == 0
    # items that left come back without work
    assert fill(tmp_path, third, texts(13)).encoded == 0
    assert not third.seen


@settings(max_examples=12)
@given(kills=st.lists(st.integers(0, 4), min_size=1, max_size=3))
def test_killed_and_resumed_ends_in_the_same_bytes(kills: list[int]) -> None:
    sources = texts(23)
    with tempfile.TemporaryDirectory() as folder:
        plain, killed = Path(folder, "plain"), Path(folder, "killed")
        fill(plain, Counting(), sources)
        total = 0
        for kill_after in kills:
            encoder = Counting(kill_after)
            try:
                fill(killed, encoder, sources)
            except Killed:
                total += len(encoder.seen)
        last = Counting()
        fill(killed, last, sources)
        assert published(killed) == published(plain)
        assert total + len(last.seen) <= len(sources) + 4 * len(kills)


def test_a_new_item_does_not_throw_the_journal_away(tmp_path: Path) -> None:
    # killed at batch 4; the next night's catalogue has one more item, which sorts first
    sources = texts(20)
    with pytest.raises(Killed):
        fill(tmp_path, Counting(kill_after=4), sources)
    second = Counting()
    fill(tmp_path, second, {"0" * 64: "new", **sources})
    assert len(second.seen) <= 1 + 4 + 4


def test_a_damaged_journal_file_is_encoded_again(tmp_path: Path) -> None:
    sources = texts(12)
    with pytest.raises(Killed):
        fill(tmp_path, Counting(kill_after=2), sources)
    path = sorted((tmp_path / ".journal-counting").glob("*.parquet"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    filled = fill(tmp_path, Counting(), sources)
    assert filled.store.read(list(sources))[1].all()
    fill(tmp_path / "plain", Counting(), sources)
    assert published(tmp_path) == published(tmp_path / "plain")


@pytest.mark.parametrize("name", [stores.TABLE, stores.FAILURES, "manifest.json"])
def test_a_damaged_store_is_made_again(name: str, tmp_path: Path) -> None:
    # F19
    sources = texts(6)
    fill(tmp_path, Counting(), sources)
    before = published(tmp_path)
    path = tmp_path / "counting" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert fill(tmp_path, Counting(), sources).encoded == 6
    assert published(tmp_path) == before


def test_the_culprit_of_a_batch_stands_alone(tmp_path: Path) -> None:
    # F18
    sources = texts(8)
    bad = list(sources.values())[3]
    filled = fill(tmp_path, Counting(bad=bad), sources, batch=8)
    present = dict(zip(sources.values(), filled.store.read(list(sources))[1], strict=True))
    assert [text for text, there in present.items() if not there] == [bad]
    again = Counting()
    assert fill(tmp_path, again, sources).encoded == 0  # recorded, not tried again


def test_an_encoder_that_fails_on_everything_condemns_nothing(tmp_path: Path) -> None:
    with pytest.raises(Fault):
        fill(tmp_path, Counting(broken=True), texts(8))
    assert fill(tmp_path, Counting(), texts(8)).failed == 0


def test_a_vector_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    sources = texts(5)
    nan = next(iter(sources.values()))
    filled = fill(tmp_path, Counting(nan=nan), sources)
    assert filled.failed == 1
    assert np.isfinite(filled.store.read(list(sources))[0]).all()


def test_what_may_come_back_is_tried_again(tmp_path: Path) -> None:
    # F17: unreadable is not deleted; damaged bytes stay damaged
    sources = {"a" * 64: "unreadable", "b" * 64: "damaged", "c" * 64: "good"}
    assert fill(tmp_path, Counting(), sources).failed == 2
    mended = Counting()
    fill(tmp_path, mended, {"a" * 64: "readable now", "b" * 64: "x", "c" * 64: "good"})
    assert mended.seen == ["readable now"]


def test_a_decoders_mistake_stops_nobody_else(tmp_path: Path) -> None:
    filled = fill(tmp_path, Counting(), {"a" * 64: "surprise", "b" * 64: "good"})
    assert filled.failed == 1
    assert filled.store.read(["b" * 64])[1].all()


def test_a_decoder_that_does_not_start_condemns_no_file(tmp_path: Path) -> None:
    with pytest.raises(ResourceFault, match="does not start"):
        fill(tmp_path, Counting(), {"k1": "good", "k2": "no process"})
    again = fill(tmp_path, Counting(), {"k1": "good", "k2": "fine"})
    assert (again.encoded + again.resumed, again.failed) == (2, 0)


def test_a_file_that_changed_is_not_stored_under_its_old_hash(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_text("one")
    key = hashlib.sha256(b"another").hexdigest()
    filled = fill(tmp_path / "store", Counting(), {key: path})
    assert not filled.store.read([key])[1].any()


@settings(max_examples=30)
@given(known=st.sets(st.integers(0, 30)), asked=st.lists(st.integers(0, 40), max_size=20))
def test_read_answers_in_the_order_of_the_question(known: set[int], asked: list[int]) -> None:
    keys = tuple(f"{number:02d}" for number in sorted(known))
    vectors = np.array([[float(key)] * 2 for key in keys], dtype=np.float32).reshape(-1, 2)
    with tempfile.TemporaryDirectory() as folder:
        store: Store = stores.publish(open_store(Path(folder), "f", 2), [Batch(keys, vectors)])
        values, present = store.read([f"{number:02d}" for number in asked])
        assert present.tolist() == [number in known for number in asked]
        assert values[:, 0].tolist() == [n * (n in known) for n in asked]
        assert store.missing(f"{n:02d}" for n in asked) == sorted(
            {f"{n:02d}" for n in asked if n not in known}
        )

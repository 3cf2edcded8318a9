"""Addresses: which are read, what they may hold, and what a missing package is called."""

import logging
from pathlib import Path

import fsspec
import pytest

from recsys import remote
from recsys.errors import InputFault, ResourceFault, UsageFault
from recsys.remote import Store


@pytest.mark.parametrize("text", ["s3://b/x", "gs://b", "memory://x", "https://x", "a::s3://b"])
def test_these_are_addresses(text: str) -> None:
    assert remote.is_address(text)


@pytest.mark.parametrize("text", ["data/shop", "/srv/x", "C:/x", "./s3://b", "~/x", "a:b", ""])
def test_these_are_paths(text: str) -> None:
    assert not remote.is_address(text)


def test_a_slash_at_the_end_says_nothing() -> None:
    assert remote.checked("s3://shop-logs/dataset//") == "s3://shop-logs/dataset"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://KEY:CANARY@bucket/x", "no user, password"),
        ("s3://KEY:CAN/CANARY@bucket/x", "no user, password"),
        ("az://c/x?sig=CANARY", "no user, password or query"),
        ("https://host/x", "no address of https://"),
        ("simplecache::s3://b/x", "known are s3://"),
        ("s3:///", "names no bucket"),
    ],
)
def test_others_are_refused_without_showing_them(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        remote.checked(address)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_package_that_is_missing_is_named(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError(f"Install {package}")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(UsageFault, match=f"pip install {package}"):
        Store(f"{scheme}://shop/x")
    assert not logging.getLogger(f"{package}.retry").isEnabledFor(logging.ERROR)


def test_an_object_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_bytes(b"{}\n")
    for address in (f"memory://{tmp_path.name}/lists.jsonl", f"file://{tmp_path}/there.jsonl"):
        Store(address).put(path)
        assert fsspec.open(address, "rb").open().read() == b"{}\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lists.jsonl", "there.jsonl"]
    with pytest.raises(InputFault, match="no such bucket"):
        Store(f"file://{tmp_path}/nowhere/x").put(path)


def test_an_object_that_is_not_what_was_sent_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_bytes(b"{}\n")
    store = Store("memory://short/lists.jsonl")
    monkeypatch.setattr(store._files, "info", lambda _: {"size": 1})
    with pytest.raises(ResourceFault, match="1 of 3 bytes"):
        store.put(path)

"""Publishing: all or nothing, damage is seen, the pointer moves last."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import pytest

from recsys import artefacts, durable
from recsys.errors import InputFault, LockFault, ResourceFault


def publish(root: Path, name: str, text: str) -> None:
    with artefacts.publishing(root, name, "model", parents={"log": "x"}) as staged:
        (staged.folder / "sub").mkdir()
        (staged.folder / "sub" / "a.txt").write_text(text)
        staged.rows["sub/a.txt"] = len(text)
        staged.facts["made_by"] = "test"


def publish_half(root: Path) -> None:
    with artefacts.publishing(root, "v2", "model") as staged:
        (staged.folder / "half.txt").write_text("half")
        (root / "gone").rename(root / "goner")


def test_a_published_folder_reads_back(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "hello")
    folder, manifest = artefacts.current(tmp_path, "model")
    assert (folder / "sub" / "a.txt").read_text() == "hello"
    # sha256("hello"), 5 bytes, 5 rows
    assert manifest["files"] == {
        "sub/a.txt": {
            "bytes": 5,
            "rows": 5,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        }
    }
    assert manifest["made_by"] == "test"
    assert artefacts.versions(tmp_path) == ["v1"]


def test_a_version_is_replaced_in_one_step(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "one")
    publish(tmp_path, "v1", "two")
    folder, _ = artefacts.current(tmp_path, "model")
    assert (folder / "sub" / "a.txt").read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CURRENT", "v1"]


def test_a_failure_leaves_the_old_version_and_no_litter(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "one")
    with pytest.raises(ResourceFault):
        publish_half(tmp_path)
    assert artefacts.current(tmp_path, "model")[0].name == "v1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CURRENT", "v1"]


def test_litter_of_a_killed_run_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".staging-v0-dead").mkdir()
    publish(tmp_path, "v1", "one")
    assert not (tmp_path / ".staging-v0-dead").exists()


def test_planted_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    publish(outside, "v1", "precious")
    root.mkdir()
    monkeypatch.setattr(artefacts.secrets, "token_hex", lambda _: "known")
    (root / ".staging-v1-known").symlink_to(outside)  # where the staging folder will stand
    (root / "v0").symlink_to(outside / "v1")
    publish(root, "v1", "one")
    assert artefacts.versions(root) == ["v1"]  # what is pruned is chosen among these
    assert not (root / ".staging-v1-known").exists()
    assert sorted(path.name for path in outside.iterdir()) == ["CURRENT", "v1"]
    artefacts.read(outside / "v1", "model")


def test_a_full_disk_is_a_resource_fault(tmp_path: Path) -> None:
    with pytest.raises(ResourceFault), artefacts.publishing(tmp_path, "v1", "model"):
        raise OSError(28, "No space left on device", str(tmp_path))


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest", "newer", "kind"])
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    publish(tmp_path, "v1", "hello")
    file, manifest = tmp_path / "v1" / "sub" / "a.txt", tmp_path / "v1" / "manifest.json"
    match damage:
        case "flip":
            file.write_text("hellp")
        case "cut":
            file.write_text("hell")
        case "remove":
            file.unlink()
        case "manifest":
            manifest.write_text(manifest.read_text().replace('"bytes": 5', '"bytes": 5,')[:-9])
        case "newer":
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
        case "kind":
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"kind": "x"}))
    with pytest.raises(InputFault):
        artefacts.current(tmp_path, "model")


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "hello")
    path = tmp_path / "v1" / "manifest.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(InputFault):
            artefacts.current(tmp_path, "model")
    path.write_bytes(whole)
    assert artefacts.current(tmp_path, "model")[0].name == "v1"


def test_a_manifest_from_before_seals_is_read(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "hello")
    path = tmp_path / "v1" / "manifest.json"
    old = {key: value for key, value in json.loads(path.read_text()).items() if key != "seal"}
    path.write_text(json.dumps(old | {"format": 1}))
    assert artefacts.current(tmp_path, "model")[0].name == "v1"
    path.write_text(json.dumps(old))
    with pytest.raises(InputFault, match="does not match itself"):
        artefacts.current(tmp_path, "model")


@pytest.mark.parametrize("pointer", ["", "\n", "gone", "../v1", ".hidden"])
def test_a_bad_pointer_is_refused(tmp_path: Path, pointer: str) -> None:
    publish(tmp_path, "v1", "hello")
    (tmp_path / "CURRENT").write_text(pointer)
    with pytest.raises(InputFault):
        artefacts.current(tmp_path, "model")


def test_windows_line_ends_in_the_pointer_are_tolerated(tmp_path: Path) -> None:
    publish(tmp_path, "v1", "hello")
    (tmp_path / "CURRENT").write_text("v1\r\n")
    assert artefacts.current(tmp_path, "model")[0].name == "v1"


def test_the_same_files_have_the_same_content_hash(tmp_path: Path) -> None:
    publish(tmp_path / "a", "v1", "hello")
    publish(tmp_path / "b", "v2", "hello")
    first = artefacts.read(tmp_path / "a" / "v1", "model")
    assert first["content"] == artefacts.read(tmp_path / "b" / "v2", "model")["content"]


def test_one_lock_one_run(tmp_path: Path) -> None:
    held = durable.exclusive(tmp_path)
    with held, pytest.raises(LockFault, match=str(os.getpid())), durable.exclusive(tmp_path):
        pass
    with durable.exclusive(tmp_path):
        pass


def test_a_manifest_says_what_made_it(tmp_path: Path) -> None:
    """P26: the same bytes are promised for the same versions and threads, so they stand there."""
    publish(tmp_path, "v1", "hello")
    manifest = artefacts.read(tmp_path / "v1", "model")
    assert manifest["versions"]["python"] == platform.python_version()
    assert manifest["versions"]["torch"] == metadata.version("torch")
    assert {"threads", "machine"} <= manifest.keys()

"""Media paths: what may be opened, and that nothing outside the folder is (S3, S4)."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import media_paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset folder with one picture, links, and a canary outside."""
    folder = tmp_path / "shop"
    (folder / "media/deep").mkdir(parents=True)
    (folder / "media/a.jpg").write_bytes(b"picture")
    (folder / "media/Alien: 50% off (2).jpg").write_bytes(b"other")
    (tmp_path / "canary.txt").write_text("secret")
    (tmp_path / "shop2").mkdir()
    (tmp_path / "shop2/b.jpg").write_bytes(b"the neighbour's")
    (folder / "media/out.jpg").symlink_to(tmp_path / "canary.txt")
    (folder / "media/outside").symlink_to(tmp_path)
    (folder / "media/next.jpg").symlink_to("../../shop2/b.jpg")
    (folder / "media/inside.jpg").symlink_to("a.jpg")
    (folder / "media/gone.jpg").symlink_to("nowhere.jpg")
    (folder / "media/loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "media/pipe.jpg")
    return folder


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("../canary.txt", "media_parent"),
        ("media/../../canary.txt", "media_parent"),
        ("media/..", "media_parent"),
        ("/etc/passwd", "media_absolute"),
        ("//host/share/x.jpg", "media_absolute"),
        ("..\\canary.txt", "media_backslash"),
        ("C:\\canary.txt", "media_backslash"),
        ("C:/canary.txt", "media_url"),
        ("%2e%2e/canary.txt", "media_percent_encoded"),
        ("media/%2E%2E%2F%2E%2E%2Fcanary.txt", "media_percent_encoded"),
        ("%252e%252e/canary.txt", "media_percent_encoded"),
        ("media/a.jpg%00.png", "media_percent_encoded"),
        ("media/a.jpg\0.png", "media_control_character"),
        ("media/a\n.jpg", "media_control_character"),
        ("media/\u202egpj.a", "media_control_character"),
        ("~/canary.txt", "media_home"),
        ("~root/x.jpg", "media_home"),
        ("http://169.254.169.254/latest/meta-data", "media_url"),
        ("HTTPS://example.org/x.jpg", "media_url"),
        ("file:///etc/passwd", "media_url"),
        ("file:media/a.jpg", "media_url"),
        ("concat:media/a.jpg|/etc/passwd", "media_url"),
        ("subfile,,start,0,end,0,,:media/a.jpg", "media_url"),
        ("data:text/plain,x", "media_url"),
        ("media/" + "x" * 300 + ".jpg", "media_too_long"),
        ("media/" + "x/" * 3000, "media_too_long"),
        ("media/out.jpg", "media_symlink_escape"),
        ("media/outside/canary.txt", "media_symlink_escape"),
        ("media/next.jpg", "media_symlink_escape"),
        ("media/absent.jpg", "media_missing"),
        ("media/gone.jpg", "media_missing"),
        ("media/a.jpg/b.jpg", "media_missing"),
        ("media/loop.jpg", "media_unreadable"),
        ("media", "media_not_a_file"),
        ("media/pipe.jpg", "media_not_a_file"),
        ("", "media_not_a_file"),
        (".", "media_not_a_file"),
        ("media/\ud800.jpg", "media_control_character"),
    ],
)
def test_refused(root: Path, text: str, reason: str) -> None:
    assert media_paths.resolve(root, text) == reason


@pytest.mark.parametrize(
    "text",
    ["media/a.jpg", "./media//a.jpg", "media/inside.jpg", "media/Alien: 50% off (2).jpg"],
)
def test_allowed(root: Path, text: str) -> None:
    found = media_paths.resolve(root, text)
    assert isinstance(found, Path)
    assert found.is_relative_to(root.resolve())
    assert found.is_file()


def test_a_linked_dataset_folder_is_still_a_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert isinstance(media_paths.resolve(tmp_path / "link", "media/a.jpg"), Path)
    assert media_paths.resolve(tmp_path / "link", "media/out.jpg") == "media_symlink_escape"


def test_one_spelling() -> None:
    assert media_paths.relative("./media//a.jpg") == "media/a.jpg"


def test_hashes_of_files_and_reasons(root: Path) -> None:
    asked = ["media/a.jpg", "media/a.jpg", "media/inside.jpg", "media/no.jpg", "http://x/y"]
    picture = hashlib.sha256(b"picture").hexdigest()
    assert media_paths.hashes(root, asked, 7) == {
        "media/a.jpg": picture,
        "media/inside.jpg": picture,
        "media/no.jpg": "media_missing",
        "http://x/y": "media_url",
    }
    assert media_paths.hashes(root, ["media/a.jpg"], 6) == {"media/a.jpg": "media_too_large"}
    assert media_paths.hashes(root, [], 6) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_absent_not_an_error(root: Path) -> None:
    (root / "media/a.jpg").chmod(0)
    assert media_paths.hashes(root, ["media/a.jpg"], 99) == {"media/a.jpg": "media_unreadable"}


hostile = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "~", "%2e", ":", "media", "outside", "a.jpg", "\0", ""]),
    max_size=8,
).map("".join)


@given(st.one_of(hostile, st.text(max_size=30)))
def test_nothing_outside_is_ever_opened(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    base = tmp_path_factory.getbasetemp() / "property"
    folder = base / "shop/media"
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"picture")
        (base / "a.jpg").write_bytes(b"outside")
        (folder / "outside").symlink_to(base)
    opened.clear()
    watching.append(True)
    found = media_paths.hashes(base / "shop", [text], 99)[text]
    watching.clear()
    inside = str((base / "shop").resolve())
    assert all(path.startswith(inside) for path in opened)
    assert (len(found) == 64) != found.startswith("media_")


opened: list[str] = []
watching: list[bool] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and event in ("open", "socket.connect", "socket.getaddrinfo"):
        opened.append(str(arguments[0]))


sys.addaudithook(_watch)  # sees every open and every connection of this process

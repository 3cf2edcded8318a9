"""`recsys fetch-images` against a server on loopback: only named hosts, only pictures, limits."""

import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipelines import cli

asked: list[str] = []


def photo(side: int = 32) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


class Pictures(http.server.BaseHTTPRequestHandler):
    """`/ok*` is a photo, `/large` a larger one, `/away` leads to another name of this server."""

    def do_GET(self) -> None:
        asked.append(self.path)
        port = self.server.server_address[1]
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/ok-elsewhere")
            self.end_headers()
            return
        known = {"/large": photo(256), "/page": b"<html>not found</html>"}
        content = known.get(self.path, photo() if self.path.startswith("/ok") else b"")
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def dataset(folder: Path, urls: dict[str, list[str]]) -> Path:
    """A folder as an import leaves it where pictures are only listed."""
    folder.mkdir()
    ids = list(urls)
    pl.DataFrame({"item_id": ids, "title": ids}).write_parquet(folder / "items.parquet")
    pl.DataFrame({"item_id": ids, "url": list(urls.values())}).write_parquet(
        folder / "image_urls.parquet"
    )
    pl.DataFrame(
        {
            "user_id": ["u"] * len(ids),
            "item_id": ids,
            "timestamp": ["2026-07-01T00:00:00Z"] * len(ids),
        }
    ).write_parquet(folder / "interactions.parquet")
    (folder / "settings.toml").write_text(
        f'work = "{folder}-work"\n\n[data]\nfolder = "{folder}"\n\n'
        '[features.image]\nencoder = "none"\n\n[features.video]\nencoder = "none"\n'
    )
    return folder


def fetched(folder: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    assert cli.invoke(["fetch-images", str(folder), "--json", *words]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    pictures: dict[str, int] = json.loads(told)["pictures"]
    return pictures


def test_pictures_of_named_hosts_come_and_a_second_run_asks_nobody(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = {
        "a": [f"{host}/ok1", f"{host}/ok2"], "b": [f"{host}/missing"], "c": [f"{host}/page"],
        "d": ["http://127.0.0.1:9/ok"], "e": [f"{host}/away"], "f": [], "g": ["file:///etc/passwd"],
    }  # fmt: skip
    folder = dataset(tmp_path / "shop", urls)
    found = fetched(folder, "--host", host, capsys=capsys)
    assert found == {
        "there before": 0, "fetched": 1, "answer_404": 1, "not_an_image": 1, "other_host": 3,
    }  # fmt: skip
    assert sorted(asked) == ["/away", "/missing", "/ok1", "/page"]
    items = pl.read_parquet(folder / "items.parquet")
    assert items["image"].list.len().to_list() == [1, 0, 0, 0, 0, 0, 0]
    assert 'encoder = "none"' in (folder / "settings.toml").read_text()  # of clips
    assert cli.invoke(["check", "--json", "--config", str(folder / "settings.toml")]) == 0
    assert json.loads(capsys.readouterr().out)["catalogue"]["with_image"] == 1
    asked.clear()
    again = fetched(folder, "--host", host, "--each", "2", capsys=capsys)
    assert (again["there before"], again["fetched"]) == (1, 1)
    assert "/ok1" not in asked
    assert pl.read_parquet(folder / "items.parquet")["image"].list.len()[0] == 2


def test_limits_of_bytes(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    urls = {"a": [f"{host}/large"], "b": [f"{host}/ok"]}
    folder = dataset(tmp_path / "shop", urls)
    found = fetched(folder, "--host", host, "--max-mb", "0.05", capsys=capsys)
    assert found == {"there before": 0, "fetched": 1, "too_many_bytes": 1}
    found = fetched(folder, "--host", host, "--total-mb", "0.01", capsys=capsys)
    assert found == {"there before": 1, "fetched": 0, "all_bytes": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no host is named"),
        (["--host", "ftp://a"], "not a host"),
        (["--host", "https://a/path"], "not a host"),
        (["--host", "https://me:secret@a"], "not a host"),
    ],
)
def test_what_is_no_host(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["fetch-images", str(dataset(tmp_path / "shop", {})), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["fetch-images", str(tmp_path), "--host", "a"]) == 3
    assert "there is no items.parquet" in capsys.readouterr().err

"""Ten minutes of damaged input for every parser: only our own errors may come out.

    python benchmarks/fuzz.py                     # every parser, 10 minutes each
    python benchmarks/fuzz.py image clip --minutes 2 --first 5000

Input number n is a valid file with damage that n fixes: flipped and lost bytes, doubled and moved
pieces, cut ends, and pieces that parsers stumble over. A log, a catalogue or a settings file goes
through the command line (exit 1 is a bug, all other codes are answers), a picture, a clip or a
vector file through its reader (only its own fault may be raised): media in their confined process,
whose death counts as a crash, too. Each input has 60 seconds.
Prints one JSON line a parser, and keeps inputs that crash. Results in `RELIABILITY.md` here.
"""

import argparse
import collections
import contextlib
import io
import json
import os
import random
import shutil
import signal
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

import polars as pl

from pipelines import cli
from recsys.data.sample_shop import write_shop
from recsys.data.synthetic import ShopSettings
from recsys.data.vectors import read_vectors
from recsys.errors import Fault
from recsys.features import confined
from recsys.features.confined import Wanted
from recsys.features.media import MediaFault, MediaLimits
from recsys.vocabulary import Vocabulary

SHOP = ShopSettings(
    items=20, users=15, days=14, events=200, photo_side=32, clip_side=24, clip_frames=8, broken=0
)
ENDINGS = ("csv", "jsonl", "parquet")
SECONDS = 60
CHUNK = 250  # inputs a fork
HEARD = Wanted("audio", rate=16_000, seconds=1.0)
DIED = {"crashed", "killed"}  # a decoding process took no other along, but it died
TOKENS = (
    b'"', b"'", b"\n", b"\r\n", b"\x00", b",", b";", b"\t", b"\\", b"{", b"}", b"[", b"]", b"null",
    b"NaN", b"-inf", b"1e400", b"9" * 30, b"-1", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80",
    b"=cmd()", b"../../etc/passwd", b"user_id", b"item_id", b"timestamp", b"0001-01-01",
    b"99999-12-31T25:61:61Z",
)  # fmt: skip
Parser = Callable[[bytes, Path], str]  # damaged bytes and a folder to use, to the kind of answer


def damaged(content: bytes, number: int) -> bytes:
    """`content` with the damage of `number`; number 0 is as it was."""
    if not number:
        return content
    chance, data = random.Random(number), bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.choice((1, 2, 8, 64, 512)))
        match chance.randrange(7):
            case 0 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place:end]
            case 2:
                data[place:place] = chance.choice(TOKENS)
            case 3:
                data[place:end] = chance.choice(TOKENS)
            case 4:
                data[place:place] = data[place:end] * chance.choice((1, 3, 50))
            case 5:
                data[place:end] = chance.randbytes(end - place)
            case 6 if chance.random() < 0.2:
                del data[place:]
    return bytes(data)


def command(words: list[str]) -> str:
    """Its exit code; raises where that says bug."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = cli.invoke(words)
    if code == 1:
        raise AssertionError(said.getvalue())
    return f"exit {code}"


def in_shop(root: Path, name: str) -> tuple[bytes, Parser]:
    """A file of the dataset folder, and what reads it: `ingest` of a copy that has it damaged."""

    def parse(content: bytes, folder: Path) -> str:
        data, work = folder / "data", folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        if not data.exists():
            shutil.copytree(root / "shop", data)
            for path in data.glob(f"{name.split('.', maxsplit=1)[0]}.*"):
                path.unlink()
        (data / name).write_bytes(content)
        return command(["ingest", f"work={work}", f"data.folder={data}", "tracking.enabled=false"])

    return (root / "as" / name).read_bytes(), parse


def reader(read: Callable[[Path], object], name: str = "input") -> Parser:
    """A function of a path that may raise a fault of ours and nothing else."""

    def parse(content: bytes, folder: Path) -> str:
        path = folder / name
        path.write_bytes(content)
        try:
            read(path)
        except (MediaFault, Fault) as fault:
            code: str = getattr(fault, "code", type(fault).__name__)
            if code in DIED:
                raise RuntimeError(str(fault)) from None
            return code
        return "read"

    return parse


def settings_file(content: bytes, folder: Path) -> str:
    """A settings file, up to the first thing that uses it."""
    path = folder / "input.toml"
    path.write_bytes(content)
    return command(["status", "--config", str(path), f"work={folder / 'none'}"])


def write_valid(root: Path) -> None:
    """A shop in `shop`, and its tables in every format in `as`."""
    shop, made = root / "shop", root / "as"
    write_shop(SHOP, shop)
    made.mkdir()
    log = pl.read_csv(shop / "interactions.csv", infer_schema_length=None)
    items = pl.read_ndjson(shop / "items.jsonl")
    lists = [name for name, kind in items.schema.items() if isinstance(kind, pl.List)]
    for name, table, flat in (("interactions", log, log), ("items", items, items.drop(lists))):
        table.write_ndjson(made / f"{name}.jsonl")
        table.write_parquet(made / f"{name}.parquet")
        flat.write_csv(made / f"{name}.csv")
    shutil.copy(shop / "users.csv", made)
    vectors = pl.Series([[float(n), 1.0] for n in range(len(items))], dtype=pl.List(pl.Float32))
    items.select("item_id", vector=vectors).write_parquet(made / "vectors.parquet")
    with wave.open(str(made / "sound.wav"), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(range(256)) * 50)
    (made / "ids").write_text("\n".join(sorted(items["item_id"])))


def parsers(root: Path) -> dict[str, tuple[bytes, Parser]]:
    """Valid bytes and the parser, by name."""
    media, limits = root / "shop" / "media", MediaLimits()
    known = Vocabulary(tuple((root / "as" / "ids").read_text().split("\n")))
    photo, clip = (sorted(media.rglob(end))[0] for end in ("*.[jpw]*g", "*.mp4"))
    names = [f"{name}.{end}" for name in ("interactions", "items") for end in ENDINGS]
    return {name: in_shop(root, name) for name in (*names, "users.csv")} | {
        "settings": (Path("configs/movielens.toml").read_bytes(), settings_file),
        "image": (
            photo.read_bytes(),
            reader(lambda path: confined.load(path, Wanted("image", 32), limits)),
        ),
        "clip": (
            clip.read_bytes(),
            reader(lambda path: confined.load(path, Wanted("video", 32, 4), limits)),
        ),
        "sound": (
            (root / "as" / "sound.wav").read_bytes(),
            reader(lambda path: confined.load(path, HEARD, limits)),
        ),
        "vectors": (
            (root / "as" / "vectors.parquet").read_bytes(),
            reader(lambda path: read_vectors(path, known), "vectors.parquet"),
        ),
    }


def chunk(parser: Parser, content: bytes, first: int, folder: Path, end: float) -> None:
    """Tries inputs from `first` on in this fork, until the time is over; a line after each."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the fork
    with (folder / "told").open("w") as told:
        for number in range(first, first + CHUNK):
            if number > first and time.monotonic() > end:
                return
            signal.alarm(SECONDS)
            try:
                answer = parser(damaged(content, number), folder)
            except BaseException as error:
                answer = f"CRASH {type(error).__name__}: {str(error)[-600:]}"
            told.write(json.dumps(answer) + "\n")
            told.flush()


def fuzzed(name: str, content: bytes, parser: Parser, first: int, end: float) -> dict[str, object]:
    """Inputs until the time is over; what came out, and the crashes."""
    answers: collections.Counter[str] = collections.Counter()
    crashes: list[dict[str, object]] = []
    number, undamaged = first, ""
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            child = os.fork()
            if not child:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                try:
                    chunk(parser, content, number, folder, end)
                finally:
                    os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            told = [json.loads(line) for line in (folder / "told").read_text().splitlines()]
        if status:  # a signal: the input after the last that was told
            told.append(
                f"CRASH signal {-status}" + (" (hung)" if -status == signal.SIGALRM else "")
            )
        undamaged = undamaged or told[0]
        for place, answer in enumerate(told):
            if answer.startswith("CRASH"):
                crashes.append({"input": number + place, "what": answer[:700]})
            answers[answer.split(":")[0]] += 1
        number += len(told)
    return {
        "parser": name, "inputs": number - first, "first": undamaged, "crashes": len(crashes),
        "first_crashes": crashes[:5], "answers": dict(answers.most_common(12)),
    }  # fmt: skip


def main() -> None:
    """Fuzzes the parsers that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    chosen = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as root:
        child = os.fork()  # polars' threads must not be running where forks are made
        if not child:
            write_valid(Path(root))
            os._exit(0)
        os.waitpid(child, 0)
        for name, (content, parse) in parsers(Path(root)).items():
            if chosen.names and name not in chosen.names:
                continue
            end = time.monotonic() + 60 * chosen.minutes
            result = fuzzed(name, content, parse, chosen.first, end)
            bad += bool(result["crashes"])
            print(json.dumps(result), flush=True)
    raise SystemExit(bad)


if __name__ == "__main__":
    main()

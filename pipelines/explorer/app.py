"""The explorer as a web application: server-rendered pages, one style sheet, one small script."""

import datetime
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import fastapi
import jinja2
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from pipelines import evaluate, train
from pipelines.explorer import pages, pictures
from pipelines.explorer.guard import Application, Guard
from pipelines.explorer.live import Blend, Live
from pipelines.explorer.shelf import Shelf
from pipelines.search import Query
from recsys.errors import Fault, InputFault, escaped, near
from recsys.serving import report, report_figures

MOST_BYTES = 20 << 20  # of a photo that is searched with
HERE = Path(__file__).parent
NOTHING = HERE / "static" / "nothing.svg"  # for a picture that is not there, or not readable
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
Weight = Annotated[float, fastapi.Query(ge=0, le=3)]
Share = Annotated[float | None, fastapi.Query(ge=0, le=1)]
Id = Annotated[str, fastapi.Query(max_length=1000)]
Page = Callable[..., HTMLResponse]


def build(shelf: Shelf, live: Live, hosts: tuple[str, ...] = ()) -> Application:
    """The guarded application.

    Args:
        shelf: the release that is shown.
        live: its model, which may become ready later.
        hosts: names beside loopback that requests may ask for.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    page = _pages(shelf)
    _add_people(app, shelf, live, page)
    _add_things(app, shelf, live, page)
    _add_media(app, shelf)
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    @app.exception_handler(Fault)
    def fault(_: Request, error: Exception) -> Response:
        return page("trouble", status=400, told=str(error))

    return Guard(app, hosts)


def _add_people(app: FastAPI, shelf: Shelf, live: Live, page: Page) -> None:
    @app.get("/")
    def home() -> Response:
        return page("home", **pages.home(shelf))

    @app.get("/find")
    def find(q: Id = "") -> Response:
        return page("find", **pages.find(shelf, q.strip()))

    @app.get("/user")
    def user(id: Id) -> Response:
        if id not in shelf.lists:
            alike = near(id, shelf.lists.keys.to_list())
            return page("unknown", status=404, what="user", id=id, near=alike)
        return page("user", **pages.user(shelf, id), listed=pages.listed(shelf, live, id, Blend()))

    @app.get("/user/list")
    def blended(
        id: Id, popularity: Weight = 1.0, freshness: Weight = 1.0, diversity: Share = None
    ) -> Response:
        blend = Blend(popularity, freshness, diversity)
        return page("list", listed=pages.listed(shelf, live, id, blend))

    @app.get("/compare")
    def compare(one: Id = "", other: Id = "", user: Id = "") -> Response:
        known = shelf.releases()
        told: dict[str, Any] = {"known": known, "found": None, "user": user}
        if len(known) > 1:
            told |= pages.compared(shelf, one or known[1], other or known[0], user)
        return page("compare", **told)


def _add_things(app: FastAPI, shelf: Shelf, live: Live, page: Page) -> None:
    @app.get("/item")
    def item(id: Id) -> Response:
        if id not in shelf.found.vocabulary and id not in shelf.near:
            alike = near(id, shelf.found.items["item_id"].to_list())
            return page("unknown", status=404, what="item", id=id, near=alike)
        return page("item", **pages.item(shelf, live, id))

    @app.get("/search")
    def search(q: Id = "") -> Response:
        return page("search", **pages.search(shelf, live, Query(q.strip())))

    @app.post("/search")
    async def search_by_photo(request: Request, q: Id = "") -> Response:
        photo = await _body(request, MOST_BYTES)
        told = await run_in_threadpool(_searched, shelf, live, q.strip(), photo)
        return page("found", **told)

    @app.get("/night")
    def night() -> Response:
        judged = evaluate.latest(shelf.settings, train.load(shelf.settings)) or {}
        return page(
            "night",
            headline=report_figures.headline(judged),
            metrics=report_figures.metrics(judged),
            segments=report_figures.segments(judged),
            gates=shelf.manifest["gates"],
        )

    @app.get("/report")
    def whole_report() -> Response:
        path = shelf.settings.root / "releases" / shelf.name / "report.html"
        if not path.is_file():
            return page("trouble", status=404, told="this release has no report")
        return HTMLResponse(path.read_text("utf-8"), headers={
            "Content-Security-Policy": REPORT_POLICY,
        })  # fmt: skip


async def _body(request: Request, most: int) -> bytes:
    """What was sent.

    Raises:
        InputFault: more than `most` bytes.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise InputFault("the photo is too large", fix=f"send at most {most >> 20} MiB")
    return bytes(content)


def _searched(shelf: Shelf, live: Live, text: str, photo: bytes) -> dict[str, Any]:
    """Searches with a photo, which stands in a file only as long as that takes."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        path = Path(folder) / "photo"
        path.write_bytes(photo)
        return pages.search(shelf, live, Query(text, path if photo else None))


def _add_media(app: FastAPI, shelf: Shelf) -> None:
    folder, limits = Path(shelf.settings.data.folder), shelf.settings.features.limits

    @app.get("/picture")
    def picture(id: Id, kind: Literal["image", "video"] = "image", side: int = 240) -> Response:
        """A small picture; its address carries a version, so a browser may keep it for a day."""
        path, make, media = shelf.media(id, kind), pictures.photo, "image/jpeg"
        if kind == "video":
            make, media = pictures.clip, "image/webp"
        wanted = min(pictures.SIDES, key=lambda known: abs(known - side))
        content = make(folder, path, wanted, limits) if path else b""
        if not content:  # a browser shows what comes with the 404, not its sign of a broken picture
            return Response(NOTHING.read_bytes(), 404, media_type="image/svg+xml")
        return Response(content, media_type=media, headers={
            "Cache-Control": "private, max-age=86400",
        })  # fmt: skip


def _pages(shelf: Shelf) -> Page:
    """How a page is rendered: everything from a catalogue is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    day = datetime.date.fromisoformat(shelf.manifest["date"])
    environment.filters |= {"visible": escaped, "words": report.words, "group": _group}
    environment.globals |= {"release": shelf.name, "day": day, "counts": shelf.manifest["counts"]}
    frame = {"shape": "square"}

    def look() -> None:
        folder, limits = Path(shelf.settings.data.folder), shelf.settings.features.limits
        frame["shape"] = pictures.shape(folder, shelf.some_pictures(), limits)

    threading.Thread(target=look, daemon=True).start()  # the first page does not wait for it

    def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = environment.get_template(f"{name}.html.j2").render(**frame, **values)
        return HTMLResponse(text, status_code=status)

    return page


def _group(term: str) -> str:
    """The group of a term, which fixes its colour: `popularity_7d` is of popularity."""
    group = term.split("_", maxsplit=1)[0]
    return group if group in report.GROUPS else "other"

"""Commands that ask the item space: `search`, `similar`, `ask`, `annotate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app

if TYPE_CHECKING:
    from recsys.serving.item_space import Filters

Category = Annotated[
    list[str] | None, typer.Option("--category", help="Only this category; repeat for more.")
]
MinPrice = Annotated[float | None, typer.Option("--min-price", help="Only from this price on.")]
MaxPrice = Annotated[float | None, typer.Option("--max-price", help="Only up to this price.")]
Unavailable = Annotated[bool, typer.Option("--unavailable", help="Also what is not available now.")]
Count = Annotated[int, typer.Option("--k", "-k", min=1, max=10_000, help="How many items.")]
View = Annotated[
    Literal["content", "collaborative", "both"],
    typer.Option("--view", help="What item vectors are made from; collaborative: the id alone."),
]


Which = Annotated[
    Literal["live", "pretrained"],
    typer.Option("--model", help="Whose space: pretrained is made from content alone."),
]


@app.command(
    epilog='Example: `recsys search --text "red mug" --image photo.jpg --max-price 20 '
    "--config configs/sample.toml`"
)
def search(  # noqa: PLR0913, PLR0917  (each is a flag of the command line)
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    text: Annotated[str, typer.Option(help="Words to search with.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture to search with.")] = None,
    video: Annotated[Path | None, typer.Option(help="A clip to search with.")] = None,
    audio: Annotated[Path | None, typer.Option(help="A sound to search with.")] = None,
    category: Category = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    unavailable: Unavailable = False,
    k: Count = 10,
    view: View = "both",
    model: Which = "live",
    as_json: shared.Json = False,
) -> None:
    """Finds items by a text, a picture, a clip, a sound, or several together, in one space."""
    from pipelines import search as stage

    chosen = shared.settings(config, overrides)
    query = stage.Query(text, image, video, audio)
    filters = _filters(category, min_price, max_price, unavailable)
    shared.show(
        as_json, stage.run(chosen, query, k, filters, stage.Likeness("cosine", view, model))
    )


@app.command(epilog="Example: `recsys similar b42 --by euclidean --config configs/sample.toml`")
def similar(  # noqa: PLR0913, PLR0917  (each is a flag of the command line)
    item: Annotated[str, typer.Argument(help="Item id.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    by: Annotated[
        Literal["cosine", "euclidean", "co-consumption"] | None,
        typer.Option("--by", help="Compute anew by this measure; else as published."),
    ] = None,
    view: Annotated[
        Literal["content", "collaborative", "both"] | None,
        typer.Option("--view", help="Compute anew from content, the id alone, or both."),
    ] = None,
    category: Category = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    unavailable: Unavailable = False,
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, max=10_000, help="Compute anew, so many.")
    ] = None,
    model: Which = "live",
    as_json: shared.Json = False,
) -> None:
    """Shows the nearest items to an item: those of the live release, or by a measure of choice."""
    from pipelines import look
    from pipelines import search as stage

    chosen = shared.settings(config, overrides)
    filters = _filters(category, min_price, max_price, unavailable)
    anew = by is not None or view is not None or k is not None or model != "live"
    if not anew and filters == stage.EVERYTHING:
        shared.show(as_json, look.similar(chosen, item))
        return
    likeness = stage.Likeness(by or "cosine", view or "both", model)
    shared.show(as_json, stage.similar(chosen, item, likeness, k or 10, filters))


@app.command(
    epilog='Example: `recsys ask "does it have pockets?" --item b42 --config configs/sample.toml`'
)
def ask(
    question: Annotated[str, typer.Argument(help="In words; `-` where it is spoken.")],
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    audio: Annotated[
        Path | None, typer.Option(help="A spoken question, for `ask.speech_model`.")
    ] = None,
    item: Annotated[str, typer.Option(help="Only about this item; else the catalogue.")] = "",
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=100, help="Answers at most.")] = 3,
    as_json: shared.Json = False,
) -> None:
    """Answers a question from what the catalogue states, with the passage; or says: not stated."""
    from pipelines import ask as stage

    chosen = shared.settings(config, overrides)
    spoken = stage.heard(chosen, audio) if audio else ""
    told = stage.run(chosen, spoken or question, item, k)
    if spoken:
        told["text"] = f"heard: {spoken}\n{told['text']}"
    shared.show(as_json, told)


@app.command(epilog="Example: `recsys annotate --config configs/sample.toml`")
def annotate(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    model: Which = "live",
    as_json: shared.Json = False,
) -> None:
    """Predicts labels from the vectors and judges that; clusters, near duplicates, trends."""
    from pipelines import annotate as stage

    chosen = shared.settings(config, overrides)
    shared.stage("annotate", chosen, as_json, lambda run: stage.run(chosen, run, model))


def _filters(
    category: list[str] | None, low: float | None, high: float | None, unavailable: bool
) -> "Filters":
    from recsys.serving.item_space import Filters

    return Filters(tuple(category or ()), low, high, not unavailable)

"""`recsys ask`: questions about products, answered from what the catalogue states."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines import inputs, look, search
from pipelines.settings import Settings
from recsys.data.item_cells import MEDIA
from recsys.errors import InputFault, UsageFault
from recsys.features import encoders, passages
from recsys.features.passages import Answer, ExtractiveModel, Passage, Words
from recsys.features.speech import SpeechModel

LEFT_OUT = {"item_id", "text", "text_hash", *MEDIA, *(f"{name}_hash" for name in MEDIA)}
LONGEST = 1000  # characters of a question


def run(settings: Settings, question: str, item: str, k: int) -> dict[str, Any]:
    """Answers from titles, descriptions and attributes, always with the passage it stands in.

    Args:
        settings: `ask.model` names a model that picks the words of the answer; without one the
            passage itself is the answer.
        question: in words.
        item: id of the item that it is about; empty for the whole catalogue.
        k: answers at most.

    Raises:
        UsageFault: an empty or huge question.
        InputFault: no such item, no catalogue yet, or a model that cannot be loaded.
    """
    if not question.strip() or len(question) > LONGEST:
        raise UsageFault(
            "the question is empty or too long", value=question[:80], where="ask",
            fix=f"ask in 1 to {LONGEST:,} characters",
        )  # fmt: skip
    found = inputs.load(settings)
    items, titles = found.items, found.titles()
    if item:
        chosen = items.filter(pl.col("item_id") == item)
        if chosen.is_empty():
            raise look.unknown("item", item, items["item_id"], "the catalogue")
        items = chosen
    answers = _answers(settings, Words(stated(items)), question, k)
    rows = [
        {"item_id": one.passage.item, "title": titles[one.passage.item], "answer": one.text,
         "source": one.passage.source, "passage": one.passage.text, "confidence": one.confidence}
        for one in answers
    ]  # fmt: skip
    return {"text": "\n".join(map(_line, rows)) or "not stated", "question": question,
            "stated": bool(rows), "answers": rows}  # fmt: skip


def heard(settings: Settings, path: Path) -> str:
    """The words of a spoken question.

    Raises:
        UsageFault: no speech model is set.
        InputFault: the file cannot be opened or heard, or no word of it is understood; a model that
            cannot be loaded.
    """
    if not settings.ask.speech_model:
        raise UsageFault(
            "nothing here understands speech", value=str(path), where="--audio",
            fix="name a speech model in ask.speech_model, or ask in writing",
        )  # fmt: skip
    features = settings.features
    model = SpeechModel(settings.ask.speech_model, features.limits, encoders.device(features))
    with search.opened("audio", path) as file:
        text = model.heard(file)
    if not text:
        raise InputFault(
            "no word of the spoken question was understood", value=str(path), where="--audio",
            fix="speak again, or ask in writing",
        )  # fmt: skip
    return text


def stated(items: pl.DataFrame) -> list[Passage]:
    """All passages of items: titles, descriptions, and every attribute that has a value."""
    names = [name for name in items.columns if name not in LEFT_OUT]
    return [
        passage
        for row in items.iter_rows(named=True)
        for passage in passages.passages(
            row["item_id"],
            {name: _told(row[name]) for name in names if row[name] not in (None, "", [])},
        )
    ]


def _answers(settings: Settings, words: Words, question: str, k: int) -> list[Answer]:
    """Those above the threshold, best first; a model reads the passages that share most words."""
    least = settings.ask.least_confidence
    found = words.best(question, max(k, settings.ask.passages))
    if settings.ask.model:
        model = ExtractiveModel(settings.ask.model, encoders.device(settings.features))
        found = [model.answer(question, one.passage) for one in found]
        found.sort(key=lambda one: -one.confidence)
    return [one for one in found if one.confidence >= least][:k]


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _line(row: dict[str, Any]) -> str:
    said = f"{row['confidence']:.2f}  {row['item_id']} {row['title']}: {row['answer']}"
    source = row["source"]
    return f"{said}  ({source})" if row["answer"] == row["passage"] else (
        f"{said}  ({source}: {row['passage']})"
    )  # fmt: skip

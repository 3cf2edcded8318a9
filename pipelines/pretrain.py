"""`recsys pretrain`: an item tower that learned from the catalogue, for training and search."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipelines import catalogue_lesson, encode, inputs, sources, trained, tuned
from pipelines.inputs import Inputs
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import artefacts, durable
from recsys.errors import MismatchFault
from recsys.models import saved, two_tower
from recsys.models.two_tower import TwoTower
from recsys.progress import say
from recsys.settings import fingerprint
from recsys.training import pretraining
from recsys.training.pretraining import Judged

KIND, ROOT = "pretrained", "pretrained"
HEADS, TOLD = "objectives.safetensors", "pretraining.json"
EVERY = 200  # steps between two lines of progress


@dataclass(frozen=True)
class Pretrained:
    """What pretraining made.

    Attributes:
        folder: of the artefact.
        towers: of which the item tower is pretrained.
        content: identifies them.
        attributes: state of the attribute encoder.
    """

    folder: Path
    towers: TwoTower
    content: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Fitted:
    """What a pretraining gave.

    Attributes:
        towers: of which the item tower is pretrained.
        attributes: state of the attribute encoder.
        figures: how each objective did.
        heads: the objectives.
    """

    towers: TwoTower
    attributes: dict[str, Any]
    figures: list[Judged]
    heads: dict[str, torch.nn.Module]


def run(settings: Settings, run: Run) -> dict[str, Any]:
    """Encodes what is missing, pretrains on the items that training knows, publishes.

    Raises:
        InputFault: no catalogue yet, too few items, a loss that is not finite.
    """
    found = inputs.load(settings)
    with run.timed("encode"):
        encode.fill(settings, found)
    chosen: list[str] = []
    if settings.pretrain.trainable != "adapters":
        with run.timed("tune"):
            named = tuned.run(settings, found, settings.pretrain.trainable)
        settings, chosen = tuned.reading(settings, named), tuned.overrides(named)
        with run.timed("encode anew"):
            encode.fill(settings, found)
    with run.timed("pretrain"):
        made = fit(settings, found)
    figures = made.figures
    folder = _publish(settings, found, made, chosen)
    run.facts["objectives"] = [asdict(figure) for figure in figures]
    lines = [
        f"{figure.name:10} {figure.before:8.3f} {figure.after:8.3f} {figure.chance:8.3f} "
        f"{figure.answers:8,}"
        for figure in figures
    ]
    head = f"{'objective':10} {'before':>8} {'after':>8} {'chance':>8} {'answers':>8}"
    note = "share of right answers on held-out items"
    lines += [f"pretrained: {folder}"]
    if chosen:
        lines += ["its encoders learned, too; commands read them with", *chosen]
    return {
        "text": "\n".join([note, head, *lines]),
        "pretrained": str(folder),
        "settings": chosen,
        "objectives": run.facts["objectives"],
    }


def fit(settings: Settings, found: Inputs) -> Fitted:
    """A model whose item tower is pretrained; its other weights are as drawn.

    It learns from the content of the items that the training part knows, and from what was taken
    together there.
    """
    lesson = catalogue_lesson.prepare(settings, found)
    material = catalogue_lesson.with_arranged(settings, found, lesson)
    names = settings.event_names
    model = two_tower.build(settings.model, material.items, names, settings.pretrain.seed)

    def report(step: int, loss: float) -> None:
        if (step + 1) % EVERY == 0:
            say(f"step {step + 1} of {settings.pretrain.steps}: loss {loss:.4f}")

    figures, heads = pretraining.fit(
        model.item_tower, settings.model.width, material, settings.pretrain, settings.train, report
    )
    return Fitted(model.eval(), lesson.attributes, figures, heads)


def read(settings: Settings) -> Pretrained:
    """The live pretrained model.

    Raises:
        InputFault: there is none, or it is damaged.
        MismatchFault: it reads the vectors of other encoders than those of `settings`.
    """
    folder, manifest = artefacts.current(settings.root / ROOT, KIND)
    told = trained.read_json(folder / TOLD)
    if told["encoders"] != (encoders := sources.fingerprints(settings)):
        changed = [name for name, one in told["encoders"].items() if encoders.get(name) != one]
        raise MismatchFault(
            "the pretrained model reads other encoders", value=", ".join(changed),
            where=str(folder), fix="run `recsys pretrain` with these settings, or give those of "
            "its encoders: " + (" ".join(told["settings"]) or "as they were then"),
        )  # fmt: skip
    attributes = trained.read_json(folder / "attributes.json")
    return Pretrained(folder, saved.read(folder).model, manifest["content"], attributes)


def load(settings: Settings) -> TwoTower:
    """The towers of the live pretrained model; faults as by `read`."""
    return read(settings).towers


def live(settings: Settings) -> str:
    """Name and content of the live pretrained model; faults as by `load`."""
    folder, manifest = artefacts.current(settings.root / ROOT, KIND)
    return f"{folder.name} {manifest['content']}"


def warm(settings: Settings, model: TwoTower) -> None:
    """Puts the pretrained weights into a fresh model's item tower; its id table stays as it is.

    Raises:
        InputFault: nothing is pretrained yet.
        MismatchFault: it was pretrained with other encoders or another item tower.
    """
    pretrained = load(settings)
    wanted = (model.shape.modalities, model.settings.width, model.settings.items.fusion)
    found = pretrained.shape.modalities, pretrained.settings.width, pretrained.settings.items.fusion
    if wanted != found:
        raise MismatchFault(
            "the pretrained item tower is of another shape", value=f"{found} instead of {wanted}",
            where=str(settings.root / ROOT), fix="run `recsys pretrain` with these settings",
        )  # fmt: skip
    weights = pretrained.item_tower.state_dict()
    kept = {name: value for name, value in weights.items() if not name.startswith("id_")}
    model.item_tower.load_state_dict(kept, strict=False)


def _publish(settings: Settings, found: Inputs, made: Fitted, chosen: list[str]) -> Path:
    root = settings.root / ROOT
    parents = {"catalogue": found.catalogue.name, "interactions": found.interactions.name}
    name = f"pretrained-{fingerprint(settings.pretrain)[:6]}-{fingerprint(settings.model)[:6]}"
    name += f"-{found.interactions.name[-8:]}"
    with artefacts.publishing(root, name, KIND, parents=parents) as staged:
        saved.write(made.towers, staged.folder, ())
        durable.write_json(staged.folder / "attributes.json", made.attributes)
        save_file(
            {
                f"{objective}.{weight}": value.contiguous()
                for objective, head in made.heads.items()
                for weight, value in head.state_dict().items()
            },
            staged.folder / HEADS,
        )
        told = {
            "objectives": [asdict(figure) for figure in made.figures],
            "encoders": sources.fingerprints(settings),
            "settings": chosen,
        }
        durable.write_json(staged.folder / TOLD, told)
    return root / name

"""Commands that train, judge and plan: `train`, `tune`, `evaluate`, `plan`, `doctor`."""

from typing import Annotated

import typer

from pipelines.commands import shared
from pipelines.commands.shared import app


@app.command(epilog="Example: `recsys pretrain --config configs/sample.toml`")
def pretrain(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
) -> None:
    """Trains the item tower on the catalogue alone, self-supervised, and says what it learned."""
    from pipelines import pretrain as stage

    chosen = shared.settings(config, overrides)
    shared.stage("pretrain", chosen, as_json, lambda run: stage.run(chosen, run))


@app.command(epilog="Example: `recsys train --config configs/movielens.toml train.epochs=20`")
def train(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
    resume: shared.Resume = False,
) -> None:
    """Trains the two towers, fits the reranker on the validation window, saves the model folder."""
    from pipelines import train as stage

    chosen = shared.settings(config, overrides)
    shared.stage("train", chosen, as_json, lambda run: stage.run(chosen, run, resume=resume))


@app.command(epilog="Example: `recsys tune --config configs/movielens.toml --trials 30`")
def tune(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    trials: Annotated[int | None, typer.Option(help="Trials, earlier calls included.")] = None,
    hours: Annotated[float | None, typer.Option(help="Hours of them; the last one ends.")] = None,
    as_json: shared.Json = False,
) -> None:
    """Searches better settings on the validation window; the same command again goes on."""
    from pipelines import tune as stage

    chosen, words = shared.settings(config, overrides), ["--config", str(config)] if config else []
    budget = stage.Budget(trials, hours)
    words += overrides or []
    shared.stage("tune", chosen, as_json, lambda run: stage.run(chosen, run, budget, words))


@app.command(epilog="Example: `recsys evaluate --config configs/sample.toml --ablate`")
def evaluate(  # noqa: PLR0913, PLR0917  (each is a flag of the command line)
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    as_json: shared.Json = False,
    without: shared.Without = None,
    only: shared.Only = None,
    ablate: shared.Ablate = False,
    stand_ins: shared.StandIns = False,
    retrain: shared.Retrain = False,
    shelves: shared.Shelves = False,
    stale: shared.Stale = False,
    trade_off: shared.TradeOff = False,
) -> None:
    """Measures recall_at_k and more on the test window, beside baselines, with intervals."""
    from pipelines import evaluate as stage
    from pipelines.ablation import Ablation

    chosen = shared.settings(config, overrides)
    asked = Ablation(tuple(without or ()), tuple(only or ()), ablate, stand_ins, retrain)
    extras = stage.Extras(shelves, stale, trade_off)
    shared.stage("evaluate", chosen, as_json, lambda run: stage.run(chosen, run, asked, extras))


@app.command(epilog="Example: `recsys plan --users 5e6 --items 1e5`")
def plan(
    users: Annotated[float, typer.Option("--users", help="Users, such as 5e6.")],
    items: Annotated[float, typer.Option("--items", help="Items of the catalogue.")],
    events: Annotated[float, typer.Option("--events", help="Events of each user.")] = 30,
    as_json: shared.Json = False,
) -> None:
    """Predicts CPU time, memory and disk of ingest, an epoch and a night; all constants measured.

    Of one core, with default settings and items without pictures. What was not measured (GPUs,
    several cores, media, approximate search) is left out rather than guessed.
    """
    from pipelines import plan as stage

    shared.show(as_json, stage.run(stage.Load(users, items, events)))


@app.command(epilog="Examples: `recsys doctor`; `recsys doctor --model --config my.toml`")
def doctor(
    config: shared.Config = None,
    overrides: shared.Overrides = None,
    model: Annotated[
        bool, typer.Option("--model", help="Examine the live model's negatives, lists, vectors.")
    ] = False,
    as_json: shared.Json = False,
) -> None:
    """Checks versions, devices, the torch/torchrec/faiss fit and disk; says the fix."""
    from pipelines import doctor as machine
    from pipelines import model_doctor

    chosen = shared.settings(config, overrides)
    shared.show(as_json, model_doctor.run(chosen) if model else machine.run(chosen))

"""`recsys tune`: searches settings on the validation window, resumable, within a stated budget.

Optuna proposes settings (TPE: Bergstra et al., 2011), each trial trains them as `train` would, and
the median pruner ends what falls behind after an epoch. The first trial is the given settings, so
the answer is never worse than they are on validation. No trial publishes a model.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from pipelines import encode, inputs, lessons, tune_report, tune_space
from pipelines.lessons import Lesson
from pipelines.runs import Run
from pipelines.settings import Settings
from recsys import tracking
from recsys.errors import InputFault, UsageFault
from recsys.progress import say
from recsys.tracking import Tracker

NEVER_PRUNED, UNPRUNED_EPOCHS = 4, 2  # completed trials, and epochs, before pruning begins


@dataclass(frozen=True)
class Budget:
    """What a study may cost, over all calls together; the limit that is reached first ends it.

    Attributes:
        trials: that are completed, pruned or failed; None for any number.
        hours: of these trials; one that has begun is brought to its end. None for any number.
    """

    trials: int | None
    hours: float | None

    def check(self) -> None:
        """Refuses a budget without a limit, or with one that is not positive.

        Raises:
            UsageFault: it is such a budget.
        """
        if self.trials is None and self.hours is None:
            raise UsageFault(
                "the search has no budget", where="--trials, --hours",
                fix="say --trials 30, or --hours 8, or both",
            )  # fmt: skip
        for name, limit in (("--trials", self.trials), ("--hours", self.hours)):
            if limit is not None and not 0 < limit < math.inf:
                raise UsageFault(
                    "the budget is not positive", value=limit, where=name, fix="say a number over 0"
                )

    def spent(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these ended trials have used it up."""
        hours = sum(trial.user_attrs["seconds"] for trial in trials) / 3600
        return (self.trials is not None and len(trials) >= self.trials) or (
            self.hours is not None and hours >= self.hours
        )


@dataclass(frozen=True)
class Search:
    """A study with what its trials share.

    Attributes:
        settings: those that the search was given.
        given: their values of the searched settings.
        ranges: where the searched settings may lie.
        run: name of this run, for the tracking.
    """

    settings: Settings
    given: dict[str, Any]
    ranges: dict[str, BaseDistribution]
    study: optuna.Study
    lesson: Lesson
    run: str

    def ended(self) -> list[FrozenTrial]:
        """The trials that count: those killed while they ran have no seconds, and do not."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        found = self.study.get_trials(deepcopy=False, states=states)
        return [trial for trial in found if "seconds" in trial.user_attrs]


def run(settings: Settings, run: Run, budget: Budget, words: Sequence[str]) -> dict[str, Any]:
    """Searches until the budget is spent, and says which settings did best.

    Args:
        settings: where the search starts; `tuning.db` and `tuned.toml` go into their work folder.
        run: of the command line.
        budget: of the study, earlier calls included.
        words: `--config FILE` and overrides of this call, for the command line that is printed.

    Raises:
        UsageFault: the budget is not positive, or a setting cannot work on this machine.
        InputFault: ingest has not run, `tuning.db` is damaged, or no trial was completed.
    """
    budget.check()
    with run.timed("encode"):
        encode.fill(settings, inputs.load(settings))
    search = _open(settings, run)
    path = settings.root / "tuned.toml"
    try:
        with run.timed("tune"):
            while not budget.spent(search.ended()):
                _attempt(search)
                tune_report.write(path, tune_report.rows(search.given, search.ended()))
    except KeyboardInterrupt:
        say(tune_report.text(tune_report.rows(search.given, search.ended())))
        say(f"interrupted; the best so far is in {path}; the same command again goes on")
        raise
    table = tune_report.rows(search.given, search.ended())
    tune_report.write(path, table)
    return tune_report.result(path, search.study.study_name, table, words)


def _open(settings: Settings, run: Run) -> Search:
    """The study of these settings and data, with the given settings first in line if untried."""
    found = inputs.load(settings)
    ranges = tune_space.space(settings)
    flat = tune_space.dotted(settings)
    given = {key: flat[key] for key in ranges}
    study = _study(settings.root / "tuning.db", tune_space.study_name(settings, found, ranges))
    for killed in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(killed.number, state=TrialState.FAIL)
    lesson = lessons.prepare(settings, found, found.split(settings))
    search = Search(settings, given, ranges, study, lesson, run.name)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if given not in [trial.user_attrs["settings"] for trial in (*search.ended(), *waiting)]:
        study.enqueue_trial(given, user_attrs={"settings": given})
    return search


def _study(path: Path, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name=name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(NEVER_PRUNED, UNPRUNED_EPOCHS),
            load_if_exists=True,
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise InputFault(
            f"the trials so far cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            fix="move the file away; the search then starts anew",
        ) from None


def _attempt(search: Search) -> None:
    """Asks for settings, trains them, and records how it went."""
    ended = search.ended()
    # A seed of their number: the trial after a kill is the one that the kill took.
    seed = np.random.SeedSequence([search.settings.train.seed, len(ended)]).generate_state(1)
    search.study.sampler = optuna.samplers.TPESampler(seed=int(seed[0]))
    trial = search.study.ask(fixed_distributions=search.ranges)
    values = {key: _rounded(value, search.given[key]) for key, value in trial.params.items()}
    trial.set_user_attr("settings", values)
    settings = tune_space.replaced(search.settings, values | {"train.stop_after_steps": 0})
    begin = time.monotonic()
    name = f"{search.run}-trial-{trial.number}"
    with tracking.run(settings.tracking, settings.root, name) as tracker:
        tracker.parameters(settings.model_dump(mode="json"))
        state, reached, message = _trained(search, trial, settings, tracker)
    trial.set_user_attr("message", message)
    trial.set_user_attr("seconds", round(time.monotonic() - begin, 2))
    search.study.tell(trial, reached, state)
    outcome = state.name.lower() if reached is None else f"{tune_report.METRIC} {reached:.4f}"
    say(f"trial {trial.number}, {len(ended) + 1} ended: {outcome}{message and ': ' + message}")


def _rounded(value: Any, given: Any) -> Any:
    """A proposed number with three digits, that a person can copy; the given one as it is."""
    return float(f"{value:.3g}") if isinstance(value, float) and value != given else value


def _trained(
    search: Search, trial: Trial, settings: Settings, tracker: Tracker
) -> tuple[TrialState, float | None, str]:
    """How the trial ended, what it reached if it was completed, and why not if it failed."""
    is_given = trial.user_attrs["settings"] == search.given
    epochs: list[float] = []

    def report(metrics: Mapping[str, float], step: int) -> None:
        if "validation" not in metrics:
            return
        tracker.metrics(dict(metrics), step)
        trial.report(metrics["validation"], len(epochs))
        epochs.append(metrics["validation"])
        if not is_given and trial.should_prune():
            raise optuna.TrialPruned

    try:
        _, result = lessons.fit(settings, search.lesson, None, report)
    except optuna.TrialPruned:
        return TrialState.PRUNED, None, ""
    except (InputFault, torch.OutOfMemoryError) as error:
        return TrialState.FAIL, None, str(error)
    if not math.isfinite(result.best_metric):
        return TrialState.FAIL, None, "no user of the validation window has a history"
    return TrialState.COMPLETE, result.best_metric, ""

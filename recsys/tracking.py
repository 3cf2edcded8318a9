"""MLflow: settings, metrics and artefacts of a run. A failure warns and never fails the run."""

import contextlib
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from recsys.offline import stay_offline
from recsys.progress import say
from recsys.settings import Section, flat

SCHEMES = ("sqlite", "http", "https", "file", "databricks")
FILE_STORE = "MLFLOW_ALLOW_FILE_STORE"


class TrackingSettings(Section):
    """Where runs are recorded."""

    enabled: bool = Field(True, description="record runs with MLflow")
    uri: str = Field("", description="MLflow tracking URI; empty means SQLite in the work folder")
    experiment: str = Field("recsys", min_length=1, description="MLflow experiment name")

    @field_validator("uri")
    @classmethod
    def _known_scheme(cls, uri: str) -> str:
        if uri and urlsplit(uri).scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}")
        if urlsplit(uri).scheme == "file" and os.environ.get(FILE_STORE, "").lower() != "true":
            raise ValueError(
                "MLflow no longer keeps runs in folders: leave it empty for SQLite in the work "
                f"folder, or set {FILE_STORE}=true"
            )
        return uri

    @field_validator("experiment")
    @classmethod
    def _no_path(cls, name: str) -> str:
        """MLflow would refuse some of these in the middle of a run."""
        if not name.strip() or re.search(r"[/\\:\x00-\x1f]", name):
            raise ValueError("a name without slashes, colons and control characters")
        return name


class Tracker:
    """Logs to one MLflow run; after the first failure it stays silent for the rest of the run."""

    def __init__(self, active: bool) -> None:
        self._active = active

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Logs nested settings as dotted parameters, cut at 500 characters."""
        told = {key: redacted(str(value))[:500] for key, value in flat(values)}
        self._attempt(lambda mlflow: mlflow.log_params(told))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs finite metrics under legal names (`recall_at_10`); warns of the others."""
        finite = {_legal(key): value for key, value in values.items() if math.isfinite(value)}
        if len(finite) < len(values):
            say(
                f"tracking: {len(values) - len(finite)} metrics that are not finite were not logged"
            )
        self._attempt(lambda mlflow: mlflow.log_metrics(finite, step=step))

    def artefact(self, path: Path) -> None:
        """Logs a file or a folder."""
        log = "log_artifacts" if path.is_dir() else "log_artifact"
        self._attempt(lambda mlflow: getattr(mlflow, log)(str(path)))

    def model(self, name: str, tags: Mapping[str, str], champion: bool) -> None:
        """Registers this run's model as a version; the alias `champion` names the live one.

        The registry only tells which model it is: weights are never loaded through MLflow, for its
        loaders can run code.

        Args:
            name: of the registered model.
            tags: say which model folder it is.
            champion: whether the alias moves to it.
        """

        def register(mlflow: Any) -> None:
            client, run = mlflow.MlflowClient(), mlflow.active_run()
            with contextlib.suppress(mlflow.MlflowException):  # it is there already
                client.create_registered_model(name)
            version = client.create_model_version(
                name, run.info.artifact_uri, run.info.run_id, tags=dict(tags)
            )
            if champion:
                client.set_registered_model_alias(name, "champion", version.version)

        self._attempt(register)

    def _attempt(self, action: Any) -> None:
        if not self._active:
            return
        try:
            stay_offline()
            import mlflow

            action(mlflow)
        except Exception as error:
            self._active = False
            say(f"tracking: stopped, the run goes on: {redacted(str(error))[:200]}")


@contextlib.contextmanager
def run(settings: TrackingSettings, work: Path, name: str) -> Iterator[Tracker]:
    """One MLflow run called `name` around a stage; without MLflow, a tracker that does nothing."""
    tracker = Tracker(settings.enabled)
    tracker._attempt(lambda mlflow: _start(mlflow, settings, work, name))
    status = "FAILED"
    try:
        yield tracker
        status = "FINISHED"
    finally:
        tracker._attempt(lambda mlflow: mlflow.end_run(status))


def redacted(text: str) -> str:
    """`text` without the user and password of any address in it, and without `password=...`."""
    text = re.sub(r"(?<=://)[^\s'\"]+@", "***@", text)
    return re.sub(
        r"(?i)\b(password|passwd|pwd|token|secret|sig|signature)=[^\s&'\"]+", r"\1=***", text
    )


def without_secrets(value: Any) -> Any:
    """Settings as they may be recorded: every text in them `redacted`."""
    match value:
        case str():
            return redacted(value)
        case Mapping():
            return {key: without_secrets(one) for key, one in value.items()}
        case list() | tuple():
            return [without_secrets(one) for one in value]
        case _:
            return value


def _start(mlflow: Any, settings: TrackingSettings, work: Path, name: str) -> None:
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    work.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(settings.uri or f"sqlite:///{(work / 'mlflow.db').resolve()}")
    if mlflow.get_experiment_by_name(settings.experiment) is None:
        location = None if settings.uri else (work / "mlflow").resolve().as_uri()
        mlflow.create_experiment(settings.experiment, artifact_location=location)
    mlflow.set_experiment(settings.experiment)
    mlflow.end_run("FAILED")  # of a tracker that had stopped
    mlflow.start_run(run_name=name)


def _legal(name: str) -> str:
    return re.sub(r"[^\w./ -]", "_", name.replace("@", "_at_"))

"""MLflow gets what is legal; when it fails, the run goes on."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from recsys import tracking
from recsys.tracking import TrackingSettings


def test_u05_u06_u07_metrics_reach_sqlite_under_legal_names(tmp_path: Path) -> None:
    with tracking.run(TrackingSettings(), tmp_path, "try") as tracker:
        tracker.metrics({"recall@10": 0.5, "loss": float("nan")}, step=3)
        tracker.parameters({"train": {"epochs": 3}, "long": "x" * 7000})
    import mlflow

    runs = mlflow.search_runs(experiment_names=["recsys"], output_format="list")
    assert runs[0].data.metrics == {"recall_at_10": 0.5}
    assert runs[0].data.params["train.epochs"] == "3"
    assert runs[0].info.status == "FINISHED"


def test_the_alias_champion_names_the_live_model(tmp_path: Path) -> None:
    for folder, wins in (("model-1", True), ("model-2", True), ("model-3", False)):
        with tracking.run(TrackingSettings(), tmp_path, "try") as tracker:
            tracker.model("recsys", {"folder": folder}, wins)
    import mlflow

    client = mlflow.MlflowClient()
    assert client.get_model_version_by_alias("recsys", "champion").tags == {"folder": "model-2"}
    versions = client.search_model_versions("name = 'recsys'")
    assert sorted(version.tags["folder"] for version in versions)[-1] == "model-3"


def test_u01_an_unreachable_server_never_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TrackingSettings(uri="http://user:s3cr3t@127.0.0.1:9")
    with tracking.run(settings, tmp_path, "try") as tracker:
        tracker.metrics({"loss": 1.0})
    said = capsys.readouterr().err
    assert "the run goes on" in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    "text",
    [
        "http://me:s3cr3t@host/x", "http://me:s3c@s3cr3t@host", "postgresql://me:s3cr3t@[::1]/x",
        "s3://KEY:a/s3cr3t@bucket/x", "az://shop/x?sig=s3cr3t",
        "host=x password=s3cr3t user=me", "https://host/?token=s3cr3t&x=1", "see https://s3cr3t@h",
    ],
)  # fmt: skip
def test_u02_no_secret_is_recorded(text: str) -> None:
    kept = tracking.without_secrets({"tracking": {"uri": text, "k": 3}, "more": [text, None]})
    assert "s3cr3t" not in str(kept)
    assert kept["tracking"]["k"] == 3
    assert tracking.redacted("a plain user@host, 3 = 4") == "a plain user@host, 3 = 4"


def test_disabled_means_untouched(tmp_path: Path) -> None:
    with tracking.run(TrackingSettings(enabled=False), tmp_path, "try") as tracker:
        tracker.metrics({"loss": 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uri", ["ftp://x", "nothing", "javascript:x"])
def test_u03_unknown_schemes_are_refused(uri: str) -> None:
    with pytest.raises(ValidationError):
        TrackingSettings(uri=uri)

"""All settings of the project, each section from the room that it sets."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from recsys.data.catalogue import CatalogueSettings
from recsys.data.importers.mapping_settings import MappingSettings
from recsys.data.settings import DataSettings
from recsys.data.splits import SplitSettings
from recsys.engine import EngineSettings
from recsys.evaluation.baselines import BaselineSettings
from recsys.evaluation.segments import SegmentSettings
from recsys.evaluation.staleness import StalenessSettings
from recsys.features.settings import FeatureSettings
from recsys.models.two_tower import ModelSettings
from recsys.remote import is_address
from recsys.serving.gates import GateSettings
from recsys.serving.recommend import ListSettings
from recsys.settings import PathText, Section
from recsys.tracking import TrackingSettings
from recsys.training.pretraining import PretrainingSettings
from recsys.training.settings import TrainingSettings


class EvaluationSettings(Section):
    """What `evaluate` measures."""

    ks: tuple[int, ...] = Field((10, 20, 50), min_length=1, description="list lengths to judge at")
    baselines: BaselineSettings = Field(BaselineSettings(), description="what stands beside")
    segments: SegmentSettings = Field(SegmentSettings(), description="where segments begin")
    staleness: StalenessSettings = Field(StalenessSettings(), description="spans of --stale")
    draws: int = Field(1000, ge=100, description="bootstrap samples of an interval")
    seed: int = Field(0, ge=0, description="of the bootstrap")


class ChampionSettings(Section):
    """When a newly trained model takes over from the live one."""

    rule: Literal["not_worse", "better", "always"] = Field(
        "not_worse",
        description="by the 95 % interval of the paired difference in recall, at the first of "
        "evaluation.ks, on a test window that neither has learned from: unless it lies below 0, "
        "only if it lies above 0, or without a comparison",
    )
    keep: int = Field(
        10, ge=1, description="models that are kept, beside the live one and those of releases"
    )


class NightlySettings(Section):
    """What is published."""

    k: int = Field(20, ge=1, le=10_000, description="places of a list")
    similar: int = Field(20, ge=0, le=1000, description="similar items per item; 0 for none")
    blocked: tuple[str, ...] = Field((), description="item ids that must never be listed")
    valid_hours: float = Field(72.0, gt=0, description="age at which lists count as expired")
    keep: int = Field(14, ge=1, description="releases that are kept")
    reruns: Literal["whole", "changed"] = Field(
        "whole",
        description="of a day whose log changed: all lists (the same inputs give the same lists), "
        "or, on the model and trends of its first run, those of users whose events changed",
    )
    warm_start: bool = Field(
        False,
        description="a day goes on from the model of the day before it and learns only what came "
        "since, instead of all that came since the training",
    )
    retrain_every_days: int = Field(
        0, ge=0, description="days of events after which a night trains a new model; 0 for never"
    )
    allow_future: bool = Field(
        False, description="whether a night may be for a day that has not begun anywhere yet"
    )
    show_ids: bool = Field(False, description="real user ids in the report's examples")


class ExploreSettings(Section):
    """Where the explorer listens."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=1, le=65_535, description="port to listen on")
    hosts: tuple[str, ...] = Field(
        (), description="further names that a browser may call it by, without their port"
    )


class AskSettings(Section):
    """How questions are answered."""

    model: PathText = Field(
        "", description="transformers model for extractive answers, a local folder; empty for none"
    )
    speech_model: PathText = Field(
        "",
        description="transformers model that writes down spoken questions (Whisper, wav2vec2), a "
        "local folder; empty for none",
    )
    passages: int = Field(10, ge=1, le=100, description="passages that the model reads")
    least_confidence: float = Field(
        0.5, ge=0, le=1, description="below it the answer is: not stated"
    )


class AnnotationSettings(Section):
    """What `annotate` predicts and finds."""

    columns: tuple[str, ...] = Field(
        ("category",), description="columns of the catalogue with labels, one or a list an item"
    )
    least_items: int = Field(10, ge=2, description="labels that fewer items have are left out")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of items that heads are judged on")
    clusters: int = Field(0, ge=0, description="clusters; 0 takes the root of half the items")
    duplicates: float = Field(0.98, gt=0, le=1, description="cosine from which items are one")
    seed: int = Field(0, ge=0, description="of what is held out, and of the clusters")


class ExportSettings(Section):
    """How exported lists are called where they are served."""

    name: str = Field(
        "recsys", pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="prefix of the keys in Redis, schema in PostgreSQL",
    )  # fmt: skip


class Settings(Section):
    """Everything; a TOML file says only what differs from the defaults."""

    work: PathText = Field(
        "work/sample", min_length=1, description="folder of a disk for all that is made"
    )
    data: DataSettings = Field(DataSettings(), description="the dataset folder and its rules")
    mapping: MappingSettings = Field(MappingSettings(), description="for `import mapping` only")
    catalogue: CatalogueSettings = Field(CatalogueSettings(), description="items and media")
    split: SplitSettings = Field(SplitSettings(), description="train, validation and test")
    features: FeatureSettings = Field(FeatureSettings(), description="encoders of each modality")
    model: ModelSettings = Field(ModelSettings(), description="the two towers")
    pretrain: PretrainingSettings = Field(
        PretrainingSettings(), description="what the item tower learns from the catalogue alone"
    )
    train: TrainingSettings = Field(TrainingSettings(), description="how they are trained")
    lists: ListSettings = Field(ListSettings(), description="index, candidates, reranker")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="offline metrics")
    champion: ChampionSettings = Field(ChampionSettings(), description="when a model goes live")
    ask: AskSettings = Field(AskSettings(), description="questions about products")
    annotate: AnnotationSettings = Field(AnnotationSettings(), description="labels and clusters")
    nightly: NightlySettings = Field(NightlySettings(), description="what is published")
    gates: GateSettings = Field(GateSettings(), description="what a night has to pass")
    export: ExportSettings = Field(ExportSettings(), description="lists for what serves them")
    explore: ExploreSettings = Field(ExploreSettings(), description="the local web page")
    engine: EngineSettings = Field(EngineSettings(), description="processes")
    tracking: TrackingSettings = Field(TrackingSettings(), description="MLflow")

    @model_validator(mode="after")
    def _on_disk(self) -> Self:
        """An address becomes its mirror, here and nowhere else: all stages read a folder."""
        if is_address(self.data.folder):
            self.__dict__["data"] = self.data.mirrored(self.root / "mirror" / "dataset")
        return self

    @property
    def root(self) -> Path:
        """The work folder."""
        return Path(self.work)

    @property
    def training(self) -> TrainingSettings:
        """`train`, with targets that may be had again where lists may hold them again."""
        chosen = self.train.batches.repeats
        repeats = self.lists.candidates.repeats if chosen is None else chosen
        batches = self.train.batches.model_copy(update={"repeats": repeats})
        return self.train.model_copy(update={"batches": batches})

    @property
    def event_names(self) -> tuple[str, ...]:
        """Event names in the order of their codes."""
        return tuple(sorted(self.data.events))

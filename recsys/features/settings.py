"""Which encoder reads which modality. The defaults need no download and no weights."""

from typing import Literal

from pydantic import Field

from recsys.features.media import MediaLimits
from recsys.settings import PathText, Section


class TextSettings(Section):
    """Title and description."""

    encoder: Literal["hashed", "tfidf", "vectors", "transformers", "clip", "none"] = Field(
        "hashed",
        description="hashed word counts; TF-IDF and SVD, fitted once on the catalogue; the mean of "
        "word vectors; a transformers model; the text half of a CLIP or SigLIP model; or no text",
    )
    model: PathText = Field(
        "",
        description="transformers, clip: hub name or local folder; vectors: a file in the text "
        "format of word2vec or GloVe",
    )
    width: int = Field(256, ge=16, le=65_536, description="hashed, tfidf: D of the vectors")
    batch: int = Field(64, ge=1, description="texts encoded at a time")


class ImageSettings(Section):
    """Product photos, posters."""

    encoder: Literal["statistics", "timm", "clip", "none"] = Field(
        "statistics",
        description="colour and gradient statistics, a timm network, the picture half of a CLIP or "
        "SigLIP model, or no images",
    )
    model: PathText = Field(
        "mobilenetv3_small_100",
        description="timm: architecture or hf-hub name; clip: hub name or local folder",
    )
    weights: PathText = Field(
        "", description="timm: local .safetensors file, `random`, or empty for timm's download"
    )
    side: int = Field(0, ge=0, le=2048, description="pixels a side; 0 is the encoder's own")
    mean: tuple[float, ...] = Field(
        (), description="timm: overrides the model's own; three numbers"
    )
    std: tuple[float, ...] = Field((), description="timm: overrides the model's own; three numbers")
    pad_type: Literal["", "same"] = Field("", description="timm: `same` for TensorFlow's padding")
    batch: int = Field(32, ge=1, description="images encoded at a time")


class VideoSettings(Section):
    """Clips, trailers."""

    encoder: Literal["motion", "frames", "transformers", "none"] = Field(
        "motion",
        description="motion statistics, the timm image network pooled over frames, a transformers "
        "video model, or no video",
    )
    model: PathText = Field("", description="transformers: hub name or local folder")
    frames: int = Field(16, ge=2, le=512, description="frames sampled of each clip")
    side: int = Field(48, ge=8, le=2048, description="pixels a side of sampled frames")
    batch: int = Field(8, ge=1, description="clips encoded at a time")


class AudioSettings(Section):
    """Sounds: previews, songs, speech."""

    encoder: Literal["statistics", "transformers", "none"] = Field(
        "none",
        description="statistics of the spectrum, a transformers model (the encoder of Whisper, "
        "CLAP or wav2vec2), or no sounds",
    )
    model: PathText = Field("", description="transformers: hub name or local folder")
    from_clips: bool = Field(
        False, description="items without a sound of their own are heard by their clips"
    )
    seconds: float = Field(30.0, gt=0, le=600, description="of each sound that is heard")
    batch: int = Field(8, ge=1, description="sounds encoded at a time")


class AttributeSettings(Section):
    """Categories, brand, price and further columns of the catalogue."""

    enabled: bool = Field(True, description="whether attributes are a modality")
    columns: tuple[str, ...] = Field(
        ("category", "brand", "price"), description="columns of the catalogue that are used"
    )
    most_values: int = Field(
        256, ge=1, description="values of a text column with an input of their own, by frequency"
    )


class FeatureSettings(Section):
    """Modalities of an item besides its id."""

    text: TextSettings = Field(TextSettings(), description="title and description")
    image: ImageSettings = Field(ImageSettings(), description="photos")
    video: VideoSettings = Field(VideoSettings(), description="clips")
    audio: AudioSettings = Field(AudioSettings(), description="sounds")
    attributes: AttributeSettings = Field(AttributeSettings(), description="catalogue columns")
    ready_made: tuple[str, ...] = Field(
        (), description="names of features/NAME.parquet: vectors that somebody already made"
    )
    limits: MediaLimits = Field(MediaLimits(), description="what media may be at most")
    decoders: int = Field(2, ge=1, le=64, description="processes that decode beside the network")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks run")

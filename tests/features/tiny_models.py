"""Models with random weights and a few words, in the folders that transformers loads."""

from pathlib import Path
from typing import Any

from recsys.offline import stay_offline

stay_offline()  # before anybody imports transformers
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
WORDS = ("[PAD]", "[UNK]", "[EOS]", "a", "red", "blue", "shirt", "coat", "long", "шарф")


def save(name: str, folder: Path) -> str:
    """One of them; returns the folder."""
    import torch

    torch.manual_seed(0)
    made: dict[str, Any] = {
        "videomae": _videomae, "clip": _clip, "siglip": _siglip, "whisper": _whisper,
        "clap": _clap, "wav2vec2": _wav2vec2, "bert": _bert,
    }  # fmt: skip
    made[name](folder)
    return str(folder)


def _videomae(folder: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    config = VideoMAEConfig(image_size=32, num_frames=4, intermediate_size=16, **SMALL)
    VideoMAEModel(config).save_pretrained(folder)


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": len(WORDS), "intermediate_size": 16, "max_position_embeddings": 300}
    BertModel(BertConfig(**sizes, **SMALL | {"num_hidden_layers": 3})).save_pretrained(folder)
    _tokenizer(folder)


def _halves(**further: Any) -> dict[str, Any]:
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {"vocab_size": len(WORDS), "max_position_embeddings": 12, "intermediate_size": 16}
    text = {**ids, **sizes, **SMALL, **further}
    vision = {"image_size": 32, "patch_size": 16, "intermediate_size": 16, **SMALL}
    return {"text_config": text, "vision_config": vision}


def _clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    CLIPModel(CLIPConfig(**_halves(), projection_dim=8)).save_pretrained(folder)
    crop = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=crop).save_pretrained(folder)
    _tokenizer(folder)


def _siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    SiglipModel(SiglipConfig(**_halves(projection_size=16))).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    _tokenizer(folder)


def _whisper_config(vocab_size: int) -> Any:
    from transformers import WhisperConfig

    sizes = {
        f"{part}_{what}": size
        for part in ("encoder", "decoder")
        for what, size in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))
    }
    return WhisperConfig(
        d_model=16, vocab_size=vocab_size, num_mel_bins=8, max_source_positions=50,
        max_target_positions=30, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, **sizes,
    )  # fmt: skip


def _whisper(folder: Path) -> None:
    from transformers import WhisperFeatureExtractor, WhisperModel

    WhisperModel(_whisper_config(20)).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)


def _clap(folder: Path) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    text = {"vocab_size": 20, "intermediate_size": 16, "projection_dim": 8, **SMALL}
    audio = {
        "spec_size": 32, "num_mel_bins": 8, "patch_embeds_hidden_size": 4, "hidden_size": 8,
        "depths": [1, 1], "num_attention_heads": [1, 1], "window_size": 2, "patch_size": 4,
        "patch_stride": [4, 4], "projection_dim": 8, "num_hidden_layers": 2,
    }  # fmt: skip
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    ClapModel(config).save_pretrained(folder)
    extractor = ClapFeatureExtractor(
        feature_size=8,
        sampling_rate=16_000,
        max_length_s=1,
        hop_length=500,
        fft_window_size=512,
        truncation="rand_trunc",
    )
    extractor.save_pretrained(folder)


def _wav2vec2_config(**further: Any) -> Any:
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        intermediate_size=16, conv_dim=(8, 8), conv_stride=(20, 16), conv_kernel=(20, 16),
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        **SMALL, **further,
    )  # fmt: skip


def _wav2vec2(folder: Path) -> None:
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2Model(_wav2vec2_config(vocab_size=20)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def speaker(folder: Path, word: str) -> str:
    """A wav2vec2 that hears `word` in every sound, letter by letter; returns the folder."""
    import json

    import torch
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder.mkdir()
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *sorted(set(word))]
    (folder / "vocab.json").write_text(json.dumps({one: row for row, one in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    tokenizer.save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    model = Wav2Vec2ForCTC(_wav2vec2_config(vocab_size=len(letters), pad_token_id=0))
    torch.nn.init.zeros_(model.lm_head.weight)
    model.lm_head.bias.data = torch.eye(len(letters))[letters.index(word[0])]
    model.save_pretrained(folder)
    return str(folder)


def writer(folder: Path) -> str:
    """A Whisper with random weights and a few words; returns the folder."""
    import torch
    from transformers import WhisperForConditionalGeneration

    torch.manual_seed(0)
    _whisper(folder)
    _tokenizer(folder)
    model = WhisperForConditionalGeneration(_whisper_config(vocab_size=len(WORDS)))
    model.generation_config.max_length = 20
    model.save_pretrained(folder)
    return str(folder)

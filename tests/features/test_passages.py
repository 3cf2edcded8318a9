"""Questions find the passage that answers, or nothing; a QA model answers with a span of it."""

from pathlib import Path

import pytest

from recsys.errors import InputFault
from recsys.features import passages
from recsys.features.passages import ExtractiveModel, Words

ITEMS = {
    "b1": {"title": "Linen trousers", "description": "Two deep pockets. Wash at 30 degrees.",
           "brand": "Norda"},
    "b2": {"title": "Wool hat", "description": "Warm.<script>x()</script> Made in Norway."},
}  # fmt: skip
KNOWN = [one for item, texts in ITEMS.items() for one in passages.passages(item, texts)]


def test_passages_are_sentences_with_their_source() -> None:
    assert [(one.item, one.source, one.text) for one in KNOWN] == [
        ("b1", "title", "Linen trousers"),
        ("b1", "description", "Two deep pockets."),
        ("b1", "description", "Wash at 30 degrees."),
        ("b1", "brand", "Norda"),
        ("b2", "title", "Wool hat"),
        ("b2", "description", "Warm."),
        ("b2", "description", "Made in Norway."),
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("does it have a pocket?", "Two deep pockets."),
        ("Can I wash it?", "Wash at 30 degrees."),
        ("which brand is this", "Norda"),  # an attribute is found by its column's name
        ("where was it made?", "Made in Norway."),
    ],
)
def test_what_is_stated_is_found(question: str, answer: str) -> None:
    best = Words(KNOWN).best(question, 1)[0]
    assert best.text == best.passage.text == answer
    assert best.confidence == pytest.approx(1)


def test_what_is_not_stated_has_little_confidence() -> None:
    words = Words(KNOWN)
    assert words.best("is it waterproof?", 3) == []
    assert words.best("does it?", 3) == []
    assert words.best("", 3) == []
    # half of what is asked for is there, and the rarer half is not
    best = words.best("waterproof trousers", 1)[0]
    assert best.text == "Linen trousers"
    assert best.confidence < 0.5


def test_a_model_answers_with_a_span(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{x}" for x in letters),
    ]
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(vocabulary))
    BertTokenizerFast(str(file)).save_pretrained(tmp_path)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(vocabulary), intermediate_size=16, **size)
    BertForQuestionAnswering(config).save_pretrained(tmp_path)
    answer = ExtractiveModel(str(tmp_path), "cpu").answer("pockets", KNOWN[1])
    assert answer.text
    assert answer.text in KNOWN[1].text
    assert 0 < answer.confidence < 1
    with pytest.raises(InputFault, match=r"where: ask\.model"):
        ExtractiveModel(str(tmp_path / "nowhere"), "cpu")

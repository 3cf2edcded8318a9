"""Which sentences of an item answer a question: word overlap weighed by rarity, or a QA model.

Called by `ask`. A passage always comes with where it stands; below a threshold nothing is said.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

from recsys.features.pretrained import tokenizer, transformers_model
from recsys.features.text import MAX_CHARACTERS, WORD
from recsys.features.words import clean

SENTENCE = re.compile(r"(?<=[.!?])\s+")
# What a question asks with says nothing of the thing asked for.
ASKED_WITH = """a an and any are as at be by can could did do does for from had has have how i in
is it its me my of on or that the there these they this to was what when where which who why will
with would you your"""
ASKING = frozenset(ASKED_WITH.split())
ENDINGS = ("ing", "es", "ed", "s")


@dataclass(frozen=True)
class Passage:
    """A sentence of a title or description, or an attribute with its name; and whose it is."""

    item: str
    source: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What answers, where it stands, and how sure that is, 0 to 1.

    For the overlap of words it is the share of the question's weight that the passage holds.
    """

    text: str
    passage: Passage
    confidence: float


def passages(item: str, texts: dict[str, str]) -> list[Passage]:
    """Sentences of an item's texts; attributes, whose source is their column, stand as a whole.

    Args:
        item: its id.
        texts: by source; `title` and `description` are cut into sentences.
    """
    made = []
    for source, text in texts.items():
        whole = source not in ("title", "description")
        lines = [clean(line) for line in ([text] if whole else text.split("\n"))]
        parts = lines if whole else [part for line in lines for part in SENTENCE.split(line)]
        made += [Passage(item, source, part) for part in parts if part]
    return made


class Words:
    """Ranks passages by the words they share with a question, rare ones first (BM25's weights).

    The confidence of a passage is the share of the question's weight that it holds: 1 where every
    word that asks for something stands in it.
    """

    def __init__(self, known: list[Passage]) -> None:
        self.known = known
        self._words = [Counter(_stems(f"{passage.source} {passage.text}")) for passage in known]
        self._places: dict[str, list[int]] = {}
        for place, words in enumerate(self._words):
            for word in words:
                self._places.setdefault(word, []).append(place)

    def best(self, question: str, k: int) -> list[Answer]:
        """The k passages with the most of the question, best first; equal ones in their order."""
        asked = set(_stems(question, ASKING))
        weights = {word: self._rarity(word) for word in asked}
        whole = sum(weights.values())
        if not whole:
            return []
        held: dict[int, float] = {}
        for word, weight in weights.items():
            for place in self._places.get(word, ()):
                held[place] = held.get(place, 0.0) + weight
        order = sorted(held, key=lambda place: (-held[place], sum(self._words[place].values())))
        return [
            Answer(self.known[place].text, self.known[place], held[place] / whole)
            for place in order[:k]
        ]

    def _rarity(self, word: str) -> float:
        """Inverse document frequency; a word that stands nowhere is as rare as can be."""
        count = len(self._places.get(word, ()))
        return math.log(1 + (len(self.known) - count + 0.5) / (count + 0.5))


class ExtractiveModel:
    """A transformers model for extractive question answering; a span of the passage answers.

    Args:
        model: a hub name or a local folder.
        device: torch device.

    Raises:
        InputFault: the model is not there and cannot be had.
    """

    def __init__(self, model: str, device: str) -> None:
        self._tokenizer = tokenizer("ask.model", model)
        kind = "AutoModelForQuestionAnswering"
        self._model = transformers_model("ask.model", model, device, kind)

    def answer(self, question: str, passage: Passage) -> Answer:
        """The most probable span of the passage; its probability beside that of no answer."""
        import torch

        tokens = self._tokenizer(
            question[:MAX_CHARACTERS], passage.text[:MAX_CHARACTERS], truncation="only_second",
            max_length=384, return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        offsets = tokens.pop("offset_mapping")[0]
        inside = torch.tensor([one == 1 for one in tokens.sequence_ids(0)])
        with torch.inference_mode():
            told = self._model(**tokens.to(self._model.device))
        first, last = (
            logits[0].float().cpu().masked_fill(~inside, -torch.inf)
            for logits in (told.start_logits, told.end_logits)
        )
        spans = (first.unsqueeze(1) + last.unsqueeze(0)).triu().tril(diagonal=30)
        spans = spans.masked_fill(torch.ones_like(spans).triu().tril(diagonal=30) == 0, -torch.inf)
        none = float(told.start_logits[0, 0] + told.end_logits[0, 0])
        chance = torch.cat([spans.flatten(), torch.tensor([none])]).softmax(dim=0)[:-1]
        place = int(chance.argmax())
        start, end = divmod(place, len(first))
        text = passage.text[int(offsets[start, 0]) : int(offsets[end, 1])]
        return Answer(text, passage, float(chance[place]))


def _stems(text: str, without: frozenset[str] = frozenset()) -> list[str]:
    """Words in lower case without the commonest endings, so that pockets find a pocket."""
    found = []
    for word in WORD.findall(text.casefold()):
        if word in without:
            continue
        ending = next((e for e in ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), "")
        found.append(word.removesuffix(ending))
    return found

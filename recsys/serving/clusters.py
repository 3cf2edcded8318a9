"""Clusters of the item space with readable names, near duplicates, and what sells by cluster.

Called by `annotate`.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.serving.item_space import ItemSpace

Rows = npt.NDArray[np.int64]
DAY_SECONDS = 86_400
BLOCK = 4096
WORDS = 3


def names(texts: list[str], clusters: Rows, count: int) -> list[str]:
    """The three words of each cluster with the highest mean TF-IDF against the other clusters.

    Args:
        texts: of the items, empty where there is none.
        clusters: `[N]` cluster of each item.
        count: C.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    joined = [""] * count
    for cluster, text in zip(clusters, texts, strict=True):
        joined[cluster] += f" {text}"
    reader = TfidfVectorizer(stop_words="english", sublinear_tf=True, max_features=20_000)
    try:
        weights = reader.fit_transform(joined)
    except ValueError:  # no text holds a word
        return [f"cluster {number}" for number in range(count)]
    words = reader.get_feature_names_out()
    told = []
    for number in range(count):
        row = weights[number].toarray().ravel()
        best = [place for place in np.argsort(-row, kind="stable")[:WORDS] if row[place] > 0]
        told.append(", ".join(words[best]) or f"cluster {number}")
    return told


def duplicates(space: ItemSpace, threshold: float, neighbours: int = 10) -> pl.DataFrame:
    """Pairs of rows whose cosine is at least `threshold`, nearest first: row, other, score."""
    parts = []
    for start in range(0, len(space.vectors), BLOCK):
        block = space.vectors[start : start + BLOCK]
        rows, scores = space.nearest(block, neighbours + 1)
        here = np.arange(start, start + len(block))[:, None]
        place, rank = np.nonzero((rows > here) & (scores >= threshold))  # each pair once
        parts.append(
            pl.DataFrame(
                {
                    "row": place + start,
                    "other": rows[place, rank],
                    "score": scores[place, rank].astype(np.float64),
                }
            )
        )
    return pl.concat(parts).sort(["score", "row", "other"], descending=[True, False, False])


def trends(
    clusters: Rows, items: Rows, times: Rows, at_seconds: float, days: int = 7
) -> pl.DataFrame:
    """A row for each cluster: items, events, events of the last days, growth, and its long tail.

    Args:
        clusters: `[N]`, of each item.
        items, times: `[E]` rows and epoch seconds of all events.
        at_seconds: the moment; only earlier events count.
        days: length of the last window, and of the one before it, which growth is measured by.

    Returns:
        cluster, items, events, recent, growth (recent over the window before, less 1; null where
        that had none), never (items without events), tail (share of events outside the tenth of the
        cluster's items that has most).
    """
    count = int(clusters.max(initial=-1)) + 1
    age = (at_seconds - times) / DAY_SECONDS
    known = age >= 0
    owner = clusters[items]

    def counted(chosen: npt.NDArray[np.bool_]) -> Rows:
        return np.bincount(owner[chosen & known], minlength=count)

    recent, before = counted(age < days), counted((age >= days) & (age < 2 * days))
    by_item = np.bincount(items[known], minlength=len(clusters))
    tail = []
    for cluster in range(count):
        of = np.sort(by_item[clusters == cluster])[::-1]
        head = max(1, round(0.1 * len(of)))
        tail.append(float(of[head:].sum() / of.sum()) if of.sum() else None)
    growth = [
        float(new / old - 1) if old else None for new, old in zip(recent, before, strict=True)
    ]
    return pl.DataFrame(
        {
            "cluster": np.arange(count),
            "items": np.bincount(clusters, minlength=count),
            "events": counted(known),
            "recent": recent,
            "growth": pl.Series(growth, dtype=pl.Float64),
            "never": np.bincount(clusters[by_item == 0], minlength=count),
            "tail": pl.Series(tail, dtype=pl.Float64),
        }
    )

"""What an index takes, counted from what it holds and looks at. Used by its tuning."""

from recsys.serving.index_settings import IndexSettings

# microseconds on one core with AVX-512 (benchmarks/index_tuning.py); only their ratios matter, and
# what every kind takes for a place of the list is left out (0.2)
EXACT = 3e-5  # a number of a vector, multiplied in blocks, and the best picked
SCORE = 6e-5  # a number of a centre
PICK = 1e-5  # an item, for each place of the list, where faiss picks it by 8-bit codes
CODE8 = 8e-5  # a number as an 8-bit code
CODE4 = 1.4e-5  # a number as part of a 4-bit code
VISIT = 9e-5  # a number of a vector in an inverted list
PROBE, PROBE_PLACE = 0.2, 0.003  # a list, and its part for each place
RESCORE = 0.1  # an item that is scored again
STEP = 1.0  # an item that HNSW looks at


def size(settings: IndexSettings, shape: tuple[int, ...]) -> float:
    """Bytes that an index over `[n, D]` vectors takes."""
    count, width = shape
    match settings.kind:
        case "sq8":
            each = width
        case "pq" | "ivf_pq":
            each = 4 * width + width // 4 + 8
        case "ivf":
            each = 4 * width + 8
        case "hnsw":
            each = 4 * width + 8 * settings.neighbours
        case _:
            each = 4 * width
    return float(count * each)


def cost(settings: IndexSettings, shape: tuple[int, ...], k: int) -> float:
    """Microseconds a query on one core, counted from what it looks at."""
    count, width = shape
    lists = settings.lists or int(4 * count**0.5)
    looked = count * min(1.0, settings.probes / max(1, lists))
    visits = lists * width * SCORE + settings.probes * (PROBE + PROBE_PLACE * k)
    match settings.kind:
        case "sq8":
            return count * (width * CODE8 + PICK * k)
        case "pq":
            return count * width * CODE4 + settings.refine * k * RESCORE
        case "ivf":
            return visits + looked * width * VISIT
        case "ivf_pq":
            return visits + looked * width * CODE4 + settings.refine * k * RESCORE
        case "hnsw":
            return STEP * max(settings.search_effort, k)
        case _:
            return count * width * EXACT

"""Times: golden values, Python's own datetime as the oracle, refusals."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import time_range, timestamps
from recsys.data.settings import DataSettings
from recsys.errors import InputFault

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1990, 1, 2), datetime(2090, 1, 1))
NOW = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def parse(values: list[object], **settings: object) -> pl.DataFrame:
    """Parses `values` as the column timestamp of the file f."""
    chosen = DataSettings.model_validate(settings)
    return timestamps.parse(pl.Series("timestamp", values), chosen, "f")


@given(
    st.lists(st.builds(lambda time, zone: time.replace(tzinfo=zone), TIMES, OFFSETS), min_size=1)
)
def test_texts_with_an_offset_are_what_python_reads(times: list[datetime]) -> None:
    for texts in ([time.isoformat() for time in times], [time.isoformat(" ") for time in times]):
        frame = parse(list(texts))
        assert frame["timestamp"].to_list() == [time.astimezone(UTC) for time in times]
        assert frame["code"].null_count() == len(times)


@given(st.lists(st.integers(0, 4 * 10**15), min_size=1), st.sampled_from(["s", "ms", "us", "ns"]))
def test_whole_epoch_numbers_are_exact_as_numbers_and_as_texts(
    micros: list[int], unit: str
) -> None:
    size = {"s": 10**6, "ms": 1000, "us": 1}.get(unit)
    numbers = [one // size if size else one * 1000 for one in micros]
    expected = [
        datetime(1970, 1, 1, tzinfo=UTC)
        + timedelta(microseconds=one // size * size if size else one)
        for one in micros
    ]
    for column in (numbers, [str(number) for number in numbers], [*numbers]):
        assert parse(list(column), timestamp_unit=unit)["timestamp"].to_list() == expected


@given(st.lists(TIMES, min_size=1))
def test_local_times_are_those_of_the_zone_or_quarantined(times: list[datetime]) -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Berlin")
    frame = parse([time.isoformat() for time in times], timezone="Europe/Berlin")
    for time, (read, code) in zip(
        times, frame.select("timestamp", "code").iter_rows(), strict=True
    ):
        both = [time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        if both[0] == both[1]:
            assert (read, code) == (both[0], None)
        else:  # the clock change repeats or skips it
            assert (read, code) == (None, "timestamp_shift")


def test_golden_forms() -> None:
    frame = parse(
        [
            "2026-08-01T10:03:11Z",
            "2026-08-01 10:03+0200",  # 08:03 in UTC
            "2026-08-01T10:03:11.123456789-05:30",  # 15:33:11, cut to microseconds
            "1785578591.5",  # 1785578591 is 2026-08-01T10:03:11Z
            "2026-02-30T00:00:00Z",
            "2026-08-01T25:00:00Z",
            "2026-08-01T10:00:00+15:00",
            "yesterday",
            "",
            None,
            "99999999999999999999",
            "99999999999999",
        ],
        timestamp_unit="s",
    )
    day = datetime(2026, 8, 1, tzinfo=UTC)
    assert frame["timestamp"].to_list() == [
        day.replace(hour=10, minute=3, second=11),
        day.replace(hour=8, minute=3),
        day.replace(hour=15, minute=33, second=11, microsecond=123456),
        day.replace(hour=10, minute=3, second=11, microsecond=500000),
        *[None] * 8,
    ]
    assert frame["code"].to_list() == [
        *[None] * 4, *["bad_timestamp"] * 6, "integer_range", "timestamp_range",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "unit"), [(1.7e9, "s"), (1.7e12, "ms"), (1.7e15, "us"), (1.7e18, "ns"), (17.0, None)]
)
def test_the_likely_unit(number: float, unit: str | None) -> None:
    assert time_range.likely_unit(number, 946_684_800, NOW) == unit


def test_floats_and_wide_integers() -> None:
    frame = parse([1785578591.5, float("nan"), float("inf"), 1e300], timestamp_unit="s")
    assert frame["timestamp"][0] == datetime(2026, 8, 1, 10, 3, 11, 500000, tzinfo=UTC)
    assert frame["code"].to_list() == [None, "bad_timestamp", "bad_timestamp", "timestamp_range"]
    wide = pl.Series("timestamp", [2**70, 1785578591], dtype=pl.Int128)
    codes = timestamps.parse(wide, DataSettings(timestamp_unit="s"), "f")["code"].to_list()
    assert codes == ["integer_range", None]


def test_what_is_not_stated_is_refused() -> None:
    with pytest.raises(InputFault, match="timestamp_unit = 'ms'"):
        parse([1_785_578_591_000])
    with pytest.raises(InputFault, match=r"data\.timezone"):
        parse([datetime(2026, 8, 1)])
    with pytest.raises(InputFault, match="holds no times"):
        parse([True])


def test_the_median_names_the_unit_and_single_rows_are_marked() -> None:
    settings = DataSettings(timestamp_unit="us")
    frame = parse([1_785_578_591] * 3, timestamp_unit="us")
    with pytest.raises(InputFault, match="timestamp_unit = 's'"):
        time_range.check_range(frame, settings, NOW, "f")
    stated = DataSettings(timestamp_unit="s")
    frame = parse([1_785_578_591, 1_785_578_592, 5, int(NOW) + 86_401, int(NOW) + 86_400],
                  timestamp_unit="s")  # fmt: skip
    codes = time_range.check_range(frame, stated, NOW, "f")["code"].to_list()
    assert codes == [None, None, "timestamp_range", "timestamp_range", None]

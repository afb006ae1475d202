"""Reading bars from files: usual forms are understood, and every bad input is one error that names line and remedy."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.data.prices import load_bars
from keeper.errors import InputError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
GOOD = [
    "1583625600,237.23,237.5,233.0,233.92,16292.2",
    "1583625900,233.96,235.17,233.96,234.02,4949.1",
    "1583626200,234.02,234.02,232.0,232.5,100",
]
HEADER = "ts,open,high,low,close,volume"


def write(folder: Path, *lines: str, header: str = HEADER, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_bars(path)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert str(path) in message
    assert "\n" not in message
    return message


def test_load_bars_reads_columns_and_step(tmp_path: Path) -> None:
    bars = load_bars(write(tmp_path, *GOOD))
    assert bars.times.tolist() == [1583625600, 1583625900, 1583626200]
    assert bars.open.tolist() == [237.23, 233.96, 234.02]
    assert bars.high.tolist() == [237.5, 235.17, 234.02]
    assert bars.low.tolist() == [233.0, 233.96, 232.0]
    assert bars.close.tolist() == [233.92, 234.02, 232.5]
    assert (bars.step, len(bars), bars.start, bars.end) == (300, 3, 1583625600, 1583626500)
    assert bars.times.dtype == np.int64
    assert bars.close.dtype == np.float64


def test_between_takes_bars_by_their_open_time(tmp_path: Path) -> None:
    bars = load_bars(write(tmp_path, *GOOD))
    assert bars.between(1583625601, 1583626200).times.tolist() == [1583625900]
    assert bars.between(0, 10**10).close.tolist() == bars.close.tolist()
    assert len(bars.between(0, 1583625600)) == 0


@pytest.mark.parametrize("name", ["ts", "Timestamp", "TIME", "date", " Datetime ", "open_time", "unix"])
def test_load_bars_knows_usual_names_in_any_case_and_order(tmp_path: Path, name: str) -> None:
    rows = [line.split(",") for line in GOOD]
    lines = [f"{close},x,{low},{high},{open_},{time}" for time, open_, high, low, close, _ in rows]
    bars = load_bars(write(tmp_path, *lines, header=f"Close,note,LOW,High,Open,{name}"))
    assert bars.times[0] == 1583625600
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (237.23, 237.5, 233.0, 233.92)


@pytest.mark.parametrize(
    "times",
    [
        ("1583625600000", "1583625900000", "1583626200000"),
        ("1583625600000000", "1583625900000000", "1583626200000000"),
        ("1583625600.0", "1583625900.0", "1583626200.0"),
        ("2020-03-08T00:00:00Z", "2020-03-08T00:05:00Z", "2020-03-08T00:10:00Z"),
        ("2020-03-08 00:00:00", "2020-03-08 00:05:00", "2020-03-08 00:10:00"),
        ("2020-03-08 00:00:00 UTC", "2020-03-08 00:05:00 UTC", "2020-03-08 00:10:00 UTC"),
        ("2020-03-08T01:00:00+01:00", "2020-03-08T01:05:00+01:00", "2020-03-08T01:10:00+01:00"),
    ],
)
def test_load_bars_understands_seconds_milliseconds_microseconds_and_iso(
    tmp_path: Path, times: tuple[str, str, str]
) -> None:
    lines = [",".join([time, *line.split(",")[1:]]) for time, line in zip(times, GOOD, strict=True)]
    assert load_bars(write(tmp_path, *lines)).times.tolist() == [1583625600, 1583625900, 1583626200]


def test_load_bars_reads_gzip_byte_order_mark_windows_line_ends_and_blank_lines(tmp_path: Path) -> None:
    text = "\r\n".join([HEADER, GOOD[0], "", *GOOD[1:], "", ""])
    path = tmp_path / "prices.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + text).encode()))
    assert load_bars(path).close.tolist() == [233.92, 234.02, 232.5]


@settings(max_examples=30, deadline=None)
@given(
    start=st.integers(10**9, 2 * 10**9),
    step=st.sampled_from([1, 60, 300, 3600, 86400]),
    prices=st.lists(
        st.tuples(st.floats(1e-6, 5e10), st.lists(st.floats(1.0, 19.9), min_size=4, max_size=4)).map(
            lambda drawn: [drawn[0] * ratio for ratio in drawn[1]]
        ),
        min_size=2,
        max_size=20,
    ),
)
def test_load_bars_returns_exactly_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, start: int, step: int, prices: list[list[float]]
) -> None:
    bars = [(sorted(four)[1], max(four), min(four), sorted(four)[2]) for four in prices]
    lines = [f"{start + place * step},{','.join(map(repr, bar))},0" for place, bar in enumerate(bars)]
    got = load_bars(write(tmp_path_factory.mktemp("prices"), *lines))
    assert list(zip(got.open, got.high, got.low, got.close, strict=True)) == bars
    assert got.times.tolist() == [start + place * step for place in range(len(bars))]
    assert got.step == step


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "nowhere.csv")


def test_folder_binary_and_broken_gzip_are_refused(tmp_path: Path) -> None:
    assert "cannot read" in refusal(tmp_path)
    binary = tmp_path / "prices.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    assert "not a CSV text file" in refusal(binary)
    broken = tmp_path / "prices.csv.gz"
    broken.write_bytes(gzip.compress("\n".join([HEADER, *GOOD]).encode())[:-12])
    assert "cannot read" in refusal(broken)
    plain = tmp_path / "plain.csv.gz"
    plain.write_text("\n".join([HEADER, *GOOD]))
    assert "cannot read" in refusal(plain)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("")
    assert "is empty" in refusal(path)


def test_file_with_fewer_than_two_bars_is_refused(tmp_path: Path) -> None:
    assert "has 0 bars" in refusal(write(tmp_path))
    assert "has 1 bars" in refusal(write(tmp_path, GOOD[0]))


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("ts,open,high,low,price,volume", "no column close"),
        ("when,open,high,low,close,volume", "no column ts"),
        ("1583625600,237.23,237.23,233.0,233.92,1", "no column ts, open, high, low, close"),
    ],
)
def test_wrong_columns_are_refused_by_name(tmp_path: Path, header: str, missing: str) -> None:
    message = refusal(write(tmp_path, *GOOD, header=header))
    assert "line 1" in message
    assert missing in message


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1583625900,abc,235.17,233.96,234.02,1", "open 'abc' is not a number"),
        ("1583625900,,235.17,233.96,234.02,1", "open '' is not a number"),
        ("1583625900,233.96,nan,233.96,234.02,1", "high is nan, not a finite number"),
        ("1583625900,233.96,inf,233.96,234.02,1", "high is inf, not a finite number"),
        ("1583625900,233.96,235.17,0,234.02,1", "low is 0, but a price must be positive"),
        ("1583625900,233.96,235.17,233.96,-234.02,1", "close is -234.02, but a price must be positive"),
        ("1583625900,233.96,233.0,235.17,234.02,1", "must lie between low 235.17 and high 233"),
        ("1583625900,233.96,234.0,233.96,234.02,1", "must lie between low 233.96 and high 234"),
        ("1583625900,233.90,235.17,233.96,234.02,1", "must lie between low 233.96 and high 235.17"),
        ("1583625900,233.96,235.17", "only 3 columns"),
        ("yesterday,233.96,235.17,233.96,234.02,1", "'yesterday' is neither a unix time nor ISO 8601"),
        ("nan,233.96,235.17,233.96,234.02,1", "nan is not a unix time"),
        ("-5,233.96,235.17,233.96,234.02,1", "-5 is not a unix time"),
        ("1583625900.5,233.96,235.17,233.96,234.02,1", "not a whole second"),
        ("2020-03-08T00:05:00.5,233.96,235.17,233.96,234.02,1", "not a whole second"),
        ("1583625600,233.96,235.17,233.96,234.02,1", "is there twice, on line 2 too"),
        ("1583625000,233.96,235.17,233.96,234.02,1", "is earlier than line 2; sort the file"),
        ("1583625901,233.96,235.17,233.96,234.02,1", "is 301 s after the bar before, but bars are 300 s apart"),
    ],
)
def test_bad_row_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    more = [f"{1583626200 + 300 * place},234.02,234.02,232.0,232.5,1" for place in range(4)]
    message = refusal(write(tmp_path, GOOD[0], line, *more))
    assert f"{tmp_path / 'prices.csv'} line 3: " in message
    assert why in message


def test_gap_is_refused_with_its_line_and_size(tmp_path: Path) -> None:
    rows = [f"{1583625600 + 300 * place},234,235,233,234,1" for place in range(20) if place not in (7, 8, 9)]
    message = refusal(write(tmp_path, *rows))
    assert "line 9: time 1583628600 (2020-03-08 00:50:00 UTC)" in message
    assert "3 bars of 300 s are missing" in message


def test_line_number_counts_blank_lines(tmp_path: Path) -> None:
    assert "line 5: close is 0" in refusal(write(tmp_path, GOOD[0], "", GOOD[1], "1583626200,234,235,233,0,1"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the market data folder is not here")
@pytest.mark.parametrize(
    ("name", "count", "step", "low"),
    [
        ("eth_spot_5m_2020-03_black_thursday.csv", 2592, 300, 86.0),
        ("eth_spot_1m_2021-05_crash.csv", 7200, 60, None),
        ("eth_spot_5m_2022-11_ftx.csv", 2304, 300, None),
        ("eth_spot_5m_2023-08_calm_then_drop.csv", 8928, 300, None),
    ],
)
def test_real_bars_are_read(name: str, count: int, step: int, low: float | None) -> None:
    bars = load_bars(SHARED / name)
    assert (len(bars), bars.step) == (count, step)
    assert low is None or bars.low.min() == low


@pytest.mark.skipif(not SHARED.is_dir(), reason="the market data folder is not here")
def test_real_file_with_gaps_is_refused() -> None:
    assert "1 bars of 3600 s are missing" in refusal(SHARED / "eth_spot_1h_2020-2023.csv.gz")

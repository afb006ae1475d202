"""Option chains from files: the venues' dialects are understood, and bad input is one line with place and remedy."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from keeper.data.option_chain import OptionChain, load_chain
from keeper.errors import InputError
from keeper.market.surface import slice_for
from keeper.pricing import essvi
from keeper.pricing.black76 import price as black_price
from keeper.pricing.essvi_fit import fit_surface
from keeper.pricing.quotes import select
from keeper.units import SECONDS_PER_YEAR

TIME = int(datetime(2024, 12, 1, 12, tzinfo=UTC).timestamp())
EXPIRY = int(datetime(2024, 12, 27, 8, tzinfo=UTC).timestamp())
HEADER = "timestamp,instrument_name,underlying_price,bid_iv,ask_iv,mark_iv"
GOOD = f"{TIME},ETH-27DEC24-2400-C,2000,78.0,80.0,79.1"


def write(folder: Path, *lines: str, header: str = HEADER, name: str = "chain.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def load(folder: Path, *lines: str, header: str = HEADER) -> OptionChain:
    return load_chain(write(folder, *lines, header=header))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_chain(path)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_row_becomes_a_quote_in_seconds_dollars_and_decimals(tmp_path: Path) -> None:
    chain = load(tmp_path, GOOD)
    [quote] = chain.quotes
    assert (quote.time, quote.expiry, quote.strike, quote.is_call) == (TIME, EXPIRY, 2_400.0, True)
    assert (quote.forward, chain.price(TIME)) == (2_000.0, 2_000.0)
    assert (quote.bid_vol, quote.ask_vol, quote.mark_vol) == pytest.approx((0.78, 0.80, 0.791))


@pytest.mark.parametrize("name", ["ETH-27DEC24-2400-C", "eth-27dec24-2400-c", "ETH_USDC-27DEC24-2400-C",
                                  "ETH-USD-241227-2400-C", "ETH-241227-2400-C", "ETH-27DEC24-2400-C-USDT"])  # fmt: skip
def test_instruments_of_every_venue_are_read(tmp_path: Path, name: str) -> None:
    [quote] = load(tmp_path, GOOD.replace("ETH-27DEC24-2400-C", name)).quotes
    assert quote.instrument == (EXPIRY, 2_400.0, True)


def test_strikes_below_a_dollar_and_puts_are_read(tmp_path: Path) -> None:
    [quote] = load(tmp_path, GOOD.replace("ETH-27DEC24-2400-C", "XRP_USDC-3JAN25-0d55-P")).quotes
    assert (quote.strike, quote.is_call) == (0.55, False)
    assert quote.expiry == int(datetime(2025, 1, 3, 8, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "stamp",
    [
        f"{TIME}", f"{TIME}000", f"{TIME}000000", f"{TIME}000000000", f"{TIME}.25", "2024-12-01T12:00:00Z",
        "2024-12-01 12:00:00", "2024-12-01T13:00:00+01:00",
    ],
)  # fmt: skip
def test_times_are_unix_in_any_unit_or_iso(tmp_path: Path, stamp: str) -> None:
    assert load(tmp_path, GOOD.replace(str(TIME), stamp, 1)).start == TIME


@pytest.mark.parametrize(
    ("expiry", "kind"), [("2024-12-27", "call"), (str(EXPIRY), "C"), ("2024-12-27T08:00Z", "Call")]
)
def test_expiry_strike_and_type_may_stand_apart(tmp_path: Path, expiry: str, kind: str) -> None:
    header = "Date,Expiration,Strike,Option Type,Forward,IV"
    [quote] = load(tmp_path, f"{TIME},{expiry},2400,{kind},2000,0.8", header=header).quotes
    assert quote.instrument == (EXPIRY, 2_400.0, True)
    assert quote.mark_vol == 0.8
    assert math.isnan(quote.bid_vol)
    assert math.isnan(quote.ask_vol)


@pytest.mark.parametrize(
    ("header", "unit", "name"),
    [
        ("bid_price,ask_price", 1 / 2_000, "ETH-27DEC24-2400-C"),  # coin-margined: prices in coin
        ("bid_price,ask_price", 1.0, "ETH_USDC-27DEC24-2400-C"),
        ("bid_price,ask_price", 1.0, "ETH-241227-2400-C"),
        ("bid_price_usd,ask_price_usd", 1.0, "ETH-27DEC24-2400-C"),
    ],
)
def test_prices_become_vols_in_the_venues_unit(tmp_path: Path, header: str, unit: float, name: str) -> None:
    years = (EXPIRY - TIME) / SECONDS_PER_YEAR
    bid, ask = (black_price(2_000.0, 2_400.0, years, vol, 0.0, True) * unit for vol in (0.7, 0.75))
    [quote] = load(
        tmp_path, f"{TIME},{name},2000,{bid!r},{ask!r}", header=f"timestamp,symbol,underlying_price,{header}"
    ).quotes
    assert (quote.bid_vol, quote.ask_vol) == pytest.approx((0.7, 0.75), rel=1e-9)


def test_prices_without_instrument_must_name_their_unit(tmp_path: Path) -> None:
    header = "ts,expiry,strike,type,underlying,bid_price,ask_price"
    path = write(tmp_path, f"{TIME},{EXPIRY},2400,call,2000,10,12", header=header)
    assert "rename it to bid_price_coin or bid_price_usd" in refusal(path)
    coin = load(tmp_path, f"{TIME},{EXPIRY},2400,call,2000,0.01,0.02", header=header.replace("price", "price_coin"))
    usd = load(tmp_path, f"{TIME},{EXPIRY},2400,call,2000,20,40", header=header.replace("price", "price_usd"))
    assert coin.quotes[0].bid_vol == pytest.approx(usd.quotes[0].bid_vol)


def test_vols_are_decimals_or_percent_for_the_whole_file(tmp_path: Path) -> None:
    far = f"{TIME},ETH-27DEC24-9000-C,2000,5.5,6,5.8"
    decimals = load(tmp_path, GOOD.replace("78.0,80.0,79.1", "0.78,0.80,0.791"), far)
    assert [quote.bid_vol for quote in decimals.quotes] == [0.78, 5.5]
    percent = load(tmp_path, GOOD, f"{TIME},ETH-27DEC24-2500-C,2000,4.0,80,79")
    assert [quote.bid_vol for quote in percent.quotes] == pytest.approx([0.78, 0.04])


@pytest.mark.parametrize("nothing", ["", "0", "nan", "None", "0.0"])
def test_what_nobody_quotes_is_no_quote(tmp_path: Path, nothing: str) -> None:
    row = f"{TIME},ETH-27DEC24-2400-C,2000,{nothing},80,79"
    chosen = select(list(load(tmp_path, row, GOOD).quotes), TIME)
    assert chosen.dropped == {"no bid": 1, "too few of its expiry": 1}
    row = f"{TIME},ETH-27DEC24-2400-C,2000,78,{nothing},79"
    assert select(list(load(tmp_path, row).quotes), TIME).dropped == {"no ask": 1}


def test_gzip_and_parquet_say_the_same_as_text(tmp_path: Path) -> None:
    plain = write(tmp_path, GOOD)
    zipped = tmp_path / "chain.csv.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    table = pyarrow.table({
        "timestamp": [datetime.fromtimestamp(TIME, UTC)], "instrument_name": ["ETH-27DEC24-2400-C"],
        "underlying_price": [2_000.0], "bid_iv": [78.0], "ask_iv": [80.0], "mark_iv": [79.1],
    })  # fmt: skip
    stored = tmp_path / "chain.parquet"
    parquet.write_table(table, stored)
    assert load_chain(plain).quotes == load_chain(zipped).quotes == load_chain(stored).quotes


def test_the_picture_of_a_moment_is_the_newest_quote_of_every_instrument(tmp_path: Path) -> None:
    def row(at: int, strike: int, vol: float, index: float) -> str:
        return f"{at},ETH-27DEC24-{strike}-C,2000,{index},{vol},{vol + 1}"

    header = "timestamp,instrument,underlying_price,index_price,bid_iv,ask_iv"
    chain = load(
        tmp_path, row(TIME + 3_610, 2_400, 90, 2_100), row(TIME, 2_400, 70, 1_990), row(TIME + 5, 2_500, 71, 1_995),
        row(TIME + 3_600, 2_500, 80, 2_090), row(TIME + 3_605, 2_400, 81, 2_095), header=header,
    )  # fmt: skip
    assert (chain.start, chain.end) == (TIME, TIME + 3_610)

    def seen(at: int) -> dict[float, float]:
        return {quote.strike: round(quote.bid_vol, 4) for quote in chain.at(at)}

    assert seen(TIME - 100) == {2_400.0: 0.7}
    assert seen(TIME + 60) == {2_400.0: 0.7, 2_500.0: 0.71}
    assert seen(TIME + 3_600) == {2_500.0: 0.8}  # what is an hour old is no longer the market
    assert seen(TIME + 99_999) == {2_500.0: 0.8, 2_400.0: 0.9}
    assert [chain.price(at) for at in (0, TIME, TIME + 5, TIME + 3_609, 10**10)] == [1_990, 1_990, 1_995, 2_095, 2_100]


def test_a_written_surface_is_found_again(tmp_path: Path) -> None:
    """Quotes of a known surface, through the file and the fit, and back."""
    expiries = {"6DEC24": (5 * 24 - 4) * 3_600, "27DEC24": EXPIRY - TIME, "28MAR25": (117 * 24 - 4) * 3_600}
    rows, truth = [], []
    for name, left in expiries.items():
        years = left / SECONDS_PER_YEAR
        theta, rho, psi = slice_for(0.8, years)
        truth.append((theta, rho, psi))
        for strike in range(1_400, 3_000, 50):
            vol = 100 * essvi.implied_vol(2_000.0, float(strike), years, theta, rho * psi, psi)
            kind = "C" if strike >= 2_000 else "P"
            rows.append(f"{TIME},ETH-{name}-{strike}-{kind},2000,{vol - 0.5:.6f},{vol + 0.5:.6f},{vol:.6f}")
    chosen = select(load(tmp_path, *rows).at(TIME), TIME)
    found = fit_surface(list(chosen.by_expiry.values()))
    assert len(found.slices) == 3
    for ours, true in zip(found.slices, truth, strict=True):
        assert ours.slice == pytest.approx(true, rel=1e-4)


# refusals


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("x,ETH-27DEC24-2400-C,2000,78,80,79", "timestamp 'x' is neither a unix time nor ISO 8601"),
        ("-5,ETH-27DEC24-2400-C,2000,78,80,79", "timestamp -5 is not a unix time"),
        (f"{TIME},ETH-PERPETUAL,2000,78,80,79", "instrument 'ETH-PERPETUAL' is not like"),
        (f"{TIME},ETH-31FEB24-2400-C,2000,78,80,79", "is not like"),
        (f"{TIME},ETH-27XXX24-2400-C,2000,78,80,79", "is not like"),
        (f"{TIME},ETH-27DEC24-0-C,2000,78,80,79", "strike is 0"),
        (f"{TIME},ETH-27DEC24-2400-C,0,78,80,79", "price of the underlying is 0"),
        (f"{TIME},ETH-27DEC24-2400-C,,78,80,79", "price of the underlying is nan"),
        (f"{TIME},ETH-27DEC24-2400-C,2000,many,80,79", "bid_iv 'many' is not a number"),
        (f"{TIME},ETH-27DEC24-2400-C,2000,78,-80,79", "ask_iv is -80, but must be a finite number"),
        (f"{TIME},ETH-27DEC24-2400-C,2000,78,inf,79", "ask_iv is inf"),
        (f"{TIME},ETH-27DEC24-2400-C,2000", "only 3 columns"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, line: str, complaint: str) -> None:
    message = refusal(write(tmp_path, GOOD, line))
    assert "line 3" in message
    assert complaint in message


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("instrument,underlying_price,mark_iv", "timestamp"),
        ("ts,underlying_price,mark_iv", "instrument (or expiry, strike and type)"),
        ("ts,strike,type,underlying_price,mark_iv", "instrument (or expiry, strike and type)"),
        ("ts,instrument,mark_iv", "underlying_price (or index_price)"),
        ("ts,instrument,underlying_price,bid_iv", "bid_iv and ask_iv (or mark_iv"),
        ("ts,instrument,underlying_price,bid_iv,ask_price", "bid_iv and ask_iv (or mark_iv"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, header: str, missing: str) -> None:
    message = refusal(write(tmp_path, GOOD, header=header))
    assert missing in message
    assert "rename the columns" in message


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "none.csv")
    assert "there is no file" in refusal(tmp_path / "none.parquet")
    assert "holds no quotes" in refusal(write(tmp_path))
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert "is empty" in refusal(empty)
    text = tmp_path / "text.parquet"
    text.write_text("hello")
    assert "is not a Parquet file" in refusal(text)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not a CSV text file" in refusal(binary)
    broken = tmp_path / "broken.csv.gz"
    broken.write_text("hello")
    assert "cannot read" in refusal(broken)


def test_a_bad_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chain.parquet"
    columns = {"timestamp": [TIME, None], "instrument": ["ETH-27DEC24-2400-C"] * 2, "forward": [2_000.0] * 2,
               "mark_iv": [79.0] * 2}  # fmt: skip
    parquet.write_table(pyarrow.table(columns), path)
    assert "row 2: timestamp None" in refusal(path).replace("'None'", "None")

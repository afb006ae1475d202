"""Option chains from CSV (plain or gzipped) or Parquet files, in the dialects of the big venues.

A row is one option at one time. It says

- when: `timestamp` (unix seconds, milliseconds, microseconds, or ISO 8601);
- what: `instrument` such as ETH-27DEC24-2400-C (Deribit), ETH_USDC-27DEC24-2400-C (its linear ones),
  ETH-27DEC24-2400-C-USDT (Bybit), ETH-USD-241227-2400-C (OKX) or ETH-241227-2400-C (Binance), all of which expire at
  08:00 UTC; or `expiry`, `strike` and `type`;
- on what: `underlying_price` (the forward of that expiry), else `index_price`;
- at what: `bid_iv`, `ask_iv` and `mark_iv`, or `bid_price`, `ask_price` and `mark_price`. Vols are percent where the
  file's median is above 5, else decimals. Prices are coins or dollars as the instrument's venue quotes them; without an
  instrument, or where the venue differs, the columns say so: `bid_price_usd` or `bid_price_coin`.

Names are taken in any case and order, and under the aliases of `ALIASES`. Zero, empty and NaN mean that nobody quoted.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from keeper.errors import InputError
from keeper.pricing.black76 import implied_vol
from keeper.pricing.quotes import OptionQuote
from keeper.units import SECONDS_PER_YEAR

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": ("timestamp", "ts", "time", "datetime", "date", "snapshot_time", "quote_time", "local_timestamp"),
    "instrument": ("instrument_name", "instrument", "symbol", "instid", "inst_id"),
    "expiry": ("expiry", "expiration", "expiration_timestamp", "expiration_date", "expiry_date", "maturity"),
    "strike": ("strike", "strike_price"),
    "type": ("type", "option_type", "put_call", "call_put", "cp", "right"),
    "underlying_price": ("underlying_price", "forward", "forward_price", "underlying", "future_price"),
    "index_price": ("index_price", "index", "spot", "spot_price"),
    **{f"{side}_iv": (f"{side}_iv", f"{side}_vol", f"iv_{side}", f"best_{side}_iv") for side in ("bid", "ask")},
    "mark_iv": ("mark_iv", "mark_vol", "markvol", "iv", "implied_vol", "implied_volatility", "mid_iv", "vol"),
    **{f"{side}_price": (f"{side}_price", side, f"best_{side}_price", f"{side}px") for side in ("bid", "ask")},
    "mark_price": ("mark_price", "mark", "markpx", "mid_price", "mid"),
    **{f"{side}_price_{unit}": (f"{side}_price_{unit}", f"{side}_{unit}")
       for side in ("bid", "ask", "mark") for unit in ("usd", "coin")},
}  # fmt: skip
SIDES: Final = ("bid", "ask", "mark")
EXPIRY_HOUR: Final = 8
PERCENT_FROM: Final = 5.0
WINDOW: Final = 60
"""Seconds before the newest row within which rows belong to the same picture of the market."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WORDED: Final = re.compile(r"^[A-Z0-9]+(?P<linear>_USD[CT])?-(\d{1,2})([A-Z]{3})(\d{2})-([0-9.D]+)-([CP])(-USD[CT])?$")
_NUMBERED: Final = re.compile(r"^[A-Z0-9]+(?P<okx>-USD)?-(\d{2})(\d{2})(\d{2})-([0-9.]+)-([CP])$")
_ABSENT: Final = ("", "nan", "none", "null", "na", "n/a", "-")


@dataclass(frozen=True, slots=True, eq=False)
class OptionChain:
    """Quotes in order of time, and the index beside them."""

    quotes: tuple[OptionQuote, ...]
    index: tuple[float, ...]
    times: tuple[int, ...]

    @property
    def start(self) -> int:
        """Unix seconds of the first quote."""
        return self.times[0]

    @property
    def end(self) -> int:
        """Unix seconds of the last quote."""
        return self.times[-1]

    def seen(self, time: int) -> int:
        """When the newest quote that is known at a unix time was made; before the first one, the first."""
        return self.times[max(bisect_right(self.times, time) - 1, 0)]

    def at(self, time: int, window: int = WINDOW) -> list[OptionQuote]:
        """The newest quote of every instrument within ``window`` seconds of the newest row known at ``time``."""
        newest = self.seen(time)
        rows = slice(bisect_right(self.times, newest - window), bisect_right(self.times, newest))
        return list({quote.instrument: quote for quote in self.quotes[rows]}.values())

    def price(self, time: int) -> float:
        """The index at a unix time, as of the newest row known then."""
        return self.index[bisect_right(self.times, self.seen(time)) - 1]


@dataclass(frozen=True, slots=True)
class _Row:
    """A quote as read, before vols are known to be percent or not."""

    quote: OptionQuote
    index: float


def load_chain(path: str | Path) -> OptionChain:
    """Read a chain from a `.csv`, `.csv.gz` or `.parquet` file.

    Raises `InputError`, naming line (or row) and remedy: no such file, missing columns, a number, time or instrument
    that cannot be read, prices that do not say their unit, strikes or underlyings that are not positive.
    """
    file = Path(path)
    header, records = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    columns = _columns(file, header)
    rows = [_row(where, cells, columns) for where, cells in records]
    if not rows:
        raise InputError(f"{file} holds no quotes: it needs one row for each option and time")
    rows.sort(key=lambda row: row.quote.time)
    scale = _vol_scale([row.quote for row in rows]) if any(f"{side}_iv" in columns for side in SIDES) else 1.0
    quotes = tuple(_scaled(row.quote, scale) for row in rows)
    return OptionChain(quotes, tuple(row.index for row in rows), tuple(quote.time for quote in quotes))


Records = list[tuple[str, Sequence[Any]]]


def _csv(file: Path) -> tuple[list[str], Records]:
    """The header, and every line with its place."""
    try:
        with closing(_opened(file)) as lines:
            reader = csv.reader(lines)
            header = next(reader, [])
            return header, [(f"{file} line {reader.line_num}", cells) for cells in reader if any(cells)]
    except FileNotFoundError:
        raise InputError(f"there is no file {file}: give the path of an option chain, CSV or Parquet") from None
    except (OSError, EOFError) as error:
        raise InputError(f"cannot read {file}: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV text file: {error}") from None


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _parquet(file: Path) -> tuple[list[str], Records]:
    """The column names, and every row with its place."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except FileNotFoundError:
        raise InputError(f"there is no file {file}: give the path of an option chain, CSV or Parquet") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{file} is not a Parquet file: {error}") from None
    columns = [column.to_pylist() for column in table.columns]
    return list(table.column_names), [
        (f"{file} row {number}", cells) for number, cells in enumerate(zip(*columns, strict=True), 1)
    ]


def _columns(file: Path, header: Sequence[str]) -> dict[str, int]:
    """Our name of every column that is understood, and its place."""
    if not header:
        raise InputError(f"{file} is empty: its first line must name the columns timestamp, instrument, ...")
    names = [name.strip().lower().replace(" ", "_") for name in header]
    known = ((ours, alias) for ours, aliases in ALIASES.items() for alias in reversed(aliases))
    found = {ours: names.index(alias) for ours, alias in known if alias in names}
    missing = [] if "timestamp" in found else ["timestamp"]
    if "instrument" not in found and not {"expiry", "strike", "type"} <= set(found):
        missing.append("instrument (or expiry, strike and type)")
    if not {"underlying_price", "index_price"} & set(found):
        missing.append("underlying_price (or index_price)")
    priced = [name for name in found if name.startswith(SIDES)]
    if not {"mark_iv", "mark_price", "mark_price_usd", "mark_price_coin"} & set(priced) and not _two_sided(priced):
        missing.append("bid_iv and ask_iv (or mark_iv, or bid_price and ask_price)")
    if missing:
        raise InputError(f"{file} line 1: no column {'; '.join(missing)} among {', '.join(names)}; rename the columns")
    plain = [name for name in priced if name.endswith("_price")]
    if plain and "instrument" not in found and not any(name.endswith(("_iv", "_usd", "_coin")) for name in priced):
        first = plain[0]
        raise InputError(f"{file} line 1: is {first} in coins or dollars? rename it to {first}_coin or {first}_usd")
    return found


def _two_sided(priced: Sequence[str]) -> bool:
    ends = {name.removeprefix("bid") for name in priced if name.startswith("bid")}
    return any("ask" + end in priced for end in ends)


def _row(where: str, cells: Sequence[Any], columns: Mapping[str, int]) -> _Row:
    if len(cells) <= max(columns.values()):
        raise InputError(f"{where}: only {len(cells)} columns, the header has more; complete the line or delete it")
    told = {name: cells[place] for name, place in columns.items()}
    time = _time(where, "timestamp", told["timestamp"])
    in_coin = False
    if "instrument" in told:
        expiry, strike, is_call, in_coin = _instrument(where, str(told["instrument"]))
    else:
        expiry, strike = _expiry(where, told["expiry"]), _positive(where, "strike", told["strike"])
        is_call = _is_call(where, told["type"])
    forward = _number(where, "underlying_price", told.get("underlying_price"))
    index = _number(where, "index_price", told.get("index_price"))
    forward = index if math.isnan(forward) else forward
    if not forward > 0.0:
        raise InputError(f"{where}: the price of the underlying is {forward:g}; fill in a positive price")
    quote = OptionQuote(time, expiry, strike, is_call, forward)
    bid, ask, mark = (_vol(where, told, side, quote, in_coin) for side in SIDES)
    return _Row(replace(quote, bid_vol=bid, ask_vol=ask, mark_vol=mark), index if index > 0.0 else forward)


def _vol(where: str, told: Mapping[str, Any], side: str, quote: OptionQuote, in_coin: bool) -> float:
    """A side's vol as quoted, else as implied by its price; 0 where the column is there and nobody quotes, else NaN."""
    if f"{side}_iv" in told:
        vol = _number(where, f"{side}_iv", told[f"{side}_iv"])
        return 0.0 if math.isnan(vol) and side != "mark" else vol
    for name, coin in ((f"{side}_price", in_coin), (f"{side}_price_usd", False), (f"{side}_price_coin", True)):
        if name in told:
            price = _number(where, name, told[name]) * (quote.forward if coin else 1.0)
            time = (quote.expiry - quote.time) / SECONDS_PER_YEAR
            if not price > 0.0:
                return math.nan if side == "mark" else 0.0
            vol = implied_vol(price, quote.forward, quote.strike, time, 0.0, quote.is_call)
            return 0.0 if math.isnan(vol) and side != "mark" else vol
    return math.nan


def _instrument(where: str, text: str) -> tuple[int, float, bool, bool]:
    """Expiry, strike, whether a call, and whether quoted in coin."""
    name = text.strip().upper()
    worded, numbered = _WORDED.match(name), _NUMBERED.match(name)
    try:
        if worded:
            _, day, month, year, strike, kind, tail = worded.groups()
            date = (2000 + int(year), _MONTHS.index(month) + 1, int(day))
            in_coin = worded["linear"] is None and tail is None
        elif numbered:
            _, year, month, day, strike, kind = numbered.groups()
            date, in_coin = (2000 + int(year), int(month), int(day)), numbered["okx"] is not None
        else:
            raise ValueError
        expiry = datetime(*date, EXPIRY_HOUR, tzinfo=UTC)
        return int(expiry.timestamp()), _positive(where, "strike", strike.replace("D", ".")), kind == "C", in_coin
    except ValueError:
        raise InputError(
            f"{where}: instrument {text!r} is not like ETH-27DEC24-2400-C; correct it, or give expiry, strike and type"
        ) from None


def _is_call(where: str, told: Any) -> bool:
    kind = str(told).strip().lower()
    if kind not in ("call", "c", "put", "p"):
        raise InputError(f"{where}: type {told!r} is neither call nor put; correct it")
    return kind in ("call", "c")


def _expiry(where: str, told: Any) -> int:
    """A time; a date alone means 08:00 UTC of that day, as the venues have it."""
    text = str(told).strip()
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return _time(where, "expiry", text) + EXPIRY_HOUR * 3_600
    return _time(where, "expiry", told)


def _time(where: str, name: str, told: Any) -> int:
    """Unix seconds, cut to the second: vols do not know finer times."""
    if isinstance(told, datetime):
        return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())
    text = str(told).strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.removesuffix("UTC").strip())
        except ValueError:
            raise InputError(f"{where}: {name} {text!r} is neither a unix time nor ISO 8601; correct it") from None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not math.isfinite(number) or number <= 0.0:
        raise InputError(f"{where}: {name} {text} is not a unix time; fill it in")
    for scale in (10**9, 10**6, 10**3):
        if number >= 10**8 * scale:
            return int(number / scale)
    return int(number)


def _positive(where: str, name: str, told: Any) -> float:
    value = _number(where, name, told)
    if not 0.0 < value < math.inf:
        raise InputError(f"{where}: {name} is {told}, but must be a positive number; correct it")
    return value


def _number(where: str, name: str, told: Any) -> float:
    """A number; NaN for an empty cell. Raises `InputError` on anything else, and on numbers below zero."""
    if told is None or (isinstance(told, str) and told.strip().lower() in _ABSENT):
        return math.nan
    try:
        value = float(told)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} {told!r} is not a number; correct it or leave it empty") from None
    if value < 0.0 or math.isinf(value):
        raise InputError(f"{where}: {name} is {told}, but must be a finite number of at least 0; correct it")
    return value


def _vol_scale(quotes: Sequence[OptionQuote]) -> float:
    """0.01 where vols are in percent."""
    told = [vol for each in quotes for vol in (each.bid_vol, each.ask_vol, each.mark_vol) if vol > 0.0]
    return 0.01 if told and statistics.median(told) > PERCENT_FROM else 1.0


def _scaled(quote: OptionQuote, scale: float) -> OptionQuote:
    bid, ask, mark = quote.bid_vol * scale, quote.ask_vol * scale, quote.mark_vol * scale
    return replace(quote, bid_vol=bid, ask_vol=ask if ask > 0.0 else math.nan, mark_vol=mark)

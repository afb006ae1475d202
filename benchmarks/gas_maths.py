"""Gas of the maths libraries, without the cost of calling them, beside the best published figures.

    make bench-gas                                            (or python benchmarks/gas_maths.py)
    python benchmarks/gas_maths.py --save tests/contracts/maths_gas.json

The grid: forward 3000, strikes from half to twice of it, maturities up to a year, vols from 10% to 300%, rates 0 and 5%
half each; means are over maturities of at least a day and |d1| <= 4. Every figure is the gas of a harness call less
that of a harness with the same functions that do nothing, so calldata, dispatch and decoding drop out. Input checks are
included, the compiler is the repository's (through the IR, optimiser runs 200, cancun). The published figures are means
over the same points, at optimiser runs 1,000,000 and with each library's own checks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.pricing import black76
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, to_wad

FORWARD = 3_000.0
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 1.75, 2.0)
MATURITIES = tuple(days * SECONDS_PER_DAY for days in (1, 7, 30, 90, 180, 365))
VOLS = (0.1, 0.3, 0.5, 0.8, 1.5, 3.0)
RATES = (0.0, 0.05)
SLICE = (to_wad(0.0175), to_wad(-0.036), to_wad(0.12))
LEAST_TIME_VALUE = 1e-9

TARGETS = {"call and put": 1_850, "prices and Greeks": 2_050, "slice to prices and Greeks": 2_700, "implied vol": 4_500}
"""Means that the libraries are meant to stay within."""

PUBLISHED = {
    "call and put": "2,500 (a call, DeFiMath)",
    "prices and Greeks": "10,137 (five of them, DeFiMath)",
    "slice to prices and Greeks": "9,235 (SVI, call, put, delta: lyra-utils)",
    "implied vol": "12,917 (DeFiMath; reverts on 140 of 794)",
    "Gaussian.cdf": "604 (DeFiMath)",
    "Gaussian.pdf": "291 (DeFiMath)",
    "ESSVI.impliedVol": "5,136 (SVI, lyra-utils)",
}


def grid() -> Iterator[tuple[float, int, float, float]]:
    """Strike, seconds, vol and rate of each option that counts."""
    for ratio, seconds, vol, rate in itertools.product(RATIOS, MATURITIES, VOLS, RATES):
        deviation = vol * math.sqrt(seconds / SECONDS_PER_YEAR)
        if abs(math.log(ratio) / deviation + deviation / 2) <= 4.0:
            yield FORWARD / ratio, seconds, vol, rate


@dataclass(frozen=True)
class Meter:
    """Measures a library function through its harness, less the same call of the empty harness."""

    maths: Contract
    empty: Contract

    @classmethod
    def of(cls, evm: Evm, harness: str) -> Meter:
        """The meter of a harness and its empty twin."""
        return cls(evm.deploy(harness), evm.deploy(f"Empty{harness}"))

    def gas(self, function: str, *args: Any) -> int:
        """Gas of the function alone."""
        return int(self.maths.send(function, *args).gas_used - self.empty.send(function, *args).gas_used)


def skewed_slice(vol: float, seconds: int) -> tuple[int, int, int]:
    """A slice with this vol at the money and a skew like that of the market."""
    theta = vol * vol * seconds / SECONDS_PER_YEAR
    psi = min(0.8 * math.sqrt(theta), 1.5)
    return to_wad(theta), to_wad(-0.3 * psi), to_wad(psi)


def implied_vols(meter: Meter) -> list[int]:
    """Gas of solving for the vol of every option whose time value is above 1e-9 of spot; none may fail."""
    used = []
    for (strike, seconds, vol, rate), is_call in itertools.product(grid(), (True, False)):
        years, sign = seconds / SECONDS_PER_YEAR, 1.0 if is_call else -1.0
        price = black76.price(FORWARD, strike, years, vol, rate, is_call)
        discount = math.exp(-rate * years)
        if price - discount * max(sign * (FORWARD - strike), 0.0) > LEAST_TIME_VALUE * FORWARD:
            args = (to_wad(price), to_wad(FORWARD), to_wad(strike), seconds, to_wad(rate), is_call)
            used.append(meter.gas("solve", *args))
    return used


def measure(evm: Evm) -> dict[str, list[int]]:
    """Gas of every call, by the name of the row."""
    meter, pricer, greeks = (Meter.of(evm, name) for name in ("MathHarness", "PriceHarness", "GreeksHarness"))
    quoter = Meter.of(evm, "QuoteHarness")
    slicer = Meter.of(evm, "SliceHarness")
    forward = to_wad(FORWARD)
    rows: dict[str, list[int]] = {"call and put": [], "prices and Greeks": [], "prices and Greeks in memory": []}
    rows["slice to prices and Greeks"] = []
    for strike, seconds, vol, rate in grid():
        args = (forward, to_wad(strike), seconds, to_wad(vol), to_wad(rate))
        rows["call and put"].append(pricer.gas("price", *args))
        rows["prices and Greeks"].append(greeks.gas("greeks", *args))
        rows["prices and Greeks in memory"].append(quoter.gas("evaluate", *args))
        surface = skewed_slice(vol, seconds)
        rows["slice to prices and Greeks"].append(
            slicer.gas("onSlice", forward, to_wad(strike), seconds, to_wad(rate), *surface)
        )
    strikes = [to_wad(FORWARD / ratio) for ratio in RATIOS]
    xs = [to_wad(x / 4) for x in range(-16, 17)]
    return rows | {
        "implied vol": implied_vols(Meter.of(evm, "ImpliedVolHarness")),
        "ESSVI.impliedVol": [
            meter.gas("impliedVol", forward, strike, 30 * SECONDS_PER_DAY, *SLICE) for strike in strikes
        ],
        "ESSVI.totalVariance": [meter.gas("totalVariance", x // 4, *SLICE) for x in xs],
        "ESSVI.logMoneyness": [meter.gas("logMoneyness", forward, strike) for strike in strikes],
        "ESSVI.isButterflyFree": [meter.gas("isButterflyFree", *SLICE)],
        "ESSVI.isCalendarFree": [meter.gas("isCalendarFree", *SLICE, *SLICE)],
        "ESSVI.age": [meter.gas("age", *SLICE, SECONDS_PER_DAY, 30 * SECONDS_PER_DAY)],
        "Gaussian.cdf": [meter.gas("cdf", x) for x in xs],
        "Gaussian.pdf": [meter.gas("pdf", x) for x in xs],
    }


def main() -> None:
    """Print the table; with ``--save`` write the means where the test reads them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", type=Path, help="file for the means")
    options = parser.parse_args()
    rows = measure(Evm())
    print(f"{'':30}{'mean':>8}{'worst':>8}{'target':>8}  best published mean")
    for name, gas in rows.items():
        target = f"{TARGETS[name]:8,}" if name in TARGETS else " " * 8
        print(f"{name:30}{mean(gas):8,.0f}{max(gas):8,}{target}  {PUBLISHED.get(name, '')}")
    if options.save:
        options.save.write_text(json.dumps({name: round(mean(gas), 1) for name, gas in rows.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Gas of the maths libraries, without the cost of calling them: mean and worst over a grid of options.

    python benchmarks/gas_maths.py

The grid: forward 3000, strikes from half to twice of it, maturities up to a year, vols from 10% to 300%, rates
0 and 5%; means are over maturities of at least a day and |d1| <= 4. Every figure is the gas of a harness call less that
of a harness with the same functions that do nothing, so calldata, dispatch and decoding drop out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import Any

from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_YEAR, to_wad

FORWARD = 3_000.0
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 1.75, 2.0)
MATURITIES = (SECONDS_PER_HOUR, *(days * SECONDS_PER_DAY for days in (1, 7, 30, 90, 180, 365)))
VOLS = (0.1, 0.3, 0.5, 0.8, 1.5, 3.0)
RATES = (0.0, 0.05)
SLICE = (to_wad(0.0175), to_wad(-0.036), to_wad(0.12))


def grid() -> Iterator[tuple[float, int, float, float]]:
    """Strike, seconds, vol and rate of each option that counts."""
    for ratio, seconds, vol, rate in itertools.product(RATIOS, MATURITIES, VOLS, RATES):
        deviation = vol * math.sqrt(seconds / SECONDS_PER_YEAR)
        if seconds >= SECONDS_PER_DAY and abs(math.log(ratio) / deviation + deviation / 2) <= 4.0:
            yield FORWARD / ratio, seconds, vol, rate


@dataclass(frozen=True)
class Meter:
    """Measures a library function through its harness, less the same call of the empty harness."""

    maths: Contract
    empty: Contract

    def gas(self, function: str, *args: Any) -> int:
        """Gas of the function alone."""
        return int(self.maths.send(function, *args).gas_used - self.empty.send(function, *args).gas_used)


def measure(meter: Meter, pricer: Meter) -> dict[str, list[int]]:
    """Gas of every call, by the name of the row; `pricer` measures the price alone."""
    forward = to_wad(FORWARD)
    quotes: dict[float, list[int]] = {rate: [] for rate in RATES}
    prices: list[int] = []
    strikes = [to_wad(FORWARD / ratio) for ratio in RATIOS]
    for strike, seconds, vol, rate in grid():
        args = (forward, to_wad(strike), seconds, to_wad(vol), to_wad(rate))
        quotes[rate].append(meter.gas("evaluate", *args))
        if rate == 0.0:
            prices.append(pricer.gas("price", *args))
    vols = [meter.gas("impliedVol", forward, strike, 30 * SECONDS_PER_DAY, *SLICE) for strike in strikes]
    xs = [to_wad(x / 4) for x in range(-16, 17)]
    return {
        "BlackScholes.evaluate, rate 0": quotes[0.0],
        "BlackScholes.evaluate, rate 0 and 5% half each": [gas for rate in RATES for gas in quotes[rate]],
        "BlackScholes.price, rate 0": prices,
        "ESSVI.impliedVol": vols,
        "ESSVI.totalVariance": [meter.gas("totalVariance", x // 4, *SLICE) for x in xs],
        "ESSVI.logMoneyness": [meter.gas("logMoneyness", forward, strike) for strike in strikes],
        "ESSVI.isButterflyFree": [meter.gas("isButterflyFree", *SLICE)],
        "ESSVI.isCalendarFree": [meter.gas("isCalendarFree", *SLICE, *SLICE)],
        "ESSVI.age": [meter.gas("age", *SLICE, SECONDS_PER_DAY, 30 * SECONDS_PER_DAY)],
        "Gaussian.cdf": [meter.gas("cdf", x) for x in xs],
        "Gaussian.pdf": [meter.gas("pdf", x) for x in xs],
    }


def main() -> None:
    """Print the table."""
    evm = Evm()
    pricer = Meter(evm.deploy("PriceHarness"), evm.deploy("EmptyPriceHarness"))
    rows = measure(Meter(evm.deploy("MathHarness"), evm.deploy("EmptyMathHarness")), pricer)
    print(f"{'':48}{'mean':>8}{'worst':>8}")
    for name, gas in rows.items():
        print(f"{name:48}{mean(gas):8.0f}{max(gas):8d}")


if __name__ == "__main__":
    main()

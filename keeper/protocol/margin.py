"""Margin of a perpetual position alone, and of perpetuals and options together: the contracts' formulas in float.

Alone, after `PerpMath.sol` and `PerpBook.sol`, under the same names:

    ratio       = min(|q| / K scalar + minRatio, maxRatio)
    initial     = |q| P ratio + fixed
    maintenance = |q| P ratio maintenanceScalar + fixed
    fixed       = minMargin + |q| P (liquidationFee + takerFee) + gas of a liquidation

q in coins, P in USD, ratios as fractions, gas in units and base fee in wei per unit with the index as USD per ether. A
requirement is zero where there is no position. Derivation and sources: docs/perp.md.

Together, after `ScenarioGrid.sol` and `PortfolioMargin.sol`: docs/margin.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.compiled import kernel
from keeper.pricing import black76
from keeper.protocol.options import MAX_VOL, MIN_VOL, payoff
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR

WEI = 1e-18
VOL_TENOR: Final = 30.0 * SECONDS_PER_DAY
LEAST_TENOR: Final = 1.0 * SECONDS_PER_DAY
TENOR_POWER: Final = 0.3
MAX_RATIO: Final = 20.0
"""Forward and strike further apart than this: the option is worth its intrinsic value."""
MIN_FORWARD: Final = 1e-6
MAX_FORWARD: Final = 1e12
SHORT_RESERVE: Final = 0.01
"""Reserve of a short option, whatever its value, as a fraction of the index."""


@dataclass(frozen=True, slots=True)
class Shocks:
    """What the scenarios of portfolio margin assume; all are fractions."""

    spot_range: float
    spot_tail: float
    tail_weight: float
    vol_up: float
    vol_down: float
    initial_factor: float


@dataclass(frozen=True, slots=True)
class OptionPosition:
    """An option as portfolio margin sees it."""

    expiry: int
    size: float  # units, longs positive
    value: float  # of one unit now, USD
    forward: float  # expected settlement price, USD
    strike: float  # USD
    seconds: float  # variance time; 0 from expiry on
    vol: float  # 0 where the option is worth its intrinsic value
    open_share: float  # d forward / d index
    is_call: bool


@kernel
def initial_margin_ratio(size: float, skew_scale: float, scalar: float, min_ratio: float, max_ratio: float) -> float:
    """Initial margin as a fraction of the notional."""
    return min(abs(size) / skew_scale * scalar + min_ratio, max_ratio)


@kernel
def gas_reward(gas_units: float, base_fee: float, price: float) -> float:
    """USD paid back for ``gas_units`` at ``base_fee`` wei per unit."""
    return gas_units * (base_fee * WEI) * price


@kernel
def margins(
    size: float, price: float, ratio: float, maintenance_scalar: float, min_margin: float, liquidation_cost: float
) -> tuple[float, float]:
    """Initial and maintenance margin (USD) of a position.

    ``liquidation_cost`` (USD) is what a liquidation would charge the position: see `liquidation_cost`.
    """
    if size == 0.0:
        return 0.0, 0.0
    notional = abs(size) * price
    fixed = min_margin + liquidation_cost
    return notional * ratio + fixed, notional * ratio * maintenance_scalar + fixed


@kernel
def liquidation_cost(
    size: float, price: float, liquidation_fee: float, taker_fee: float, liquidation_gas: float, max_base_fee: float
) -> float:
    """USD that closing a position by liquidation charges at most: both fees on the notional, and gas."""
    return abs(size) * price * (liquidation_fee + taker_fee) + gas_reward(liquidation_gas, max_base_fee, price)


@kernel
def tenor_factor(seconds: float) -> float:
    """How far the vol of an option with this variance time moves, against one of 30 days: (30 d / T)^0.3, T >= 1 d."""
    return float((VOL_TENOR / max(seconds, LEAST_TENOR)) ** TENOR_POWER)


@kernel
def scenario_value(forward: float, strike: float, seconds: float, vol: float, is_call: bool) -> float:
    """Value (USD) of one unit at a scenario's forward and vol; intrinsic outside Black-Scholes' range or at vol 0."""
    far = forward > strike * MAX_RATIO or strike > forward * MAX_RATIO
    if vol == 0.0 or far or forward < MIN_FORWARD or forward > MAX_FORWARD:
        return payoff(forward, strike, is_call)
    clamped = min(max(vol, MIN_VOL), MAX_VOL)
    return black76.price(forward, strike, seconds / SECONDS_PER_YEAR, clamped, 0.0, is_call)


def scenarios(shocks: Shocks) -> list[tuple[float, float, float]]:
    """The 17 scenarios: index move (fraction), vol move (fraction of a 30-day vol), weight; in the contract's order."""
    moves = [shocks.spot_range * step / 2.0 for step in range(-2, 3)]
    grid = [(move, vol, 1.0) for move in moves for vol in (-shocks.vol_down, 0.0, shocks.vol_up)]
    tails = [(move, shocks.vol_up, shocks.tail_weight) for move in (-shocks.spot_tail, shocks.spot_tail)]
    return grid + tails


def worst_losses(options: Sequence[OptionPosition], coins: float, price: float, shocks: Shocks) -> tuple[float, float]:
    """Largest losses (USD, at least 0) of options and coins together: for maintenance and for initial margin.

    For initial margin every profit and loss counts `initial_factor` times, but a long loses no more than it is worth.
    """
    least = least_initial = 0.0
    for move, vol_move, weight in scenarios(shocks):
        profit = coins * price * move
        spared = 0.0
        for held in options:
            if held.seconds == 0.0:
                continue
            vol = held.vol * (1.0 + vol_move * tenor_factor(held.seconds))
            forward = held.forward + price * held.open_share * move
            change = scenario_value(forward, held.strike, held.seconds, vol, held.is_call) - held.value
            profit += held.size * change
            spared += max(held.size, 0.0) * max(-shocks.initial_factor * change - held.value, 0.0)
        least = min(least, weight * profit)
        least_initial = min(least_initial, weight * (shocks.initial_factor * profit + spared))
    return -least, max(-least_initial, -least)


def option_worth(options: Sequence[OptionPosition]) -> tuple[float, float]:
    """What an account's options count in equity, and their surplus (USD).

    Live options count at mid; of an expired expiry only what shorts owe beyond longs. The surplus is by how much longs
    exceed shorts, summed over the live expiries where they do.
    """
    nets: dict[tuple[int, bool], float] = {}
    for held in options:
        key = held.expiry, held.seconds > 0.0
        nets[key] = nets.get(key, 0.0) + held.size * held.value
    value = sum(net if live else min(net, 0.0) for (_, live), net in nets.items())
    return value, sum(max(net, 0.0) for (_, live), net in nets.items() if live)


def portfolio_margins(
    options: Sequence[OptionPosition], coins: float, price: float, shocks: Shocks, closing: float, perp_reserve: float
) -> tuple[float, float]:
    """Initial and maintenance margin (USD) of a portfolio without orders in flight.

    `closing` (USD) is what closing the options costs, `perp_reserve` (USD) what liquidating each perpetual does.
    """
    loss, initial_loss = worst_losses(options, coins, price, shocks)
    shorts = sum(max(-held.size, 0.0) for held in options if held.seconds > 0.0)
    reserves = closing + shorts * price * SHORT_RESERVE + perp_reserve
    maintenance = loss + reserves
    return max(max(initial_loss, option_worth(options)[1]) + reserves, maintenance), maintenance

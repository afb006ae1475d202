"""`keeper price`: one option, priced by Python, by the contract and, where it is installed, by QuantLib."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from keeper.errors import InputError

GREEKS: Final = ("price", "delta", "gamma", "vega", "theta", "vanna", "volga", "charm")
FIRST: Final = GREEKS[:5]
PRICES: Final = (1e-6, 1e12)
DAYS: Final = (1.0 / 1_440, 1_460.0)
VOLS: Final = (0.01, 5.0)
RATES: Final = (-0.1, 0.5)
SECONDS: Final = 365 * 86_400

Numbers = dict[str, float]


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("price")(price)


def price(
    spot: Annotated[float, typer.Option(help="Price of the underlying, USD.")],
    strike: Annotated[float, typer.Option(help="Strike, USD.")],
    days: Annotated[float, typer.Option(help="Days to expiry.")],
    vol: Annotated[float | None, typer.Option(help="Implied vol, per year: 0.8 is 80%.", show_default=False)] = None,
    value: Annotated[
        float | None, typer.Option("--price", help="Instead of --vol: the option's price, USD.", show_default=False)
    ] = None,
    rate: Annotated[float, typer.Option(help="Rate, per year, continuously compounded.")] = 0.0,
    kind: Annotated[str, typer.Option("--type", help="call or put.")] = "call",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Price an option with all its Greeks, in Python, in the contract and, where installed, in QuantLib.

    Greeks are those of the spot: vega per 1.00 of vol, theta and charm per year. With --price the vol that gives it is
    found first.
    """
    from keeper.commands._output import print_json

    _check(spot, strike, days, vol, value, rate, kind)
    seconds, is_call = round(days * 86_400), kind == "call"
    implied = {} if value is None else _implied(value, spot, strike, seconds, rate, is_call)
    vol = implied.get("python", vol or 0.0)
    terms = (spot, strike, seconds, vol, rate, is_call)
    columns = {"python": _python(*terms), "contract": _contract(*terms)}
    library = _quantlib(*terms)
    if library is not None:
        columns["quantlib"] = library
    if as_json:
        print_json({**columns, **({"implied_vol": implied} if implied else {})})
        return
    print(f"{kind} {strike:g} on {spot:g}, {days:g} days, vol {vol:.2%}, rate {rate:.2%}")
    if implied:
        print("implied vol: " + ", ".join(f"{who} {found:.12f}" for who, found in implied.items()))
    _print_table(columns)


def _check(
    spot: float, strike: float, days: float, vol: float | None, value: float | None, rate: float, kind: str
) -> None:
    if kind not in ("call", "put"):
        raise InputError(f"--type is '{kind}': choose call or put")
    if (vol is None) == (value is None):
        raise InputError("give either --vol or --price: the one is found from the other")
    for name, told, (least, most) in (
        ("--spot", spot, PRICES), ("--strike", strike, PRICES), ("--days", days, DAYS), ("--vol", vol, VOLS),
        ("--price", value, (0.0, PRICES[1])), ("--rate", rate, RATES),
    ):  # fmt: skip
        if told is not None and not least <= told <= most:
            raise InputError(f"{name} is {told:g}: it must be a number from {least:g} to {most:g}")


def _print_table(columns: Mapping[str, Numbers]) -> None:
    """Every number under whoever computed it, and how far from Python's the others are."""
    others = [who for who in columns if who != "python"]
    print(f"{'':8}{'python':>22}" + "".join(f"{who:>22}{'difference':>14}" for who in others))
    for name in GREEKS:
        ours = columns["python"][name]
        cells = [(columns[who][name], columns[who][name] - ours) if name in columns[who] else None for who in others]
        beside = "".join(f"{cell[0]:22.12f}{cell[1]:14.1e}" if cell else f"{'-':>22}{'-':>14}" for cell in cells)
        print(f"{name:8}{ours:22.12f}{beside}")


def _python(spot: float, strike: float, seconds: int, vol: float, rate: float, is_call: bool) -> Numbers:
    from keeper.pricing.black76 import spot_greeks

    return dict(zip(GREEKS, spot_greeks(spot, strike, seconds / SECONDS, vol, rate, is_call), strict=True))


def _contract(spot: float, strike: float, seconds: int, vol: float, rate: float, is_call: bool) -> Numbers:
    """The contract's Greeks of the forward F = S exp(rT) as Greeks of the spot."""
    from keeper.chain.abi import Revert
    from keeper.chain.evm import Evm
    from keeper.units import from_wad, to_wad

    growth = math.exp(rate * seconds / SECONDS)
    forward = spot * growth
    try:
        lens = Evm().deploy("PricingLens")
        quote = lens.call("evaluate", to_wad(forward), to_wad(strike), seconds, to_wad(vol), to_wad(rate))
    except Revert as refusal:
        raise InputError(f"the contract refuses these terms: {refusal}") from None
    call, put, call_delta, put_delta, gamma, vega, call_theta, put_theta = map(from_wad, quote)
    value, delta, theta = (call, call_delta, call_theta) if is_call else (put, put_delta, put_theta)
    greeks = (value, delta * growth, gamma * growth**2, vega, theta - rate * forward * delta)
    return dict(zip(FIRST, greeks, strict=True))


def _quantlib(spot: float, strike: float, seconds: int, vol: float, rate: float, is_call: bool) -> Numbers | None:
    """QuantLib's, or None where it is not installed; it has no vanna, volga and charm of a European option."""
    library = _library()
    if library is None:
        return None
    time = seconds / SECONDS
    payoff = library.PlainVanillaPayoff(library.Option.Call if is_call else library.Option.Put, strike)
    found = library.BlackCalculator(payoff, spot * math.exp(rate * time), vol * math.sqrt(time), math.exp(-rate * time))
    greeks = (found.value(), found.delta(spot), found.gamma(spot), found.vega(time), found.theta(spot, time))
    return dict(zip(FIRST, greeks, strict=True))


def _implied(value: float, spot: float, strike: float, seconds: int, rate: float, is_call: bool) -> Numbers:
    """The vol of a price, from whoever can tell. Raises `InputError` where no vol in range gives the price."""
    from keeper.pricing.black76 import implied_vol

    time = seconds / SECONDS
    forward, discount = spot * math.exp(rate * time), math.exp(-rate * time)
    vol = implied_vol(value, forward, strike, time, rate, is_call)
    if not VOLS[0] <= vol <= VOLS[1]:
        sign = 1.0 if is_call else -1.0
        least, most = discount * max(sign * (forward - strike), 0.0), discount * (forward if is_call else strike)
        raise InputError(
            f"--price is {value:g}: no vol from {VOLS[0]:.0%} to {VOLS[1]:.0%} gives it; without arbitrage the option "
            f"is worth between {least:g} and {most:g}"
        )
    implied = {"python": vol}
    library = _library()
    if library is not None:
        kind = library.Option.Call if is_call else library.Option.Put
        with suppress(RuntimeError):  # its solver gives up on some options far from the money
            deviation = library.blackFormulaImpliedStdDev(kind, strike, forward, value, discount, 0.0, vol, 1e-14, 200)
            implied["quantlib"] = deviation / math.sqrt(time)
    return implied


def _library() -> Any:
    """QuantLib, which is not among our dependencies, or None."""
    try:
        return importlib.import_module("QuantLib")
    except ImportError:
        return None

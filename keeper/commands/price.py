"""`keeper price`: one option, priced by Python and by the contract, side by side."""

from __future__ import annotations

import math
from typing import Annotated, Final

import typer

from keeper.errors import InputError

GREEKS: Final = ("price", "delta", "gamma", "vega", "theta", "vanna", "volga", "charm")
PRICES: Final = (1e-6, 1e12)
DAYS: Final = (1.0 / 1_440, 1_460.0)
VOLS: Final = (0.01, 5.0)
RATES: Final = (-0.1, 0.5)


def add(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("price")(price)


def price(
    spot: Annotated[float, typer.Option(help="Price of the underlying, USD.")],
    strike: Annotated[float, typer.Option(help="Strike, USD.")],
    days: Annotated[float, typer.Option(help="Days to expiry.")],
    vol: Annotated[float, typer.Option(help="Implied vol, per year: 0.8 is 80%.")],
    rate: Annotated[float, typer.Option(help="Rate, per year, continuously compounded.")] = 0.0,
    kind: Annotated[str, typer.Option("--type", help="call or put.")] = "call",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Price an option with all its Greeks, in Python and in the contract.

    Greeks are those of the spot: vega per 1.00 of vol, theta and charm per year.
    """
    from keeper.commands._output import print_json

    if kind not in ("call", "put"):
        raise InputError(f"--type is '{kind}': choose call or put")
    for name, value, (least, most) in (
        ("--spot", spot, PRICES), ("--strike", strike, PRICES), ("--days", days, DAYS), ("--vol", vol, VOLS),
        ("--rate", rate, RATES),
    ):  # fmt: skip
        if not least <= value <= most:
            raise InputError(f"{name} is {value:g}: it must be a number from {least:g} to {most:g}")
    seconds, is_call = round(days * 86_400), kind == "call"
    ours = dict(zip(GREEKS, _python(spot, strike, seconds, vol, rate, is_call), strict=True))
    theirs = dict(zip(GREEKS[:5], _contract(spot, strike, seconds, vol, rate, is_call), strict=True))
    if as_json:
        print_json({"python": ours, "contract": theirs})
        return
    print(f"{kind} {strike:g} on {spot:g}, {days:g} days, vol {vol:.2%}, rate {rate:.2%}")
    print(f"{'':8}{'python':>22}{'contract':>22}{'difference':>14}")
    for name in GREEKS:
        there = theirs.get(name)
        beside = f"{there:22.12f}{there - ours[name]:14.1e}" if there is not None else f"{'-':>22}{'-':>14}"
        print(f"{name:8}{ours[name]:22.12f}{beside}")


def _python(spot: float, strike: float, seconds: int, vol: float, rate: float, is_call: bool) -> tuple[float, ...]:
    from keeper.pricing.black76 import spot_greeks

    return tuple(spot_greeks(spot, strike, seconds / (365 * 86_400), vol, rate, is_call))


def _contract(spot: float, strike: float, seconds: int, vol: float, rate: float, is_call: bool) -> tuple[float, ...]:
    """The contract's Greeks of the forward F = S exp(rT) as Greeks of the spot."""
    from keeper.chain.abi import Revert
    from keeper.chain.evm import Evm
    from keeper.units import from_wad, to_wad

    growth = math.exp(rate * seconds / (365 * 86_400))
    forward = spot * growth
    try:
        lens = Evm().deploy("PricingLens")
        quote = lens.call("evaluate", to_wad(forward), to_wad(strike), seconds, to_wad(vol), to_wad(rate))
    except Revert as refusal:
        raise InputError(f"the contract refuses these terms: {refusal}") from None
    call, put, call_delta, put_delta, gamma, vega, call_theta, put_theta = map(from_wad, quote)
    value, delta, theta = (call, call_delta, call_theta) if is_call else (put, put_delta, put_theta)
    return value, delta * growth, gamma * growth**2, vega, theta - rate * forward * delta

"""`keeper simulate`: Monte Carlo of a hedged option, answering the textbook questions."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from typing import Annotated, Any

import typer

from keeper.commands._output import print_json
from keeper.errors import InputError
from keeper.telemetry import step
from keeper.units import SECONDS_PER_DAY

MODELS = ("gbm",)
MOST_PATHS = 1_000_000_000
_PATIENCE = 1.0  # seconds between two words about progress


def add_simulate(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("simulate")(simulate)


def simulate(
    model: Annotated[str, typer.Option(help="Price model: gbm.")] = "gbm",
    spot: Annotated[float, typer.Option(help="Price of the underlying now.")] = 100.0,
    strike: Annotated[float | None, typer.Option(help="Strike.", show_default="the spot")] = None,
    rate: Annotated[float, typer.Option(help="Rate at which cash and the underlying are financed, per year.")] = 0.0,
    drift: Annotated[
        float | None, typer.Option(help="Drift of the underlying, per year.", show_default="the rate")
    ] = None,
    realised_vol: Annotated[float, typer.Option(help="Vol that the underlying realises, per year.")] = 0.2,
    implied_vol: Annotated[
        float | None,
        typer.Option(help="Vol at which the option is traded and marked.", show_default="realised"),
    ] = None,
    hedge_vol: Annotated[float | None, typer.Option(help="Vol of the hedge's delta.", show_default="implied")] = None,
    days: Annotated[float, typer.Option(help="Days to expiry.")] = 30.0,
    kind: Annotated[str, typer.Option("--type", help="call, put or constant-cash-gamma.")] = "call",
    position: Annotated[float, typer.Option(help="Options held: +1 buys one, -1 sells one.")] = -1.0,
    policy: Annotated[str, typer.Option(help="none, fixed-time, fixed-band or whalley-wilmott.")] = "fixed-time",
    every: Annotated[str, typer.Option(help="How often the policy looks: 30s, 5m, 1h, 7d.")] = "1d",
    half_width: Annotated[float, typer.Option(help="fixed-band: coins on each side of the target.")] = 0.0,
    to_centre: Annotated[
        bool, typer.Option("--to-centre", help="fixed-band: trade to the target, not to the nearest edge.")
    ] = False,
    risk_aversion: Annotated[float, typer.Option(help="whalley-wilmott: absolute risk aversion, 1/$.")] = 0.1,
    fee_bps: Annotated[float, typer.Option(help="Fee, basis points of notional one way.")] = 0.0,
    slippage_bps: Annotated[float, typer.Option(help="Fill against mid, basis points of notional one way.")] = 0.0,
    gas_usd: Annotated[float, typer.Option(help="Gas per hedge, in currency.")] = 0.0,
    latency: Annotated[str, typer.Option(help="From a decision to its fill: 0s, 12s, 5m.")] = "0s",
    paths: Annotated[int, typer.Option(help="Paths.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed: the same seed gives the same numbers.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads; the result does not depend on them.", show_default="all"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hedge an option along random paths: its P&L, what hedging costs, and where the money comes from."""
    from keeper.hedging.policies import Policy
    from keeper.simulation import simulate as engine
    from keeper.simulation.book import Payoff
    from keeper.simulation.durations import parse_duration

    if model not in MODELS:
        raise InputError(f"unknown model '{model}': choose one of {', '.join(MODELS)}")
    if not (math.isfinite(days) and days > 0.0):
        raise InputError(f"days is {days}: it must be a positive number")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: it must be at least 1")
    if paths > MOST_PATHS:
        raise InputError(f"--paths is {paths:,}: at most {MOST_PATHS:,}")
    if implied_vol is None and not realised_vol > 0.0:
        raise InputError(
            f"--realised-vol is {realised_vol:g}: the option is priced with it unless --implied-vol is given"
        )
    implied = realised_vol if implied_vol is None else implied_vol
    config = engine.SimulateConfig(
        spot=spot,
        strike=spot if strike is None else strike,
        rate=rate,
        drift=rate if drift is None else drift,
        realised_vol=realised_vol,
        implied_vol=implied,
        hedge_vol=implied if hedge_vol is None else hedge_vol,
        expiry=days * SECONDS_PER_DAY,
        payoff=Payoff.parse(kind),
        position=position,
        policy=Policy.parse(policy),
        every=parse_duration(every),
        half_width=half_width,
        to_centre=to_centre,
        risk_aversion=risk_aversion,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
        gas_usd=gas_usd,
        latency=parse_duration(latency),
        paths=paths,
        seed=seed,
    )
    with step("loading the compiled simulator"):
        engine.simulate(dataclasses.replace(config, every=config.expiry, paths=2))
    result = engine.simulate(config, threads=threads, progress=_Progress())
    summary = dataclasses.asdict(result)
    del summary["table"]
    if as_json:
        print_json(summary)
    else:
        print(_report(config, summary))


class _Progress:
    """Says on stderr how far a long run has come; a short one stays silent."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._next = self._started + _PATIENCE
        self._spoke = False

    def __call__(self, share: float) -> None:
        now = time.perf_counter()
        terminal = sys.stderr.isatty()
        if share >= 1.0:
            if self._spoke and terminal:
                print(file=sys.stderr)
        elif now >= self._next:
            left = (now - self._started) * (1.0 - share) / share
            start, end = ("\r", "") if terminal else ("", "\n")
            print(f"{start}simulating: {share:4.0%}, {left:.0f} s left ", end=end, file=sys.stderr, flush=True)
            self._spoke = True
            self._next = now + (_PATIENCE if terminal else 10.0 * _PATIENCE)


def _report(config: Any, summary: dict[str, Any]) -> str:
    """The result for a reader."""
    pnl = summary["pnl"]
    side = "long" if config.position > 0.0 else "short"
    share = f"  ({pnl['std'] / summary['premium']:.2%} of the premium)" if summary["premium"] > 0.0 else ""
    lines = [
        f"{side} {abs(config.position):g} {config.payoff.label}, {config.policy.label} hedge, "
        f"{summary['paths']:,} paths of {summary['steps']:,} steps, seed {summary['seed']}, {summary['seconds']:.1f} s",
        "",
        f"  premium          {summary['premium']:12.6f}",
        f"  P&L mean         {pnl['mean']:12.6f}  (standard error {pnl['stderr']:.6f})",
        f"  P&L std          {pnl['std']:12.6f}{share}",
        f"  P&L 5/50/95 %    {pnl['p05']:12.6f}  {pnl['p50']:.6f}  {pnl['p95']:.6f}",
        f"  CVaR 95 %        {pnl['cvar95']:12.6f}",
        f"  hedges a path    {summary['hedges_per_path']:12.2f}",
        f"  turnover a path  {summary['turnover']:12.4f}",
        "",
        "  where the mean comes from",
        *(f"    {name:14} {value:12.6f}" for name, value in summary["attribution"].items()),
        f"    {'sum':14} {pnl['mean']:12.6f}",
    ]
    return "\n".join(lines)

"""The simulator's accounts, schedule, randomness and command; its numbers are checked in tests/truths."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from keeper.commands.simulate import add_simulate
from keeper.errors import InputError
from keeper.hedging.policies import Policy
from keeper.market.gbm import price_paths
from keeper.market.sampling import normals
from keeper.pricing.black76 import spot_greeks
from keeper.simulation.book import Payoff, contract_greeks
from keeper.simulation.durations import format_duration, parse_duration
from keeper.simulation.schedule import build_schedule
from keeper.simulation.simulate import Distribution, SimulateConfig, replay, simulate
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR

DAY = float(SECONDS_PER_DAY)


def sold_call(**changes: object) -> SimulateConfig:
    """A sold monthly call with every cost switched on."""
    config = SimulateConfig(
        spot=2000.0, strike=2100.0, rate=0.05, drift=0.1, realised_vol=0.7, implied_vol=0.8, hedge_vol=0.75,
        expiry=30 * DAY, every=DAY / 2, fee_bps=5.0, slippage_bps=3.0, gas_usd=0.02, latency=3600.0, paths=2000,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


# Accounts


@pytest.mark.parametrize("payoff", list(Payoff))
@pytest.mark.parametrize("policy", list(Policy))
def test_attribution_sums_to_the_mean_pnl_and_leaves_little_unexplained(payoff: Payoff, policy: Policy) -> None:
    result = simulate(sold_call(payoff=payoff, policy=policy, half_width=0.05, risk_aversion=1e-3))
    parts = result.attribution
    gross = sum(abs(part) for part in parts.values())
    assert math.fsum(parts.values()) == pytest.approx(result.pnl.mean, abs=1e-9 * gross)
    assert abs(parts["unexplained"]) < 0.01 * gross
    assert {name: -parts[name] for name in result.costs} == result.costs


def test_ledger_of_one_path_is_the_sum_of_its_trades_by_hand() -> None:
    prices = np.array([100.0, 108.0, 95.0, 99.0, 112.0])
    config = SimulateConfig(
        100.0, 100.0, 0.1, 0.0, 0.5, 0.5, 0.5, expiry=4 * DAY, every=DAY, position=-2.0, fee_bps=10.0,
        slippage_bps=20.0, gas_usd=0.25,
    )  # fmt: skip
    table, positions = replay(config, prices)
    pnl = 2.0 * spot_greeks(100.0, 100.0, 4 / 365, 0.5, 0.1, True)[0]
    held = fees = 0.0
    for day, price in enumerate(prices[:4]):
        discount = math.exp(-0.1 * day / 365)
        target = 2.0 * spot_greeks(price, 100.0, (4 - day) / 365, 0.5, 0.1, True)[1]
        assert positions[day, 0] == pytest.approx(target, rel=1e-14)
        pnl -= discount * ((target - held) * price + 0.003 * abs(target - held) * price + 0.25)
        fees += discount * 0.001 * abs(target - held) * price
        held = target
    pnl += math.exp(-0.1 * 4 / 365) * (held * 112.0 - 2.0 * 12.0)
    assert table["pnl"][0] == pytest.approx(pnl, rel=1e-12)
    assert table["fees"][0] == pytest.approx(fees, rel=1e-12)
    assert table["slippage"][0] == pytest.approx(2 * fees, rel=1e-12)
    assert table["hedges"][0] == 4.0


def test_buyer_and_seller_without_costs_earn_opposite_amounts_on_each_path() -> None:
    free = sold_call(fee_bps=0.0, slippage_bps=0.0, gas_usd=0.0)
    sold = simulate(free, keep_paths=True).table["pnl"]
    bought = simulate(dataclasses.replace(free, position=1.0), keep_paths=True).table["pnl"]
    assert sold == pytest.approx(-bought, abs=1e-9)


def test_unhedged_option_earns_premium_less_discounted_payoff() -> None:
    config = sold_call(policy=Policy.NONE, drift=0.05, realised_vol=0.8, paths=200_000, attribute=False)
    result = simulate(config)
    assert result.hedges_per_path == result.turnover == result.costs["gas"] == 0.0
    assert abs(result.pnl.mean) < 3 * result.pnl.stderr
    assert result.pnl.p95 == pytest.approx(result.premium, rel=1e-12)


def test_put_and_call_hedged_alike_earn_the_same_by_parity() -> None:
    config = sold_call(fee_bps=0.0, slippage_bps=0.0, gas_usd=0.0, latency=0.0)
    call = simulate(config, keep_paths=True).table["pnl"]
    put = simulate(dataclasses.replace(config, payoff=Payoff.PUT), keep_paths=True).table["pnl"]
    assert call == pytest.approx(put, abs=1e-8)


def test_constant_cash_gamma_book_solves_the_pricing_equation() -> None:
    spot, strike, years, vol, rate = 117.0, 100.0, 0.4, 0.6, 0.07
    value, delta, gamma, theta, charm = contract_greeks(int(Payoff.CONSTANT_CASH_GAMMA), spot, strike, years, vol, rate)
    assert theta + rate * spot * delta + 0.5 * vol**2 * spot**2 * gamma == pytest.approx(rate * value, rel=1e-12)
    assert gamma * spot**2 == pytest.approx(strike * math.exp(-rate * years), rel=1e-14)
    step = 1e-4
    bumped = [
        contract_greeks(int(Payoff.CONSTANT_CASH_GAMMA), spot + up, strike, years - later, vol, rate)
        for up, later in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step))
    ]
    assert (bumped[0][0] - bumped[1][0]) / (2 * step) == pytest.approx(delta, rel=1e-7)
    assert (bumped[0][1] - bumped[1][1]) / (2 * step) == pytest.approx(gamma, rel=1e-7)
    assert (bumped[2][0] - bumped[3][0]) / (2 * step) == pytest.approx(theta, rel=1e-6)
    assert (bumped[2][1] - bumped[3][1]) / (2 * step) == pytest.approx(charm, rel=1e-6)
    expired = contract_greeks(int(Payoff.CONSTANT_CASH_GAMMA), spot, strike, 0.0, vol, rate)
    assert expired[0] == pytest.approx(spot - strike - strike * math.log(spot / strike), rel=1e-14)


def test_policy_cost_is_the_fee_and_slippage_that_trades_pay() -> None:
    wide = sold_call(policy=Policy.WHALLEY_WILMOTT, risk_aversion=1e-3)
    narrow = dataclasses.replace(wide, fee_bps=0.0, slippage_bps=0.0)
    assert wide.rule.cost == pytest.approx(8e-4)
    assert narrow.rule.cost == 0.0
    assert simulate(wide).turnover < 0.5 * simulate(narrow).turnover


# Schedule and latency


def test_schedule_without_latency_looks_at_every_multiple_before_expiry() -> None:
    schedule = build_schedule(10.0, 3.0, 0.0)
    assert schedule.times * SECONDS_PER_YEAR == pytest.approx([0.0, 3.0, 6.0, 9.0, 10.0])
    assert schedule.looks.tolist() == [0, 1, 2, 3, -1]
    assert schedule.fills.tolist() == [-1] * 5


def test_schedule_never_looks_at_expiry_itself() -> None:
    week = 20 / 52 * SECONDS_PER_YEAR / 20
    assert build_schedule(20 * week, week, 0.0).steps == 20


def test_schedule_fills_between_looks_when_latency_is_no_multiple() -> None:
    schedule = build_schedule(10.0, 3.0, 4.0)
    assert schedule.times * SECONDS_PER_YEAR == pytest.approx([0.0, 3.0, 6.0, 7.0, 9.0, 10.0])
    assert schedule.looks.tolist() == [0, 1, 2, -1, 3, -1]
    assert schedule.fills.tolist() == [-1, -1, -1, 1, -1, -1]  # looks 2 and 3 would fill at and after expiry


def test_schedule_fills_at_a_later_look_when_latency_is_a_multiple() -> None:
    schedule = build_schedule(1.0, 0.1, 0.3)
    assert schedule.steps == 10
    assert schedule.fills.tolist() == [-1, -1, -1, -1, 1, 2, 3, 4, 5, 6, -1]


def test_latency_fills_the_decision_of_an_earlier_price() -> None:
    prices = np.array([100.0, 104.0, 90.0, 97.0, 120.0, 121.0, 103.0])
    config = SimulateConfig(
        100.0, 100.0, 0.0, 0.0, 0.6, 0.6, 0.6, expiry=4 * DAY, every=DAY, latency=DAY / 2, position=-1.0
    )
    times = config.schedule.times * 365
    assert times == pytest.approx([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
    _, positions = replay(config, np.insert(prices, 7, 110.0))
    deltas = [spot_greeks(prices[event], 100.0, (4 - times[event]) / 365, 0.6, 0.0, True)[1] for event in (0, 1, 3, 5)]
    held = [deltas[0], deltas[0], deltas[1], deltas[1], deltas[2], deltas[2], deltas[3]]
    assert positions[:, 0] == pytest.approx(held, rel=1e-13)


def test_latency_longer_than_the_interval_counts_orders_in_flight() -> None:
    config = SimulateConfig(100.0, 100.0, 0.0, 0.0, 0.6, 0.6, 0.6, expiry=6 * DAY, every=DAY, latency=2.5 * DAY)
    prices = np.linspace(100.0, 120.0, config.schedule.times.size)
    _, positions = replay(config, prices)
    deltas = [
        spot_greeks(price, 100.0, 6 / 365 - time, 0.6, 0.0, True)[1]
        for price, time, look in zip(prices, config.schedule.times, config.schedule.looks, strict=True)
        if look >= 0
    ]
    filled = [fill for fill in config.schedule.fills[:-1] if fill >= 0]
    assert filled == [1, 2, 3]
    assert positions[-1, 0] == pytest.approx(deltas[3], rel=1e-13)  # nothing was ordered twice


# Randomness


def test_result_does_not_depend_on_threads() -> None:
    config = sold_call(paths=30_000)
    one, four = (dataclasses.asdict(simulate(config, threads=threads)) for threads in (1, 4))
    del one["seconds"], four["seconds"]
    assert one == four


def test_seed_decides_the_numbers() -> None:
    first, again, other = (simulate(sold_call(seed=seed)).pnl for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_chunks_draw_from_streams_of_their_own() -> None:
    config = sold_call(paths=20_000)
    pnl = simulate(config, keep_paths=True).table["pnl"]
    assert len(set(pnl.tolist())) == 20_000


@pytest.mark.parametrize("sampling", ["random", "stratified"])
def test_price_paths_have_the_moments_of_geometric_brownian_motion(sampling: str) -> None:
    times = np.array([0.0, 0.1, 0.5, 1.0])
    prices = price_paths(np.random.default_rng(1), 200_000, times, 50.0, 0.1, 0.3, sampling)  # type: ignore[arg-type]
    assert (prices[0] == 50.0).all()
    returns = np.diff(np.log(prices), axis=0) / np.sqrt(np.diff(times))[:, None]
    assert returns.std(axis=1) == pytest.approx([0.3] * 3, rel=0.01)
    assert prices.mean(axis=1) == pytest.approx(50.0 * np.exp(0.1 * times), rel=0.004)
    assert np.corrcoef(returns) == pytest.approx(np.eye(3), abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 500), st.integers(1, 5), st.integers(0, 2**31))
def test_stratified_draws_put_one_path_in_each_slice(paths: int, steps: int, seed: int) -> None:
    from scipy.special import ndtr

    draws = normals(np.random.default_rng(seed), steps, paths, "stratified")
    slices = np.floor(np.clip(ndtr(draws) * paths, 0, paths - 0.5) + 1e-9).astype(int)
    assert (np.sort(slices, axis=1) == np.arange(paths)).mean() > 0.99


def test_distribution_of_known_values() -> None:
    distribution = Distribution.of(np.arange(1.0, 101.0) - 50.0)
    assert distribution.mean == pytest.approx(0.5)
    assert distribution.std == pytest.approx(np.std(np.arange(100), ddof=1))
    assert distribution.stderr == pytest.approx(distribution.std / 10)
    assert distribution.p50 == pytest.approx(0.5)
    assert distribution.cvar95 == pytest.approx(47.0)  # the worst five are -49 to -45


# Bad input


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("spot", -1.0, "spot is -1.0"),
        ("strike", 0.0, "strike is 0.0"),
        ("implied_vol", 0.0, "implied_vol is 0.0"),
        ("realised_vol", math.nan, "realised_vol is nan"),
        ("rate", math.inf, "rate is inf"),
        ("every", 0.0, "every is 0.0"),
        ("latency", -1.0, "latency is -1.0"),
        ("fee_bps", -1.0, "fee_bps is -1.0"),
        ("fee_bps", 10_000.0, "below 10000"),
        ("paths", 0, "paths is 0"),
        ("seed", -1, "seed is -1"),
        ("sampling", "lucky", "unknown sampling 'lucky'"),
        ("policy", Policy.FIXED_BAND, "half_width is 0.0"),
    ],
)
def test_bad_value_is_refused_with_the_value(field: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sold_call(**{field: value})


def test_too_many_looks_are_refused() -> None:
    with pytest.raises(InputError, match="look less often"):
        simulate(sold_call(every=0.1))


@pytest.mark.parametrize("prices", [np.ones(5), np.array([100.0, math.nan] * 60), np.array([100.0, 0.0] * 60)])
def test_replay_refuses_bad_prices(prices: np.ndarray) -> None:
    with pytest.raises(InputError):
        replay(sold_call(), prices)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ("5m", 300.0), ("1.5h", 5400.0), ("7d", 604_800.0)])
def test_durations_take_four_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "7", "7w", "-1d", "1h30m", "h", "nan s", "1e3s"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a duration"):
        parse_duration(text)


# The command

APP = typer.Typer()
add_simulate(APP)


@APP.callback()
def root() -> None:
    """Makes `simulate` a subcommand."""


HULL = (
    "simulate --model gbm --spot 49 --strike 50 --rate 0.05 --drift 0.13 --realised-vol 0.2 --implied-vol 0.2 "
    "--days 140 --type call --position -1 --policy fixed-time --every 7d --paths 100000 --seed 1 --json"
)


def test_command_prints_one_json_object_with_the_promised_keys() -> None:
    run = CliRunner().invoke(APP, HULL.split())
    assert run.exit_code == 0, run.output
    answer = json.loads(run.stdout)
    assert list(answer) == [
        "premium", "pnl", "hedges_per_path", "turnover", "costs", "attribution", "paths", "steps", "seconds", "seed",
    ]  # fmt: skip
    assert list(answer["pnl"]) == ["mean", "std", "stderr", "p05", "p50", "p95", "cvar95"]
    assert set(answer["costs"]) == {"fees", "slippage", "funding", "gas"}
    assert set(answer["attribution"]) == {
        "delta", "gamma", "theta", "vega", "vanna", "volga", "funding", "fees", "slippage", "gas", "unexplained",
    }  # fmt: skip
    assert answer["pnl"]["std"] / answer["premium"] == pytest.approx(0.1923, abs=0.003)
    assert (answer["paths"], answer["steps"], answer["seed"]) == (100_000, 20, 1)


def test_command_without_options_reports_for_a_reader() -> None:
    run = CliRunner().invoke(APP, ["simulate", "--paths", "100"])
    assert run.exit_code == 0, run.output
    assert "short 1 call, fixed-time hedge, 100 paths of 30 steps" in run.stdout
    assert "unexplained" in run.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--spot -3", "spot is -3.0"),
        ("--policy hope", "unknown policy 'hope'"),
        ("--model heston", "unknown model 'heston'"),
        ("--type swap", "unknown type 'swap'"),
        ("--every 0s", "every is 0.0"),
        ("--every 7", "'7' is not a duration"),
        ("--days nan", "days is nan"),
        ("--days -1", "days is -1.0"),
        ("--realised-vol 1e4", "prices left the range of numbers"),
        ("--paths 0", "paths is 0"),
        ("--threads 0", "threads is 0"),
        ("--policy fixed-band", "half_width is 0.0"),
    ],
)
def test_command_refuses_bad_options_in_one_line(options: str, message: str) -> None:
    run = CliRunner().invoke(APP, ["simulate", *options.split()])
    assert isinstance(run.exception, InputError)
    assert message in str(run.exception)
    assert "\n" not in str(run.exception)
    assert run.stdout == ""

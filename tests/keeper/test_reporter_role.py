"""Independent reporters on the in-process EVM: three opinions, three keys, one carrier; one may lie or be silent."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from keeper import cli
from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.deploy_config import NO_ADDRESS, SurfaceLimits, as_tuple, price_limits, price_sources
from keeper.chain.deployment import Deployment
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, SignedReport, is_genuine, sign
from keeper.chain.standing import ReporterStanding
from keeper.data.option_chain import load_chain
from keeper.errors import InputError
from keeper.execution.transactions import GAS_LIMITS, Signer
from keeper.market.surface import slice_for
from keeper.pricing import essvi
from keeper.pricing.essvi_fit import Slice
from keeper.pricing.repair import broken_condition
from keeper.protocol.realized import RealizedSettings
from keeper.roles.reporter import ROUNDS_A_POKE, Reporter, ReporterConfig
from keeper.roles.reporting import ReporterNode, smile, worth_carrying
from keeper.roles.sources import ChainMarket, MarketSource, NoisyMarket
from keeper.state.decision import Call, Order, OrderResult, OrderStatus
from keeper.units import SECONDS_PER_YEAR, WAD

DAY = 86_400
NAMES = ("reporter-1", "reporter-2", "reporter-3")
KEYS = [Signer(accounts.key_of(name)) for name in NAMES]
SOON = ReporterConfig(price_heartbeat=60, vol_heartbeat=600, tenor=7 * DAY, realised_heartbeat=300)


@dataclass
class Market:
    """A price and a vol that the test sets."""

    spot: float = 2_000.0
    vol: float = 0.8

    def price(self, now: int) -> float:
        return self.spot

    def slice(self, now: int, expiry: int) -> Slice:
        return slice_for(self.vol, (expiry - now) / SECONDS_PER_YEAR)


class Silent(Market):
    """A source that is down."""

    def price(self, now: int) -> float:
        raise InputError("no connection")

    def slice(self, now: int, expiry: int) -> Slice:
        raise InputError("no connection")


@dataclass(frozen=True)
class Liar(ReporterNode):
    """A reporter that signs what it likes, whatever it sees."""

    lie: Callable[[Report], Report] = lambda report: report

    def survey(self, now: int, expiries: Sequence[int]) -> dict[int, Slice]:
        return {expiry: slice_for(3.0, (expiry - now) / SECONDS_PER_YEAR) for expiry in expiries}

    def sign(self, now: int, expiry: int, seen: Slice, chain_id: int, feed: str) -> list[SignedReport]:
        report = self.lie(Report.of(expiry, now, *seen))
        return [sign(report, signer.key, chain_id, feed) for signer in self.signers]


@dataclass
class Sender:
    """An executor that carries everything out at once, in the block of the moment."""

    evm: Evm
    contracts: dict[str, Contract]
    results: list[tuple[Order, OrderResult]] = field(default_factory=list)

    async def submit(self, order: Order) -> OrderResult:
        status, error = OrderStatus.CONFIRMED, ""
        try:
            sender = self.evm.account(order.role)
            self.contracts[order.to].send(order.function, *order.arguments, sender=sender)
        except Revert as refusal:
            status, error = OrderStatus.REVERTED, str(refusal)
        result = OrderResult(order.key, status, "", self.evm.block_number, self.evm.timestamp, 0, 0, error)
        self.results.append((order, result))
        return result

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return ()

    def count(self, call: Call) -> int:
        return sum(order.call is call for order, _ in self.results)

    def failures(self) -> list[str]:
        return [f"{order.key}: {result.error}" for order, result in self.results if result.error]


class Oracles:
    """The three oracles with three reporters, and a reporter role over them."""

    def __init__(self, quorum: int = 2, exclusion: int = DAY) -> None:
        self.evm = Evm()
        admin = self.evm.account("admin")
        limits = as_tuple(SurfaceLimits(exclusion=exclusion))
        self.prices = self.evm.deploy("PriceFeed", admin, price_sources(), price_limits(300))
        self.surface = self.evm.deploy("VolatilityFeed", admin, 3_600, quorum, NO_ADDRESS, limits)
        for feed, names in ((self.prices, NAMES[:1]), (self.surface, NAMES)):
            for name in names:
                feed.send("grantRole", feed.call("REPORTER"), accounts.address_of(name), sender=admin)
        self.realised = self.evm.deploy("RealizedVolatility", self.prices.address, as_tuple(RealizedSettings()))
        named = {"PriceFeed": self.prices, "VolatilityFeed": self.surface, "RealizedVolatility": self.realised}
        addresses = {name: contract.address for name, contract in named.items()}
        self.deployment = Deployment(self.evm.chain_id, 0, addresses, {}, {}, {})
        self.sender = Sender(self.evm, {contract.address: contract for contract in named.values()})

    def reporter(self, nodes: Sequence[ReporterNode], config: ReporterConfig = SOON) -> Reporter:
        standing = ReporterStanding(self.evm, self.deployment)
        grid = replace(config, grid_start=self.evm.timestamp)
        return Reporter(
            nodes[0].source, self.sender, self.deployment, KEYS, grid, nodes=nodes, standing=standing
        )

    def tick(self, reporter: Reporter, seconds: int) -> None:
        self.evm.advance(seconds)
        asyncio.run(reporter.on_time(self.evm.timestamp))

    def vols(self) -> list[float]:
        """At-the-money vols of what is stored."""
        now, found = self.evm.timestamp, []
        for expiry in self.surface.call("expiries"):
            theta = self.surface.call("slice", expiry)[0] / WAD
            found.append(math.sqrt(theta / ((expiry - now) / SECONDS_PER_YEAR)))
        return found

    def is_admissible(self) -> bool:
        expiries = self.surface.call("expiries")
        slices = [[part / WAD for part in self.surface.call("slice", expiry)[:3]] for expiry in expiries]
        return all(essvi.butterfly_ok(*each) for each in slices) and essvi.calendar_ok(*slices[0], *slices[1])


def honest(market: MarketSource, noise: float = 0.004) -> list[ReporterNode]:
    """Three reporters, each with an eye and a key of its own."""
    return [
        ReporterNode(NoisyMarket(market, seed, noise / 10, noise), [key], name)
        for seed, (key, name) in enumerate(zip(KEYS, NAMES, strict=True))
    ]


def follow(oracles: Oracles, nodes: Sequence[ReporterNode], market: Market, hours: int = 3) -> None:
    """Vol climbs by a third; the reporters are asked every ten minutes."""
    reporter = oracles.reporter(nodes)
    for step in range(6 * hours):
        market.vol = 0.6 * (1.0 + 0.01 * min(step, 30))
        market.spot = 2_000.0 * (1.0 + 0.002 * (step % 3))
        oracles.tick(reporter, 600)
        assert oracles.is_admissible()


def test_three_honest_reporters_with_noise_of_their_own_move_the_surface() -> None:
    oracles, market = Oracles(quorum=3), Market()
    follow(oracles, honest(market), market)
    assert oracles.sender.failures() == []
    assert oracles.vols() == pytest.approx([market.vol] * 2, rel=0.01)
    signed = [order.arguments[0] for order, _ in oracles.sender.results if order.call is Call.SUBMIT_VOLATILITY]
    assert {len(reports) for reports in signed} == {3}  # type: ignore[arg-type]
    assert all(len({report[2] for report in reports}) == 3 for reports in signed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_with_one_silent_the_surface_and_the_price_still_move_right(place: int) -> None:
    oracles, market = Oracles(quorum=2), Market()
    nodes = honest(market)
    nodes[place] = replace(nodes[place], source=Silent())
    follow(oracles, nodes, market)
    assert oracles.sender.failures() == []
    assert oracles.vols() == pytest.approx([market.vol] * 2, rel=0.01)
    assert oracles.prices.call("peek")[0] / WAD == pytest.approx(market.spot, rel=0.002)


LIES: dict[str, Callable[[Report], Report]] = {
    "too high": lambda report: report,
    "too low": lambda report: replace(report, theta=report.theta // 100, psi=report.psi // 100),
    "other skew": lambda report: replace(report, rho=99 * WAD // 100),
    "out of range": lambda report: replace(report, theta=10**30),
    "rho of one": lambda report: replace(report, rho=WAD),
    "from the future": lambda report: replace(report, timestamp=report.timestamp + 1_000),
    "another expiry": lambda report: replace(report, expiry=report.expiry + 1),
    "nothing": lambda report: replace(report, theta=0),
}


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("lie", LIES)
def test_with_one_lying_the_surface_still_moves_right(lie: str, place: int) -> None:
    oracles, market = Oracles(quorum=2), Market()
    nodes: list[ReporterNode] = honest(market)
    nodes[place] = Liar(market, [KEYS[place]], NAMES[place], LIES[lie])
    follow(oracles, nodes, market)
    assert oracles.sender.failures() == []
    assert oracles.vols() == pytest.approx([market.vol] * 2, rel=0.015)


def test_a_reporter_that_the_feed_excludes_is_left_behind() -> None:
    oracles, market = Oracles(quorum=2), Market()
    nodes: list[ReporterNode] = honest(market)
    nodes[1] = Liar(market, [KEYS[1]], NAMES[1])
    follow(oracles, nodes, market, hours=6)
    barred = asyncio.run(ReporterStanding(oracles.evm, oracles.deployment).barred(oracles.evm.timestamp))
    assert barred == {accounts.address_of(NAMES[1])}
    assert oracles.sender.failures() == []
    last = [order for order, _ in oracles.sender.results if order.call is Call.SUBMIT_VOLATILITY][-1]
    assert len(last.arguments[0]) == 2  # type: ignore[arg-type]


def test_below_the_quorum_nothing_is_submitted(caplog: pytest.LogCaptureFixture) -> None:
    oracles, market = Oracles(quorum=3), Market()
    nodes = honest(market)
    nodes[2] = replace(nodes[2], source=Silent())
    oracles.tick(oracles.reporter(nodes), 12)
    assert oracles.sender.count(Call.SUBMIT_VOLATILITY) == 0
    assert "only 2 reporters speak" in caplog.text
    assert "reporter-3 is silent: no connection" in caplog.text


def test_with_all_silent_nothing_is_sent_but_the_poke() -> None:
    oracles = Oracles()
    nodes = [ReporterNode(Silent(), [key], name) for key, name in zip(KEYS, NAMES, strict=True)]
    oracles.tick(oracles.reporter(nodes), 12)
    assert {order.call for order, _ in oracles.sender.results} == {Call.POKE_VOLATILITY}


# realised vol


def test_realised_vol_is_poked_on_heartbeat_deviation_and_count() -> None:
    oracles, market = Oracles(), Market()
    reporter = oracles.reporter([ReporterNode(market, KEYS)], replace(SOON, price_heartbeat=5))
    pokes = []
    for seconds, move in ((12, 1.0), (200, 1.0), (100, 1.0), (12, 1.0099), (12, 1.002), (12, 1.0)):
        market.spot *= move
        before = oracles.sender.count(Call.POKE_VOLATILITY)
        oracles.tick(reporter, seconds)
        pokes.append(oracles.sender.count(Call.POKE_VOLATILITY) - before)
    assert pokes == [1, 0, 1, 0, 1, 0]
    before = oracles.sender.count(Call.POKE_VOLATILITY)
    for _ in range(ROUNDS_A_POKE):
        oracles.tick(reporter, 5)
    assert oracles.sender.count(Call.POKE_VOLATILITY) == before + 1
    assert oracles.sender.failures() == []


def test_the_poked_contract_follows_the_prices() -> None:
    """Steady moves of one part in a hundred an hour each way are 93.6% a year."""
    oracles, market = Oracles(), Market()
    reporter = oracles.reporter([ReporterNode(market, KEYS)], replace(SOON, price_heartbeat=3_600))
    for hour in range(24):
        market.spot = 2_000.0 * (1.01 if hour % 2 else 1.0)
        oracles.tick(reporter, 3_600)
    vol, updated_at = oracles.realised.call("volatility")
    assert updated_at == oracles.evm.timestamp
    assert vol / WAD == pytest.approx(math.log(1.01) * math.sqrt(SECONDS_PER_YEAR / 3_600), rel=1e-3)


def test_without_the_contract_nothing_is_poked() -> None:
    oracles = Oracles()
    without = {name: at for name, at in oracles.deployment.contracts.items() if name != "RealizedVolatility"}
    oracles.deployment = replace(oracles.deployment, contracts=without)
    reporter = oracles.reporter([ReporterNode(Market(), KEYS)])
    oracles.tick(reporter, 12)
    assert oracles.sender.count(Call.POKE_VOLATILITY) == 0
    with pytest.raises(InputError, match="no RealizedVolatility"):
        asyncio.run(reporter.poke_volatility(1, 2_000.0))
    assert Call.POKE_VOLATILITY in GAS_LIMITS


# when, and what


@pytest.mark.parametrize(("rho", "due"), [(-0.3, 0), (-0.31, 0), (-0.5, 2)])
def test_a_skew_that_moves_is_reported_though_the_money_stands(rho: float, due: int) -> None:
    @dataclass
    class Skewed(Market):
        rho: float = -0.3

        def slice(self, now: int, expiry: int) -> Slice:
            return slice_for(self.vol, (expiry - now) / SECONDS_PER_YEAR, self.rho)

    oracles, market = Oracles(), Skewed()
    reporter = oracles.reporter([ReporterNode(market, KEYS)])
    oracles.tick(reporter, 12)
    before = oracles.sender.count(Call.SUBMIT_VOLATILITY)
    market.rho = rho
    oracles.tick(reporter, 12)
    assert oracles.sender.count(Call.SUBMIT_VOLATILITY) - before == due


def test_smile_is_the_slice_at_three_strikes() -> None:
    seen = slice_for(0.8, 0.1)
    theta, rho, psi = seen
    wanted = [essvi.implied_vol(1.0, math.exp(k * math.sqrt(theta)), 0.1, theta, rho * psi, psi) for k in (-1, 0, 1)]
    assert smile(0, round(0.1 * SECONDS_PER_YEAR), seen) == pytest.approx(wanted)


def test_a_node_signs_nothing_that_allows_arbitrage(caplog: pytest.LogCaptureFixture) -> None:
    class Inverted(Market):
        def slice(self, now: int, expiry: int) -> Slice:
            theta, rho, psi = super().slice(now, expiry)
            return (theta, rho, psi) if expiry - now < 8 * DAY else (0.4 * theta, rho, 0.4 * psi)

    near, far = 7 * DAY, 14 * DAY
    node = ReporterNode(Inverted(), KEYS[:1], "reporter-1")
    with caplog.at_level(logging.WARNING):
        seen = node.survey(0, [far, near])
    assert list(seen) == [near, far]
    assert broken_condition([near / SECONDS_PER_YEAR, far / SECONDS_PER_YEAR], list(seen.values())) == ""
    assert "reporter-1 repaired its surface: there is a free calendar spread" in caplog.text
    assert "moved (vol points)" in caplog.text
    assert ReporterNode(Market(), KEYS).survey(0, [near])[near] == Market().slice(0, near)


def test_a_signature_that_is_none_and_a_second_report_are_not_carried() -> None:
    feed = "0x" + "bb" * 20
    report = Report.of(9_000, 5_000, 0.01, -0.3, 0.1)
    good = sign(report, KEYS[0].key, 1, feed)
    stolen = replace(sign(report, KEYS[1].key, 1, feed), signer=good.signer)
    broken = replace(sign(report, KEYS[2].key, 1, feed), signature=b"\x01" * 65)
    short = replace(sign(report, KEYS[2].key, 1, feed), signature=b"")
    assert worth_carrying([stolen, broken, short, good, good], 9_000, 5_000, 1, feed) == [good]
    assert not is_genuine(good, 2, feed)
    assert not is_genuine(good, 1, "0x" + "cc" * 20)


# an option chain as the market


def chain_file(folder: Path, start: int) -> Path:
    """Two pictures of the market an hour apart: vol 60%, then 75%; the index 2,000, then 2,100."""
    rows = ["timestamp,expiry,strike,type,underlying_price,index_price,bid_iv,ask_iv"]
    for at, vol, index in ((start, 0.6, 2_000.0), (start + 3_600, 0.75, 2_100.0)):
        for days in (3, 10, 30):
            expiry = start + days * DAY
            years = (expiry - at) / SECONDS_PER_YEAR
            theta, rho, psi = slice_for(vol, years)
            for step in range(-8, 9):
                strike = round(index * math.exp(0.25 * step * math.sqrt(theta)), 2)
                middle = essvi.implied_vol(index, strike, years, theta, rho * psi, psi)
                kind = "call" if strike >= index else "put"
                rows.append(f"{at},{expiry},{strike},{kind},{index},{index},{middle - 0.002:.8f},{middle + 0.002:.8f}")
    path = folder / "chain.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_chain_file_is_followed_at_the_speed_that_is_asked_for(tmp_path: Path) -> None:
    market = ChainMarket(load_chain(chain_file(tmp_path, 1_600_000_000)), start=5_000, speed=60.0)
    for now, vol, price in ((0, 0.6, 2_000.0), (5_000, 0.6, 2_000.0), (5_059, 0.6, 2_000.0), (5_060, 0.75, 2_100.0),
                            (10**9, 0.75, 2_100.0)):  # fmt: skip
        assert market.price(now) == price
        for days in (1, 7, 60):
            theta, _, _ = market.slice(now, now + days * DAY)
            assert math.sqrt(theta * 365 / days) == pytest.approx(vol, abs=1e-3)


def test_a_chain_file_moves_the_surface_on_the_chain(tmp_path: Path) -> None:
    oracles = Oracles(quorum=3)
    market = ChainMarket(load_chain(chain_file(tmp_path, 1_600_000_000)), oracles.evm.timestamp)
    reporter = oracles.reporter(honest(market, noise=0.001))
    for _ in range(5):
        oracles.tick(reporter, 900)
    assert oracles.sender.failures() == []
    assert oracles.vols() == pytest.approx([0.75] * 2, rel=0.01)
    assert oracles.prices.call("peek")[0] / WAD == pytest.approx(2_100.0, rel=1e-3)


def test_a_picture_without_usable_quotes_is_silence_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "chain.csv"
    path.write_text("ts,instrument,underlying,bid_iv,ask_iv\n1733054400,ETH-27DEC24-2400-C,2000,80,70\n")
    market = ChainMarket(load_chain(path), 0)
    for _ in range(2):
        with pytest.raises(InputError, match="left out: 1 crossed"):
            market.slice(0, DAY)


def test_noise_is_the_same_for_the_same_reporter_and_time() -> None:
    market = Market()
    one, same, other = (NoisyMarket(market, seed, 0.01, 0.01) for seed in (1, 1, 2))
    assert one.price(7) == same.price(7) != other.price(7)
    assert one.slice(7, DAY) == same.slice(7, DAY) != other.slice(7, DAY)
    assert one.price(7) != one.price(8)
    theta, rho, psi = one.slice(7, DAY)
    true = market.slice(7, DAY)
    assert (theta / true[0], rho) == pytest.approx((psi / true[2], true[1]))


@pytest.mark.parametrize("change", [{"realised_heartbeat": 0}, {"vol_heartbeat": -1}, {"price_deviation": -0.1}])
def test_a_configuration_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="reporter's"):
        ReporterConfig(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --prices FILE or --chain FILE"),
        (["--chain", "a.csv", "--prices", "b.csv"], "give --prices or --chain, not both"),
        (["--chain", "a.csv"], "there is no file a.csv"),
    ],
)
def test_the_command_wants_one_market(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.run(["run", "--role", "reporter", *arguments]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.count("\n") == 1

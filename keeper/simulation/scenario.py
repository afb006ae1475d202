"""A scenario: one file that describes a world, what happens in it, and what must be true of it.

Every key below is one key of the file; `docs/scenarios.md` explains them with examples. A file may build on another
(`extends`), and may be run a second time with some values changed (`against`) so that both results stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.market.bridge import MIN_STEP
from keeper.simulation import schema, yaml_tree
from keeper.simulation.assertions import CLAIM, Assertion
from keeper.simulation.schema import (
    anything,
    boolean,
    choice,
    choice_or_number,
    integer,
    list_of,
    moment,
    named,
    number,
    seconds,
    section,
    setting,
    text,
)
from keeper.simulation.yaml_tree import Node

POLICIES = ("none", "fixed-time", "fixed-band", "whalley-wilmott")
ROLES = ("keeper",)
MAX_SEED = 2**32 - 1
POSITIVE = number(above=0.0)
LONGEST_DELAY = 3_600
"""Seconds: the venue contract takes no longer settlement delay or window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When the scenario plays. With replayed prices, what is left out comes from the file of prices."""

    start: int | None = setting(moment(), None, "first second, UTC; replayed prices: the file's first bar")
    duration: int | None = setting(seconds(60), None, "how long it runs; replayed prices: to the file's end")
    step: int = setting(seconds(MIN_STEP), 300, "length of a price bar of the built-in shapes and models")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Where the index comes from: a file of bars, the built-in crash, or a model. Exactly one."""

    replay: str | None = setting(text(), None, "CSV file of bars: ts, open, high, low, close; relative to this file")
    shape: str | None = setting(choice("crash"), None, "a parametric path: calm, a crash, an aftermath")
    model: str | None = setting(choice("gbm"), None, "a random path")
    spot: float = setting(POSITIVE, 200.0, "first price, USD (shape and model)")
    vol: float = setting(POSITIVE, 0.8, "annual volatility of the model")
    drift: float = setting(number(), 0.0, "annual drift of the model")

    def problem(self) -> tuple[str, str] | None:
        """Exactly one source of prices."""
        chosen = [name for name in ("replay", "shape", "model") if getattr(self, name) is not None]
        if len(chosen) != 1:
            return "", f"give exactly one of replay, shape, model; this has {' and '.join(chosen) or 'none'}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volatility:
    """The implied surface that the reporters see."""

    surface: str = setting(choice("essvi"), "essvi", "its form: one eSSVI slice per expiry")
    atm: str | float = setting(
        choice_or_number("realised", number(0.05, 3.0)),
        "realised",
        "at-the-money vol: an average of realised vol, or a number",
    )
    half_life: int = setting(seconds(60), 86_400, "half-life of that average")
    lag: int = setting(seconds(0), 3_600, "how far behind the market the reporters are")
    floor: float = setting(number(0.05, 3.0), 0.4, "lowest at-the-money vol")
    cap: float = setting(number(0.05, 4.0), 2.5, "highest at-the-money vol")
    initial: float | None = setting(number(0.05, 4.0), None, "at-the-money vol before the first bar; else the floor")
    rho: float = setting(number(-0.95, 0.95), -0.3, "tilt of the smile")
    curvature: float = setting(number(0.0, 1.0), 0.9, "curvature of the smile, as a share of the most it may have")

    def problem(self) -> tuple[str, str] | None:
        """Floor, initial vol and cap in order."""
        if self.floor > self.cap:
            return "floor", f"{self.floor:g} is above the cap, {self.cap:g}"
        if self.initial is not None and not self.floor <= self.initial <= self.cap:
            return "initial", f"{self.initial:g} is not between the floor, {self.floor:g}, and the cap, {self.cap:g}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gas:
    """What a unit of gas costs."""

    base_gwei: float = setting(number(0.0, 10_000.0), 20.0, "base fee of every block, gwei")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The world outside: prices, volatility, gas."""

    price: Price = setting(section(Price), about="where the index comes from")
    volatility: Volatility = setting(section(Volatility), Volatility(), "the implied surface")
    gas: Gas = setting(section(Gas), Gas(), "what gas costs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """How prices and vols reach the chain."""

    heartbeat: int = setting(seconds(1), 300, "longest time between two prices")
    deviation_bps: float = setting(POSITIVE, 100.0, "move that publishes a price at once, basis points")
    reporters: int = setting(integer(1, 3), 3, "how many reporters sign each vol report")
    volatility_every: int = setting(seconds(60), 3_600, "time between two vol reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A perp venue. What is left out has the values of `docs/scenarios.md`."""

    skew_scale: float | None = setting(POSITIVE, None, "coins of skew that would move the fill by 100%")
    maker_fee_bps: float | None = setting(number(0.0, 1_000.0), None, "fee on the part that evens the skew")
    taker_fee_bps: float | None = setting(number(0.0, 1_000.0), None, "fee on the part that adds to the skew")
    settlement_delay: int | None = setting(
        seconds(1, LONGEST_DELAY), None, "time from an order to the price that fills it"
    )
    settlement_window: int | None = setting(
        seconds(1, LONGEST_DELAY), None, "time after that in which a price must come"
    )
    max_open_interest: float | None = setting(POSITIVE, None, "most coins on each side")
    max_open_interest_value: float | None = setting(POSITIVE, None, "most USD at the index on each side")
    margin: str = setting(choice("isolated", "cross"), "isolated", "each position alone, or hedge and options together")
    liquidation: str = setting(choice("full", "rate-limited", "auction"), "full", "engine of accounts without options")
    liquidation_cap: float | None = setting(POSITIVE, None, "rate-limited: most coins closed in one window")
    liquidation_window: int | None = setting(seconds(1, 60), None, "rate-limited: length of the window")
    adl_window: int | None = setting(seconds(1, 86_400), None, "time for deleveraging before the pool pays a deficit")
    pool: float | None = setting(POSITIVE, None, "liquidity pool's deposit, USD")
    insurance: float | None = setting(number(0.0), None, "insurance fund's deposit, USD")
    insurance_per_event: float | None = setting(number(0.0), None, "most that the fund pays for one liquidation, USD")

    def problem(self) -> tuple[str, str] | None:
        """The rate limit belongs to the rate-limited engine."""
        for key in ("liquidation_cap", "liquidation_window"):
            if getattr(self, key) is not None and self.liquidation != "rate-limited":
                return key, f"only liquidation: rate-limited has one; this is '{self.liquidation}'"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a scalper buys, again and again."""

    straddle: str = setting(choice("atm"), "atm", "strikes of the straddle: at the money")
    tenor: int = setting(seconds(3_600), 7 * 86_400, "time to expiry when bought")
    budget: float = setting(number(0.0, 0.5), 0.05, "premium of each purchase, fraction of NAV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """How an underwriter quotes."""

    half_spread: float = setting(number(0.0, 1.0), 0.02, "vol points added when selling, taken off when buying")
    vega_skew: float = setting(number(0.0), 0.0, "vol per USD of net vega sold")
    max_vega: float = setting(POSITIVE, 10_000_000.0, "net vega sold at most, USD per 1.00 vol")
    min_spread: float = setting(number(0.0, 0.1), 0.001, "least spread, fraction of index per unit of delta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """A vault and its depositor's money."""

    kind: str = setting(choice("scalper", "underwriter"), about="scalper (long gamma) or underwriter (short gamma)")
    deposit: float = setting(POSITIVE, about="deposit at the start, USD")
    buys: Purchase | None = setting(section(Purchase), None, "what a scalper buys")
    from_: str | None = setting(text(), None, "name of the underwriter that a scalper buys from")
    quotes: Quotes | None = setting(section(Quotes), None, "how an underwriter quotes")

    def problem(self) -> tuple[str, str] | None:
        """What each kind needs and does not take."""
        if self.kind == "scalper" and self.from_ is None:
            return "", "a scalper needs 'from': the name of the underwriter it buys from"
        if self.kind == "scalper" and self.quotes is not None:
            return "quotes", "only an underwriter quotes: take it out"
        for key, value in (("buys", self.buys), ("from", self.from_)):
            if self.kind == "underwriter" and value is not None:
                return key, "an underwriter sells: take it out"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """The keeper that hedges both vaults."""

    policy: str = setting(choice(*POLICIES), "whalley-wilmott", "when to hedge, and how much")
    interval: int = setting(seconds(1), 3_600, "fixed-time: time between hedges")
    band: float = setting(POSITIVE, 1.0, "fixed-band: half-width, coins")
    risk_aversion: float = setting(POSITIVE, 3e-5, "whalley-wilmott: aversion to variance, 1/USD")
    slippage: float = setting(number(1e-6, 0.1), 0.02, "worst fill against the index at the decision, fraction")
    min_size: float = setting(POSITIVE, 0.01, "smallest hedge worth sending, coins")
    latency: int = setting(seconds(0), 1, "time from a decision to the block that holds its transaction")
    liquidator: bool = setting(boolean(), False, "whether it also liquidates, and has deficits deleveraged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """Something that goes wrong."""

    at: int = setting(seconds(0), about="when, from the start")
    outage: str = setting(choice(*ROLES), about="what stops: keeper (all of its roles)")
    for_: int = setting(seconds(1), about="for how long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One world, what happens in it, and what must be true of it."""

    name: str = setting(text(), about="short name, lower case with dashes")
    shows: str = setting(text(), about="one sentence: what this scenario shows")
    seed: int = setting(integer(0, MAX_SEED), 1, "every random draw comes from it")
    clock: Clock = setting(section(Clock), Clock(), "when it plays")
    market: Market = setting(section(Market), about="prices, volatility, gas")
    oracle: Oracle = setting(section(Oracle), Oracle(), "how prices and vols reach the chain")
    venues: dict[str, Venue] = setting(named(section(Venue)), {}, "perp venues by name; now exactly 'home'")
    vaults: dict[str, Vault] = setting(named(section(Vault)), about="vaults by name")
    keeper: Keeper = setting(section(Keeper), Keeper(), "the keeper")
    shocks: list[Shock] = setting(list_of(section(Shock)), [], "what goes wrong")
    against: dict[str, Any] | None = setting(named(anything()), None, "dotted settings of a second run to compare with")
    assert_: list[Assertion] = setting(list_of(CLAIM), [], "what must be true at the end")

    @property
    def venue(self) -> Venue:
        """The one venue."""
        return self.venues.get("home", Venue())

    def problem(self) -> tuple[str, str] | None:
        """What one part demands of another."""
        for name in self.venues:
            if name != "home":
                return f"venues.{name}", "there is one venue, and it is called 'home'"
        if self.market.price.replay is None and (self.clock.start is None or self.clock.duration is None):
            return "clock", "start and duration are needed unless prices are replayed"
        if self.market.price.replay is None and self.clock.step > (self.clock.duration or 0):
            return "clock.step", "a bar is longer than the whole run: shorten it or lengthen clock.duration"
        if not self.vaults:
            return "vaults", "there must be at least one"
        makers = {name for name, vault in self.vaults.items() if vault.kind == "underwriter"}
        for name, vault in self.vaults.items():
            if vault.kind == "scalper" and vault.from_ not in makers:
                return f"vaults.{name}.from", f"'{vault.from_}' is not an underwriter of this scenario"
        return None


@dataclass(frozen=True, slots=True)
class Source:
    """A scenario together with the tree it was read from, so that settings can still be changed."""

    scenario: Scenario
    tree: Node

    def replay(self, prices: str) -> Source:
        """The same world on another path of prices: clock and price come from the file ``prices``."""
        tree = yaml_tree.without(self.tree, "market.price", "clock.start", "clock.duration")
        return _source(yaml_tree.put(tree, "market.price.replay", yaml_tree.from_python(prices, "--prices")))

    def changed(self, settings: Mapping[str, Any], source: str) -> Source:
        """The same world with some dotted settings changed; ``source`` is what complaints call them."""
        tree = self.tree
        for path, value in settings.items():
            tree = yaml_tree.put(tree, path, yaml_tree.from_python(value, source))
        return _source(tree)

    @property
    def other(self) -> Source | None:
        """The world to compare with (``against``), or None."""
        if self.scenario.against is None:
            return None
        tree = yaml_tree.without(self.tree, "against", "assert")
        return _source(tree).changed(self.scenario.against, f"{self.tree.file}: against")


def file_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files. A file that extends another may leave out what the other has, at any depth."""
    found = schema.json_schema(Scenario)
    required = found["required"]
    found = _without_required(found)
    about = "a scenario file to build on, relative to this one"
    found["properties"]["extends"] = {"type": "string", "description": about}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenario",
        **found,
        "anyOf": [{"required": ["extends"]}, {"required": required}],
    }


def _without_required(rules: Any) -> Any:
    if isinstance(rules, dict):
        return {key: _without_required(rule) for key, rule in rules.items() if key != "required"}
    return rules


def load(path: Path) -> Source:
    """Reads and checks a scenario file. Every complaint is an ``InputError`` that names file and line."""
    return _source(_tree(path, ()))


def loads(text: str, name: str = "scenario") -> Source:
    """Reads and checks a scenario given as text."""
    return _source(yaml_tree.parse(text, name))


def _source(tree: Node) -> Source:
    return Source(*_pair(tree))


def _pair(tree: Node) -> tuple[Scenario, Node]:
    return schema.load(Scenario, tree), tree


def _tree(path: Path, above: tuple[Path, ...]) -> Node:
    """The tree of a file on top of those that it extends; replayed files are found from where they are named."""
    tree = yaml_tree.read(path)
    if not tree.is_mapping:
        raise tree.error("", "a scenario is a mapping of keys to values")
    tree = _anchor(tree, path.parent)
    base = tree.value.get("extends")
    if base is None:
        return tree
    target = path.parent / str(base.value)
    if target in above or target == path:
        raise base.error("extends", f"'{base.value}' extends itself")
    return yaml_tree.merge(_tree(target, (*above, path)), yaml_tree.without(tree, "extends"))


def _anchor(tree: Node, folder: Path) -> Node:
    """A relative ``market.price.replay`` made relative to the working directory."""
    found: Node | None = tree
    for key in ("market", "price", "replay"):
        found = found.value.get(key) if found is not None and found.is_mapping else None
    if found is None or not isinstance(found.value, str) or Path(found.value).is_absolute():
        return tree
    return yaml_tree.put(tree, "market.price.replay", Node(str(folder / found.value), found.file, found.line))

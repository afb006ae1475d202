"""A volatility feed under random actions: honest reporters who see one true surface a little differently, an adversary
who holds up to f of them and carries what it likes, an admin, a guardian, and time. The laws are in `surface_laws`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from eth_account import Account
from surface_laws import Laws, Sent
from surface_world import HEARTBEAT, REPORTERS, deploy_feed, domain_of, sign_quickly
from tape import Action, Broken, Draw

from keeper.chain import accounts
from keeper.chain.abi import Revert
from keeper.chain.deploy_config import SurfaceLimits, as_tuple
from keeper.chain.evm import Evm
from keeper.chain.reports import Report, submission
from keeper.market.surface import slice_for
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD

FAULTY = 2
QUORUM = 2 * FAULTY + 1
LIMITS = SurfaceLimits()
TENORS = (0.05, 0.3, 1, 2, 3, 5, 7, 9, 14, 21, 30, 45, 60, 90, 120, 150, 180, 270)
"""Days from the start to each expiry."""
LIES = ("high", "low", "skewed", "butterfly", "calendar", "wild", "honest")
REFUSALS = {
    "ReportTooOld", "ExpiryPassed", "NotAdmissible", "ReporterIsExcluded", "TooManyExpiries", "HaltedTooSoon",
    "QuorumNotMet",
}  # fmt: skip


class SurfaceMachine:
    """Plays actions on a feed and checks its laws after each."""

    def __init__(self) -> None:
        self.evm = Evm()
        self.feed = deploy_feed(self.evm, as_tuple(LIMITS), quorum=QUORUM)
        self.start = self.evm.timestamp
        self.expiries = [self.start + round(days * SECONDS_PER_DAY) for days in TENORS]
        self.vol, self.slope = 0.8, 0.0
        self.counts: dict[str, int] = {}
        self.laws = Laws(self.evm, self.feed, LIMITS, HEARTBEAT)

    def act(self, action: Action) -> None:
        """Play one action. A refusal that the situation cannot explain breaks a law."""
        play: Callable[..., None] = getattr(self, f"do_{action.name}")
        try:
            play(**action.draws)
        except Revert as revert:
            if revert.name not in REFUSALS:
                raise Broken("refusals can be explained", f"{action} ended in {revert.name}{revert.args}") from None
            self._count(f"{action.name}: {revert.name}")

    def check(self) -> None:
        """The laws that hold at rest."""
        self.laws.check()

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- the truth, and what is said of it ----------------------------------------------------------------------------

    def do_drift(self, change: float, slope: float) -> None:
        """The true surface moves: its level, and its slope over the tenors."""
        self.vol = min(max(self.vol * (1 + change), 0.1), 4.0)
        self.slope = slope

    def do_wait(self, seconds: int) -> None:
        self.evm.advance(seconds)

    def _honest(self, expiry: int, age: int, random: Random) -> Report:
        time = (expiry - self.evm.timestamp + age) / SECONDS_PER_YEAR
        vol = self.vol * (1 + self.slope * min(time, 0.5)) * random.uniform(0.98, 1.02)
        slice_ = slice_for(max(vol, 0.05), time, random.uniform(-0.35, -0.25), random.uniform(0.85, 0.95))
        return Report.of(expiry, self.evm.timestamp - age, *slice_)

    def _lie(self, kind: str, expiry: int, age: int, random: Random) -> Report:
        true = self._honest(expiry, age, random)
        theta, rho, psi = true.theta, true.rho, true.psi
        if kind in ("high", "low"):
            theta = int(theta * (random.uniform(1.5, 50) if kind == "high" else random.uniform(1e-6, 0.7)))
        elif kind == "skewed":
            rho = random.choice((-1, 1)) * (WAD - random.randrange(1, 10**15))
        elif kind == "butterfly":
            psi = min(int(psi * random.uniform(2, 30)), 4 * WAD - 1)
        elif kind == "calendar":
            theta, psi = int(theta * random.uniform(0.3, 3)), int(psi * random.uniform(0.0, 3))
        elif kind == "wild":
            theta, rho = random.randrange(1, 100 * WAD), random.randrange(-WAD + 1, WAD)
            psi = random.randrange(4 * WAD)
        return Report(expiry, true.timestamp, min(max(theta, 1), 100 * WAD), rho, min(psi, 4 * WAD - 1))

    # -- who carries what ---------------------------------------------------------------------------------------------

    def _round(self, expiry: int, liars: int, lie: str, spread: int, first: int, noise: int) -> list[Sent]:
        """A quorum of reporters, of whom the first `liars` belong to the adversary."""
        random = Random(noise)
        names = [REPORTERS[(first + place) % len(REPORTERS)] for place in range(QUORUM)]
        corrupt = set(REPORTERS[:FAULTY])
        sent = []
        for name in names:
            age = random.randrange(spread + 1) if expiry - self.evm.timestamp > 0 else 0
            if name in corrupt and liars > 0:
                liars -= 1
                sent.append(Sent(name, self._lie(lie, expiry, age, random), honest=False))
            else:
                sent.append(Sent(name, self._honest(expiry, age, random), honest=True))
        return sent

    def do_report(self, place: int, liars: int, lie: str, spread: int, first: int, noise: int) -> None:
        """One round on one expiry."""
        expiry = self.expiries[place]
        if expiry <= self.evm.timestamp:
            return
        blend = self.laws.submit(self._round(expiry, liars, lie, spread, first, noise))
        self._count("held" if blend == 0 else "whole" if blend == WAD else "blended")

    def do_sweep(self, backwards: int, liars: int, lie: str, noise: int, count: int) -> None:
        """Rounds on several expiries, in either order."""
        live = [place for place, expiry in enumerate(self.expiries) if expiry > self.evm.timestamp][:count]
        for place in reversed(live) if backwards else live:
            try:
                self.do_report(place, liars, lie, 0, noise % 7, noise + place)
            except Revert as revert:
                if revert.name not in REFUSALS:
                    raise
                self._count(f"sweep: {revert.name}")

    def do_shuffle(self, place: int, noise: int) -> None:
        """O-7: the same reports, made into calls in two orders, do the same."""
        expiry = self.expiries[place]
        if expiry > self.evm.timestamp:
            self.laws.order_does_not_matter(self._round(expiry, FAULTY, "wild", 0, noise % 7, noise), Random(noise))
            self._count("shuffle")

    def do_replay(self, place: int, elsewhere: int, noise: int) -> None:
        """O-6: what is signed for another chain or contract counts nowhere here; nor does a round that was stored."""
        expiry = self.expiries[place]
        if expiry <= self.evm.timestamp:
            return
        chain = self.evm.chain_id + (1 if elsewhere else 0)
        address = self.feed.address if elsewhere else accounts.address_of("other")
        domain, random, signed = domain_of(chain, address), Random(noise), []
        for name in REPORTERS[:QUORUM]:
            report = self._honest(expiry, 0, random)
            signed.append(sign_quickly(report, accounts.key_of(name), domain))
        self.laws.refused("O-6 a signature counts on one chain for one contract", "NotReporter", submission(signed))
        self._count("replay")

    def do_stranger(self, place: int, noise: int) -> None:
        """Somebody who is no reporter fills the quorum."""
        expiry = self.expiries[place]
        if expiry <= self.evm.timestamp:
            return
        key = Account.create(str(noise)).key
        report = self._honest(expiry, 0, Random(noise))
        one = sign_quickly(report, key, self.laws.domain)
        self.laws.refused("strangers do not report", "NotReporter", submission([one] * QUORUM))
        self._count("stranger")

    def do_halt(self) -> None:
        self.feed.send("grantRole", self.feed.call("GUARDIAN"), self.evm.account("guardian"), sender=self._admin())
        self.feed.send("halt", sender=self.evm.account("guardian"))
        self._count("halt")

    def do_readmit(self, place: int) -> None:
        self.feed.send("readmit", accounts.address_of(REPORTERS[place]), sender=self._admin())

    def _admin(self) -> str:
        return self.evm.account("admin")


# -- random tapes -----------------------------------------------------------------------------------------------------

_Sample = Callable[[Random], Draw]


def _real(low: float, high: float) -> _Sample:
    return lambda random: round(random.uniform(low, high), 4)


def _one(*choices: Draw) -> _Sample:
    return lambda random: random.choice(choices)


_PLACE = _one(*range(len(TENORS)))
_NOISE: _Sample = lambda random: random.randrange(10**6)  # noqa: E731
_LIARS = _one(0, 0, 1, 2, 2)
_SAMPLES: Mapping[str, Mapping[str, _Sample]] = {
    "drift": {"change": _real(-0.3, 0.4), "slope": _real(-1.0, 1.0)},
    "wait": {"seconds": _one(1, 12, 60, 300, 900, 1_201, 3_000, 10_000, 40_000)},
    "report": {
        "place": _PLACE, "liars": _LIARS, "lie": _one(*LIES), "spread": _one(0, 0, 30, 300, 1_200),
        "first": _one(*range(7)), "noise": _NOISE,
    },
    "sweep": {"backwards": _one(0, 1), "liars": _LIARS, "lie": _one(*LIES), "noise": _NOISE, "count": _one(3, 8, 18)},
    "shuffle": {"place": _PLACE, "noise": _NOISE},
    "replay": {"place": _PLACE, "elsewhere": _one(0, 1), "noise": _NOISE},
    "stranger": {"place": _PLACE, "noise": _NOISE},
    "halt": {},
    "readmit": {"place": _one(*range(7))},
}  # fmt: skip
_WEIGHTS = {
    "drift": 14, "wait": 22, "report": 52, "sweep": 2.5, "shuffle": 2, "replay": 1, "stranger": 1, "halt": 0.5,
    "readmit": 1.5,
}  # fmt: skip


def choose(random: Random) -> Action:
    """A random action with its draws."""
    [name] = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    return Action(name, {key: sample(random) for key, sample in _SAMPLES[name].items()})

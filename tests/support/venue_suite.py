"""Random tapes on every kind of venue. `python tests/support/venue_suite.py TAPE` plays one again that broke a law."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from mixed_machine import MixedMachine, choose_mixed
from tape import Broken, Choose, explore, load, play, save, shrink
from venue_choice import choose
from venue_machine import VenueMachine

VENUES = {
    "full": ("FullLiquidation", "IsolatedMargin"),
    "rate-limited": ("RateLimitedLiquidation", "IsolatedMargin"),
    "auction": ("DutchAuctionLiquidation", "IsolatedMargin"),
    "portfolio": ("FullLiquidation", "PortfolioMargin"),
}
MIXED = {
    "mixed": ("RateLimitedLiquidation", "IsolatedMargin"),
    "mixed-portfolio": ("FullLiquidation", "PortfolioMargin"),
}
"""Engine and margin model by name, of venues of perps alone and of those with options."""

LENGTH = 500
TAPES = Path(__file__).resolve().parents[2] / ".tapes"


def machine_of(venue: str) -> VenueMachine:
    """A new venue of this name."""
    return MixedMachine(*MIXED[venue]) if venue in MIXED else VenueMachine(*VENUES[venue])


def choice_of(venue: str) -> Choose:
    """How its actions are chosen."""
    return choose_mixed if venue in MIXED else choose


def soak(venue: str, seeds: range, tapes: Path = TAPES) -> dict[str, int]:
    """Play one random tape a seed; how often each thing was done.

    Raises `Broken` for the first law that does not hold, with the tape shrunk and written to disk.
    """
    total: dict[str, int] = {}
    for seed in seeds:
        machine = machine_of(venue)
        actions, broken = explore(lambda made=machine: made, choice_of(venue), seed, LENGTH)
        for what, count in machine.counts.items():
            total[what] = total.get(what, 0) + count
        if broken is not None:
            shortest = shrink(partial(machine_of, venue), actions, broken.law)
            path = tapes / f"{venue}-{seed}.jsonl"
            save(path, {"venue": venue, "seed": seed, "law": broken.law}, shortest)
            steps = "\n  ".join(map(str, shortest))
            detail = f"{broken}\n{len(actions)} actions shrunk to {len(shortest)}, in {path}:\n  {steps}"
            raise Broken(broken.law, detail)
    return total


def main(path: Path) -> int:
    """Play a tape; 1 when it breaks a law."""
    header, actions = load(path)
    broken = play(partial(machine_of, str(header["venue"])), actions)
    print(f"{path}: {broken or 'every law holds'}")
    return 0 if broken is None else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Invariants I-1 to I-12 of the perp venue, with and without options beside it, over long random tapes, on the real
bytecode in the in-process EVM.

`make test` plays 36,000 actions, `make fuzz` 240,000 more. The laws are in `venue_laws` and `venue_verdicts`, those of
options in `mixed_laws`; who does what is in `venue_machine` and `mixed_machine`.
"""

from __future__ import annotations

import pytest
from venue_suite import MIXED, VENUES, soak

HAPPENED = ("commit", "settle", "liquidate", "withdraw", "provide", "settle deficit", "reentry")
"""What every run must have seen go through; a suite that does nothing finds nothing."""
RARE = ("finish", "leave", "cancel")
"""And what a long one must."""
WITH_OPTIONS = ("option", "option settle", "fix", "report")


def check(venue: str, seeds: range, expected: tuple[str, ...] = ()) -> None:
    done = soak(venue, seeds)
    print(*(f"{what}: {count:,}" for what, count in sorted(done.items())), sep="\n")
    missing = [what for what in (*HAPPENED, *expected) if not done.get(what)]
    assert not missing, (missing, done)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("venue", VENUES)
def test_laws_hold_over_random_tapes(venue: str, part: int) -> None:
    check(venue, range(4 * part, 4 * part + 4))


@pytest.mark.parametrize("venue", MIXED)
def test_laws_hold_over_random_tapes_with_options(venue: str) -> None:
    check(venue, range(4), WITH_OPTIONS)


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("venue", [*VENUES, *MIXED])
def test_laws_hold_over_many_random_tapes(venue: str, part: int) -> None:
    where = (*WITH_OPTIONS, "bid") if venue in MIXED else ("adl", *(("bid",) if venue == "auction" else ()))
    check(venue, range(1_000 + 8 * part, 1_008 + 8 * part), (*RARE, *where))

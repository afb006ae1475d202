"""What a surface of sixteen expiries costs: a warm read anywhere, and storing a slice, the 21,000 included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gas_snapshot
import pytest
from node_face import Node
from surface_world import HEARTBEAT, QUORUM, REPORTERS, deploy_feed, signed_by

from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import SurfaceLimits, as_tuple
from keeper.chain.node import Anvil
from keeper.chain.reports import Report, submission
from keeper.market.surface import slice_for
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_wad

BASE = 21_000


@dataclass
class World:
    node: Node
    feed: Contract
    reader: Contract
    expiries: list[int]

    def report(self, place: int, vol: float) -> tuple[Receipt, int]:
        """One round of a quorum on an expiry; its receipt, and its gas without what signatures cost."""
        self.node.advance(HEARTBEAT // 2)
        expiry, now = self.expiries[place], self.node.timestamp
        theta, rho, psi = slice_for(vol, (expiry - now) / SECONDS_PER_YEAR)
        reports = [Report.of(expiry, now, theta * share, rho, psi) for share in (0.99, 1.0, 1.01)]
        arguments = submission(signed_by(self.node, self.feed, reports))
        checking = self.node.gas(self.feed, "verify", *arguments) - BASE
        checking -= call_data_gas(self.feed.encode("verify", arguments[0], []))
        receipt = self.feed.send("submit", *arguments)
        return receipt, receipt.gas_used - checking


def call_data_gas(data: bytes) -> int:
    return sum(16 if byte else 4 for byte in data)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Anvil() as anvil:
        node = Node(anvil)
        feed = deploy_feed(node, as_tuple(SurfaceLimits()), REPORTERS[:QUORUM])
        start = node.timestamp + SECONDS_PER_DAY
        expiries = [start + day * SECONDS_PER_DAY for day in range(16)]
        world = World(node, feed, node.deploy("SurfaceHarness"), expiries)
        for place in reversed(range(16)):
            world.report(place, 0.8)
        yield world


@pytest.mark.anvil
def test_gas_of_a_warm_read_and_of_storing_a_slice_stays_within_budget(world: World) -> None:
    far = world.expiries[14]
    places = {"at an expiry": far, "between an expiry": far - 3_600, "before the first": world.expiries[0] - 3_600}
    measured = {}
    for name, expiry in places.items():
        reads = [
            world.reader.call("warmRead", world.feed.address, expiry, to_wad(strike), 2_000 * WAD)
            for strike in (100, 1_000, 1_999, 2_000, 2_500, 40_000)
        ]
        measured[f"surface read {name}"] = max(reads)
    whole, measured["slice stored"] = world.report(8, 0.8)
    blended, measured["slice stored, blended"] = world.report(8, 1.6)
    assert [receipt.events("SliceUpdated")[0]["blend"] == WAD for receipt in (whole, blended)] == [True, False]
    print(*(f"{name:30} {gas:>8,} gas" for name, gas in measured.items()), sep="\n")
    gas_snapshot.check(measured)

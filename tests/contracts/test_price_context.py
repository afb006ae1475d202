"""One price context per call: who is given a price reads no other, and who reads one reads it once.

A venue that checks a fill at one price and its margin at another lets whoever chooses the moment choose between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from venue_world import VenueWorld

from keeper.units import to_wad

ROOMS = ("perp", "clearing", "liquidation", "options")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
HEAD = re.compile(r"\b(?:function\s+(\w+)|(constructor))\s*\(([^)]*)\)([^{;]*)\{")
READ = re.compile(r"(\([^()]*\)\s*=\s*)?[\w.]*(?:[fF]eed|IPriceFeed\([\w.()]*\))\.(price|peek|benchmark|twap)\(")
CALL = re.compile(r"(?<![.\w])(\w+)\(")


@dataclass(frozen=True)
class Function:
    room: str
    contract: str
    name: str
    arguments: str
    body: str

    @property
    def reads(self) -> list[str]:
        """The oracle's functions of which a price is taken, not only a time or a refusal."""
        return [how for bound, how in READ.findall(self.body) if bound and not re.match(r"\(\s*,", bound)]

    @property
    def is_given_a_price(self) -> bool:
        return re.search(r"\buint256 (price|latest)\b", self.arguments) is not None


def functions(source: Path) -> list[Function]:
    text = COMMENT.sub("", source.read_text())
    found = []
    for head in HEAD.finditer(text):
        depth, end = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        found.append(Function(source.parent.name, source.stem, head[1] or head[2], head[3], text[head.end() : end]))
    return found


@pytest.fixture(scope="module")
def venue(root: Path) -> list[Function]:
    sources = [path for room in ROOMS for path in sorted((root / "contracts" / room).glob("*.sol"))]
    return [each for source in sources for each in functions(source)]


def test_oracle_is_read_in_these_functions_of_the_market_only(venue: list[Function]) -> None:
    market = [each for each in venue if each.room == "perp" and each.reads]
    reads = {(each.contract, each.name): each.reads for each in market}
    assert reads == {
        ("PerpBook", "constructor"): ["peek"],
        ("PerpBook", "proposeParameters"): ["peek"],
        ("PerpBook", "applyParameters"): ["peek"],
        ("PerpMarket", "commit"): ["price"],
        ("PerpMarket", "settle"): ["benchmark", "peek"],  # the fill's price, and the one that funding accrues at
    }


def test_no_function_takes_two_prices_but_settlement(venue: list[Function]) -> None:
    assert [each.name for each in venue if len(each.reads) > 1] == ["settle"]


def test_function_that_is_given_a_price_reads_no_other_itself_or_through_a_helper(venue: list[Function]) -> None:
    guilty = []
    for room in ROOMS:
        inside = [each for each in venue if each.room == room]
        readers = {each.name for each in inside if each.reads}
        for _ in range(5):  # helpers of helpers
            readers |= {each.name for each in inside if readers & set(CALL.findall(each.body))}
        given = [each for each in inside if each.is_given_a_price]
        guilty += [each for each in given if each.reads or readers & set(CALL.findall(each.body))]
    assert guilty == []


def test_scanner_sees_a_read_behind_a_helper(tmp_path: Path) -> None:
    source = tmp_path / "Bad.sol"
    source.write_text(
        "contract Bad { function _now() view returns (uint256 p) { (p,) = priceFeed.price(); }\n"
        "function close(address a, uint256 price) external { fill(_now()); } }"
    )
    reader, closer = functions(source)
    assert (reader.reads, closer.reads) == (["price"], [])
    assert closer.is_given_a_price
    assert "_now" in CALL.findall(closer.body)


def test_settlement_judges_fill_fee_and_margin_at_the_benchmark_whatever_came_after() -> None:
    world = VenueWorld()
    world.deposit("trader", 10_000)
    world.commit("trader", 100)
    benchmark = world.move(2_010, seconds=2)
    outcomes = []
    for later in (2_010, 1_000, 4_000):
        with world.evm.rolled_back():
            world.move(later, seconds=20)
            (settled,) = world.settle("trader", benchmark).events("OrderSettled")
            outcomes.append(tuple(settled[name] for name in ("fill", "index", "fee", "reward", "pnl")))
    assert outcomes[0][1] == to_wad(2_010)
    assert outcomes[0] == outcomes[1] == outcomes[2]

"""`keeper price`: Python, the contract and QuantLib side by side, from a vol or from a price."""

from __future__ import annotations

import json
import math
import types
from typing import Any

import pytest

from keeper import cli
from keeper.commands import price as command
from keeper.pricing.black76 import implied_vol, spot_greeks

TERMS = ["--spot", "2000", "--strike", "2100", "--days", "30", "--rate", "0.03"]
MONTH = 30 / 365


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.run(["price", *TERMS, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.run(["price", *TERMS, *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


@pytest.mark.parametrize("kind", ["call", "put"])
def test_a_price_gives_the_vol_that_gives_the_price(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    wanted = spot_greeks(2_000.0, 2_100.0, MONTH, 0.8, 0.03, kind == "call")
    found = shown(capsys, "--price", repr(wanted[0]), "--type", kind)
    assert found["implied_vol"]["python"] == pytest.approx(0.8, abs=1e-12)
    for column in ("python", "contract"):
        assert found[column]["price"] == pytest.approx(wanted[0], rel=1e-9)
        assert found[column]["vega"] == pytest.approx(wanted[3], rel=1e-9)


def test_a_vol_gives_no_implied_vol(capsys: pytest.CaptureFixture[str]) -> None:
    assert "implied_vol" not in shown(capsys, "--vol", "0.8")


def test_the_table_shows_the_implied_vol_and_both_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["price", *TERMS, "--price", "143.293976315164"]) == 0
    told = capsys.readouterr().out
    assert "implied vol: python 0.80000000000" in told
    assert [line.split()[0] for line in told.splitlines()[2:]] == ["python", *command.GREEKS]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "either --vol or --price"),
        (["--vol", "0.8", "--price", "100"], "either --vol or --price"),
        (["--price", "2001"], "is worth between 0 and 2000"),
        (["--price", "0"], "no vol from 1% to 500%"),
        (["--price", "94", "--type", "put"], "is worth between 94.8"),
        (["--price", "-1"], "--price is -1"),
        (["--price", "nan"], "--price is nan"),
    ],
)
def test_terms_without_an_answer_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert told in complaint(capsys, *arguments)


class StandIn:
    """Stands where QuantLib would, and answers from our own Black-Scholes."""

    Option = types.SimpleNamespace(Call=1, Put=-1)

    @staticmethod
    def PlainVanillaPayoff(kind: int, strike: float) -> tuple[int, float]:  # noqa: N802
        return kind, strike

    class BlackCalculator:
        def __init__(self, payoff: tuple[int, float], forward: float, deviation: float, discount: float) -> None:
            (kind, strike), rate = payoff, -math.log(discount) / MONTH
            terms = (forward * discount, strike, MONTH, deviation / math.sqrt(MONTH), rate, kind == 1)
            self._found = spot_greeks(*terms)

        def value(self) -> float:
            return self._found[0]

        def delta(self, spot: float) -> float:
            return self._found[1]

        def gamma(self, spot: float) -> float:
            return self._found[2]

        def vega(self, time: float) -> float:
            return self._found[3]

        def theta(self, spot: float, time: float) -> float:
            return self._found[4]

    @staticmethod
    def blackFormulaImpliedStdDev(  # noqa: N802
        kind: int, strike: float, forward: float, price: float, discount: float, *rest: float
    ) -> float:
        if strike > 2_500.0:
            raise RuntimeError("no root")
        rate = -math.log(discount) / MONTH
        return implied_vol(price, forward, strike, MONTH, rate, kind == 1) * math.sqrt(MONTH)


def test_quantlib_is_a_third_column_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our side of it: the right arguments reach the library, and its answers the right rows."""
    monkeypatch.setattr(command, "_library", lambda: StandIn)
    found = shown(capsys, "--price", "143.293976315164")
    assert found["quantlib"] == pytest.approx({name: found["python"][name] for name in command.FIRST}, rel=1e-9)
    assert found["implied_vol"]["quantlib"] == pytest.approx(0.8, abs=1e-9)
    assert cli.run(["price", *TERMS, "--vol", "0.8"]) == 0
    head = capsys.readouterr().out.splitlines()[1].split()
    assert head == ["python", "contract", "difference", "quantlib", "difference"]


def test_a_library_that_gives_up_on_the_vol_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_library", lambda: StandIn)
    found = shown(capsys, "--strike", "3000", "--price", "5")
    assert list(found["implied_vol"]) == ["python"]


def test_without_quantlib_there_are_two_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_library", lambda: None)
    assert list(shown(capsys, "--vol", "0.8")) == ["python", "contract"]


@pytest.mark.parametrize("kind", ["call", "put"])
def test_the_real_quantlib_agrees(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    pytest.importorskip("QuantLib", reason="QuantLib is optional and not installed")
    found = shown(capsys, "--vol", "0.8", "--type", kind)
    assert found["quantlib"] == pytest.approx({name: found["python"][name] for name in command.FIRST}, rel=1e-12)

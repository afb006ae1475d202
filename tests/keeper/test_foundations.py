"""Units, errors, telemetry, the kernel cache and the doctor."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper import errors, telemetry, units
from keeper.chain import doctor, tools
from keeper.errors import InputError, KeeperError

floats = st.floats(min_value=-1e15, max_value=1e15)


@given(floats)
def test_to_wad_is_the_printed_decimal_rounded_once(value: float) -> None:
    exact = Fraction(repr(value)) * 10**18
    assert abs(units.to_wad(value) - exact) <= Fraction(1, 2)
    assert units.to_wad(value, "down") == math.floor(exact)
    assert units.to_wad(value, "up") == math.ceil(exact)


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_wad_of_15_digits_survives_the_way_through_a_float(value: int) -> None:
    assert units.to_wad(units.from_wad(value)) == value


@given(st.integers(-(2**255), 2**255))
def test_from_wad_is_correctly_rounded(value: int) -> None:
    assert units.from_wad(value) == float(Fraction(value, 10**18))


@pytest.mark.parametrize(
    ("value", "rounding", "wad"),
    [(0.1, "nearest", 10**17), (1.5e-18, "nearest", 2), (2.5e-18, "nearest", 2), (-1e-19, "down", -1),
     (-1e-19, "up", 0), (1e300, "nearest", 10**318), (3, "nearest", 3 * 10**18), (Decimal("1e-18"), "nearest", 1)],
)  # fmt: skip
def test_to_wad_at_its_edges(value: float, rounding: units.Rounding, wad: int) -> None:
    assert units.to_wad(value, rounding) == wad


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_does_not_go_on_the_chain(value: float) -> None:
    with pytest.raises(InputError, match="not a finite number"):
        units.to_usdc(value)


def test_scales() -> None:
    assert units.to_usdc(1.000_001) == 1_000_001
    assert units.from_usdc(2_500_000) == 2.5
    assert units.to_gwei(1.5) == 1_500_000_000
    assert units.from_gwei(10**9) == 1.0
    assert units.from_bps(25) == 0.0025
    assert units.to_bps(0.0025) == 25


def test_errors_end_the_process_with_the_code_of_their_kind() -> None:
    assert (KeeperError.exit_code, InputError.exit_code) == (1, 2)
    assert (errors.ChainError.exit_code, errors.NodeUnreachable.exit_code, errors.AnswerLost.exit_code) == (1, 2, 1)
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert issubclass(kind, KeeperError), name


def test_slow_step_says_what_it_does_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    import time

    with telemetry.step("counting sheep"):
        time.sleep(0.7)
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first == "counting sheep ..."
    assert 0.7 <= float(last.removeprefix("counting sheep: ").removesuffix(" s")) < 5


def test_quick_step_is_silent_and_errors_pass_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="as it was"), telemetry.step("nothing"):
        raise ValueError("as it was")
    assert capsys.readouterr() == ("", "")


def test_kernel_cache_is_renamed_when_a_pure_source_changes(tmp_path: Path, root: Path) -> None:
    """An edited callee in another file must not leave its caller with stale machine code."""
    package = tmp_path / "keeper"
    (package / "pricing").mkdir(parents=True)
    for name in ("__init__.py", "compiled.py"):
        (package / name).write_text((root / "keeper" / name).read_text())
    (package / "pricing" / "__init__.py").write_text("")
    (package / "pricing" / "caller.py").write_text(
        "from keeper.compiled import kernel\nfrom keeper.pricing.callee import one\n"
        "@kernel\ndef two() -> float:\n    return one() + one()\n"
    )
    program = "from keeper.pricing.caller import two; print(two())"
    environment = {"PATH": "", "GAMMA_KEEPER_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    said = []
    for one in ("1.0", "1.5"):
        (package / "pricing" / "callee.py").write_text(
            f"from keeper.compiled import kernel\n@kernel\ndef one() -> float:\n    return {one}\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.strip())
    assert said == ["2.0", "3.0"]
    assert len(list((tmp_path / "cache" / "kernels").iterdir())) == 2


def test_doctor_finds_every_tool_well_here() -> None:
    findings = {tool.name: tool for tool in doctor.examine()}
    assert {"python", "node", "anvil", "solc", "openzeppelin", "solady", "web3", "ape", "numba", "pyrevm", "coincurve",
            "cache"} <= set(findings)  # fmt: skip
    assert [tool for tool in findings.values() if tool.problem] == []


def test_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    for found in (tools.find_anvil, tools.find_node):
        found.cache_clear()
    try:
        problems = {tool.name: tool.problem for tool in doctor.examine() if tool.problem}
    finally:
        for found in (tools.find_anvil, tools.find_node):
            found.cache_clear()
    assert set(problems) == {"node", "anvil", "solc", "openzeppelin", "solady"}
    assert all("make setup" in problem for problem in problems.values())

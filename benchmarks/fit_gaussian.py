"""Fit the polynomials inside contracts/math/Gaussian.sol and contracts/math/Fixed64.sol, and print them as Solidity.

    python benchmarks/fit_gaussian.py        (about ten seconds)

Three functions, all in 60-digit arithmetic:

- the Mills ratio M(x) = N(-x) / phi(x) on [0, 10] as P / Q of degrees 6 and 7. What matters is the error of the tail
  phi M, so the weight is phi. Each pass solves the least-squares problem that is linear once Q is taken from the pass
  before; Lawson's reweighting (weights grow where the error is large) turns least squares into least maximum;
- 2 atanh(s) / s in t = s^2, where the logarithm has brought s to |s| <= 0.177;
- r coth(r / 2) in t = r^2, where the exponential has brought r to |r| <= ln(2) / 2.

The last two are interpolated at Chebyshev nodes, which is within a factor of two of the best polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpmath import atanh, cos, coth, erfc, exp, log, lu_solve, matrix, mp, mpf, nint, nstr, pi, polyval, sqrt

mp.dps = 60
Number = mpf
NODES = 220
PASSES = 40
WARM_UP = 5


def chebyshev_nodes(low: Number, high: Number, count: int) -> list[Number]:
    """Points in [low, high], dense toward the ends."""
    return [low + (high - low) / 2 * (1 - cos(pi * (i + mpf(1) / 2) / count)) for i in range(count)]


def density(x: Number) -> Number:
    """Normal density phi."""
    return exp(-x * x / 2) / sqrt(2 * pi)


def mills(x: Number) -> Number:
    """Normal tail over normal density."""
    return erfc(x / sqrt(mpf(2))) / 2 / density(x)


def value(coefficients: Sequence[Number], x: Number) -> Number:
    """Polynomial with the constant first."""
    return polyval(list(coefficients)[::-1], x)


def weighted_least_squares(rows: list[list[Number]], targets: list[Number], weights: list[Number]) -> list[Number]:
    """Coefficients that minimise the sum of weight (row . coefficients - target)^2."""
    size = len(rows[0])
    normal, right = matrix(size, size), matrix(size, 1)
    for row, target, weight in zip(rows, targets, weights, strict=True):
        for i in range(size):
            scaled = weight * row[i]
            right[i] += scaled * target
            for j in range(size):
                normal[i, j] += scaled * row[j]
    return list(lu_solve(normal, right))


def fit_mills(top: int, numerator: int, denominator: int) -> tuple[Number, list[Number], list[Number]]:
    """Largest weighted error, P and Q (constant first, Q(0) = 1) of the best quotient found."""
    xs = chebyshev_nodes(mpf(0), mpf(top), NODES)
    targets, weights = [mills(x) for x in xs], [density(x) for x in xs]
    rows = [
        [x**j for j in range(numerator + 1)] + [-target * x**j for j in range(1, denominator + 1)]
        for x, target in zip(xs, targets, strict=True)
    ]
    below, lawson = [mpf(1)] * NODES, [mpf(1) / NODES] * NODES
    best: tuple[Number, list[Number], list[Number]] = (mpf("inf"), [], [])
    for turn in range(PASSES):
        scales = [share * (weight / q) ** 2 for share, weight, q in zip(lawson, weights, below, strict=True)]
        solved = weighted_least_squares(rows, targets, scales)
        p, q = solved[: numerator + 1], [mpf(1), *solved[numerator + 1 :]]
        below = [value(q, x) for x in xs]
        errors = [abs(w * (value(p, x) / b - m)) for x, w, b, m in zip(xs, weights, below, targets, strict=True)]
        worst = max(errors)
        best = min(best, (worst, p, q), key=lambda found: found[0])
        if turn >= WARM_UP:
            lawson = [share * error / worst for share, error in zip(lawson, errors, strict=True)]
            lawson = [share / sum(lawson) for share in lawson]
    return best


def interpolate(f: Callable[[Number], Number], high: Number, degree: int) -> tuple[Number, list[Number]]:
    """Largest error on a fine grid, and the polynomial (constant first) through the Chebyshev nodes of [0, high]."""
    xs = chebyshev_nodes(mpf(0), high, degree + 1)
    coefficients = list(lu_solve(matrix([[x**j for j in range(degree + 1)] for x in xs]), matrix([f(x) for x in xs])))
    grid = [high * (i + mpf(1) / 2) / 500 for i in range(500)]
    return max(abs(value(coefficients, x) - f(x)) for x in grid), coefficients


def horner(name: str, argument: str, coefficients: Sequence[Number], first_scale: int) -> list[str]:
    """Solidity for Horner's rule in 2^64 fixed point; the scale grows by 2^64 a step, and 2^128 comes off at 2^192."""
    signs = [1 if c > 0 else -1 for c in coefficients]
    scale, top = first_scale, len(coefficients) - 1
    lines = [f"uint256 {name} = {int(nint(abs(coefficients[top]) * mpf(2) ** scale))};"]
    for j in range(top - 1, -1, -1):
        scale += 64
        constant = int(nint(abs(coefficients[j]) * mpf(2) ** scale))
        same = signs[j] == signs[j + 1]
        step = f"{name} * {argument} + {constant}" if same else f"{constant} - {name} * {argument}"
        cut = scale - first_scale == 128 and j > 0
        scale -= 128 if cut else 0
        lines.append(f"{name} = ({step}) >> 128;" if cut else f"{name} = {step};")
    return [*lines, f"// {name} is at 2^{scale}"]


def main() -> None:
    """Print the three fits with their errors."""
    error, p, q = fit_mills(10, 6, 7)
    print(f"// Gaussian.millsRatio: phi |P / Q - M| <= {nstr(error, 3)} on [0, 10]")
    print("\n".join([*horner("p", "x", p, 70), *horner("q", "x", q, 70)]))

    error, series = interpolate(lambda t: 2 * atanh(sqrt(t)) / sqrt(t), mpf("0.177") ** 2, 7)
    print(f"// Fixed64.lnRatio: |error of 2 atanh(s) / s| <= {nstr(error, 3)}")
    print("\n".join(horner("series", "t", series, 64)))

    error, even = interpolate(lambda t: sqrt(t) * coth(sqrt(t) / 2), (log(mpf(2)) / 2) ** 2, 5)
    print(f"// Fixed64.expNegative: |error of r coth(r / 2)| <= {nstr(error, 3)}")
    print("\n".join(horner("even", "t", even, 64)))


if __name__ == "__main__":
    main()

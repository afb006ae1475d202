"""Fit the polynomials inside contracts/math/Gaussian.sol and contracts/math/Fixed64.sol, and print them as Solidity.

    python benchmarks/fit_gaussian.py        (about half a minute)

Three functions, all in 60-digit arithmetic:

- the Mills ratio M(x) = N(-x) / phi(x) on [0, 10] as P / Q of degrees 6 and 7. What matters is the error of the tail
  phi M, so the weight is phi;
- 2 atanh(s) / s in t = s^2 on |s| <= 1/3, which is ln(a / b) for s = (a - b) / (a + b) and ratios up to two, as P / Q
  of degrees 3 and 4, weighted by s;
- r coth(r / 2) in t = r^2 on |r| <= ln(2) / 2, which gives exp(-r), as a polynomial of degree 4, weighted by
  the r / 2 that its error is multiplied with there.

Each pass solves the least-squares problem that is linear once Q is taken from the pass before; Lawson's reweighting
(weights grow where the error is large) turns least squares into least maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpmath import atanh, cos, coth, erfc, exp, log, lu_solve, matrix, mp, mpf, nint, nstr, pi, polyval, sqrt

mp.dps = 60
Number = mpf
NODES = 180
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


def fit(
    f: Callable[[Number], Number],
    weight: Callable[[Number], Number],
    top: Number,
    numerator: int,
    denominator: int,
) -> tuple[Number, list[Number], list[Number]]:
    """Largest weighted error on [0, top], P and Q (constant first, Q(0) = 1) of the best quotient found."""
    xs = chebyshev_nodes(mpf(0), mpf(top), NODES)
    targets, weights = [f(x) for x in xs], [weight(x) for x in xs]
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


def horner(
    name: str, argument: str, coefficients: Sequence[Number], scale: int, step: int, cuts: dict[int, int]
) -> list[str]:
    """Solidity for Horner's rule with an argument in 2^step fixed point.

    The leading coefficient is at 2^scale and the scale grows by 2^step at every power; where `cuts` names a power, so
    many bits come off once it has been added.
    """
    top = len(coefficients) - 1
    is_negative = coefficients[top] < 0
    lines = [f"uint256 {name} = {int(nint(abs(coefficients[top]) * mpf(2) ** scale))};"]
    for power in range(top - 1, -1, -1):
        scale += step
        constant = int(nint(abs(coefficients[power]) * mpf(2) ** scale))
        same = is_negative == (coefficients[power] < 0)
        is_negative = coefficients[power] < 0
        term = f"{name} * {argument} + {constant}" if same else f"{constant} - {name} * {argument}"
        cut = cuts.get(power, 0)
        scale -= cut
        lines.append(f"{name} = ({term}) >> {cut};" if cut else f"{name} = {term};")
    return [*lines, f"// {name} is at 2^{scale}"]


def main() -> None:
    """Print the three fits with their errors."""
    error, p, q = fit(mills, density, mpf(10), 6, 7)
    print(f"// Gaussian.millsRatio: phi |P / Q - M| <= {nstr(error, 3)} on [0, 10]")
    print("\n".join([*horner("p", "x", p, 70, 60, {3: 190}), *horner("q", "x", q, 70, 60, {5: 128, 2: 186})]))

    error, p, q = fit(lambda t: 2 * atanh(sqrt(t)) / sqrt(t), sqrt, mpf(1) / 9, 3, 4)
    print(f"// Fixed64.lnRatio: error of 2 atanh(s) <= {nstr(error, 3)}")
    print("\n".join([*horner("p", "t", p, 64, 64, {1: 106}), *horner("q", "t", q, 60, 64, {1: 166})]))

    error, even, _ = fit(lambda t: sqrt(t) * coth(sqrt(t) / 2), lambda t: sqrt(t) / 2, (log(mpf(2)) / 2) ** 2, 4, 0)
    print(f"// Fixed64.discounted: relative error of exp(-r) <= {nstr(error, 3)}")
    print("\n".join(horner("even", "t", even, 60, 64, {1: 192})))


if __name__ == "__main__":
    main()

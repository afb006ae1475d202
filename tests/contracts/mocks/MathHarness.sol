// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BlackScholes} from "../../../contracts/math/BlackScholes.sol";
import {ESSVI} from "../../../contracts/math/ESSVI.sol";
import {Gaussian} from "../../../contracts/math/Gaussian.sol";
import {ImpliedVol} from "../../../contracts/math/ImpliedVol.sol";
import {OptionQuote} from "../../../contracts/math/OptionQuote.sol";

/// @notice The maths libraries behind external functions, for tests and gas measurements.
contract MathHarness {
    function evaluate(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        external
        pure
        returns (BlackScholes.Quote memory)
    {
        return BlackScholes.evaluate(forward, strike, timeSeconds, vol, rate);
    }

    function cdf(int256 x) external pure returns (uint256) {
        return Gaussian.cdf(x);
    }

    function pdf(int256 x) external pure returns (uint256) {
        return Gaussian.pdf(x);
    }

    function totalVariance(int256 k, uint256 theta, int256 rhoPsi, uint256 psi) external pure returns (uint256) {
        return ESSVI.totalVariance(k, theta, rhoPsi, psi);
    }

    function impliedVol(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi
    ) external pure returns (uint256) {
        return ESSVI.impliedVol(forward, strike, timeSeconds, theta, rhoPsi, psi);
    }

    function logMoneyness(uint256 forward, uint256 strike) external pure returns (int256) {
        return ESSVI.logMoneyness(forward, strike);
    }

    function isButterflyFree(uint256 theta, int256 rhoPsi, uint256 psi) external pure returns (bool) {
        return ESSVI.isButterflyFree(theta, rhoPsi, psi);
    }

    function isCalendarFree(
        uint256 thetaEarlier,
        int256 rhoPsiEarlier,
        uint256 psiEarlier,
        uint256 thetaLater,
        int256 rhoPsiLater,
        uint256 psiLater
    ) external pure returns (bool) {
        return ESSVI.isCalendarFree(thetaEarlier, rhoPsiEarlier, psiEarlier, thetaLater, rhoPsiLater, psiLater);
    }

    function age(uint256 theta, int256 rhoPsi, uint256 psi, uint256 timeSeconds, uint256 reportTimeSeconds)
        external
        pure
        returns (uint256, int256, uint256)
    {
        return ESSVI.age(theta, rhoPsi, psi, timeSeconds, reportTimeSeconds);
    }
}

/// @notice The same functions without any work: what it costs to call them. Equal signatures give equal dispatch.
contract EmptyMathHarness {
    function evaluate(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        external
        pure
        returns (BlackScholes.Quote memory)
    {
        return BlackScholes.Quote(forward, strike, timeSeconds, rate, vol, vol, rate, rate);
    }

    function cdf(int256 x) external pure returns (uint256) {
        return uint256(x);
    }

    function pdf(int256 x) external pure returns (uint256) {
        return uint256(x);
    }

    function totalVariance(int256 k, uint256, int256, uint256) external pure returns (uint256) {
        return uint256(k);
    }

    function impliedVol(uint256 forward, uint256, uint256, uint256, int256, uint256) external pure returns (uint256) {
        return forward;
    }

    function logMoneyness(uint256 forward, uint256) external pure returns (int256) {
        return int256(forward);
    }

    function isButterflyFree(uint256 theta, int256, uint256) external pure returns (bool) {
        return theta == 0;
    }

    function isCalendarFree(uint256 thetaEarlier, int256, uint256, uint256, int256, uint256)
        external
        pure
        returns (bool)
    {
        return thetaEarlier == 0;
    }

    function age(uint256 theta, int256 rhoPsi, uint256 psi, uint256, uint256)
        external
        pure
        returns (uint256, int256, uint256)
    {
        return (theta, rhoPsi, psi);
    }
}

/// @notice The price alone, in a contract of its own: what `evaluate` shares with it is inlined only where it is used once.
contract PriceHarness {
    function price(uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate)
        external
        pure
        returns (uint256 call, uint256 put)
    {
        return BlackScholes.price(forward, strike, timeSeconds, vol, rate);
    }
}

/// @notice The same without any work.
contract EmptyPriceHarness {
    function price(uint256 forward, uint256 strike, uint256, uint256 vol, int256)
        external
        pure
        returns (uint256, uint256)
    {
        return (forward, strike + vol);
    }
}

/// @notice All prices and Greeks on the stack.
contract GreeksHarness {
    function greeks(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (uint256, uint256, uint256, int256, uint256, uint256, int256, int256) {
        return BlackScholes.greeks(forward, strike, timeSeconds, vol, rate);
    }
}

/// @notice The same without any work.
contract EmptyGreeksHarness {
    function greeks(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (uint256, uint256, uint256, int256, uint256, uint256, int256, int256) {
        return (forward, strike, timeSeconds, rate, vol, vol, rate, rate);
    }
}

/// @notice From a slice to prices and Greeks.
contract SliceHarness {
    function onSlice(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        int256 rate,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi
    ) external pure returns (uint256, uint256, uint256, uint256, int256, uint256, uint256, int256, int256) {
        return OptionQuote.onSlice(forward, strike, timeSeconds, rate, theta, rhoPsi, psi);
    }
}

/// @notice The same without any work.
contract EmptySliceHarness {
    function onSlice(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        int256 rate,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi
    ) external pure returns (uint256, uint256, uint256, uint256, int256, uint256, uint256, int256, int256) {
        return (theta, forward, strike, timeSeconds, rate, psi, psi, rhoPsi, rhoPsi);
    }
}

/// @notice The vol that a price implies.
contract ImpliedVolHarness {
    function solve(
        uint256 price, uint256 forward, uint256 strike, uint256 timeSeconds, int256 rate, bool isCall
    ) external pure returns (uint256) {
        return ImpliedVol.solve(price, forward, strike, timeSeconds, rate, isCall);
    }
}

/// @notice The same without any work.
contract EmptyImpliedVolHarness {
    function solve(
        uint256 price, uint256, uint256, uint256, int256, bool
    ) external pure returns (uint256) {
        return price;
    }
}

/// @notice Prices that are sure to be on one side of the exact one.
contract RoundedPriceHarness {
    function priceUp(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (uint256, uint256) {
        return BlackScholes.priceUp(forward, strike, timeSeconds, vol, rate);
    }

    function priceDown(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (uint256, uint256) {
        return BlackScholes.priceDown(forward, strike, timeSeconds, vol, rate);
    }
}

/// @notice All prices and Greeks in memory.
contract QuoteHarness {
    function evaluate(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (BlackScholes.Quote memory) {
        return BlackScholes.evaluate(forward, strike, timeSeconds, vol, rate);
    }
}

/// @notice The same without any work.
contract EmptyQuoteHarness {
    function evaluate(
        uint256 forward, uint256 strike, uint256 timeSeconds, uint256 vol, int256 rate
    ) external pure returns (BlackScholes.Quote memory) {
        return BlackScholes.Quote(forward, strike, timeSeconds, rate, vol, vol, rate, rate);
    }
}

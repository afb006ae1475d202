// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {Fixed64} from "./Fixed64.sol";

/// @title One slice of the eSSVI implied-volatility surface
/// @notice With k = ln(K / F), theta the at-the-money total variance, psi = theta phi and rho the correlation,
///
///     w(k) = (theta + (rho psi) k + sqrt((psi k)^2 + 2 theta (rho psi) k + theta^2)) / 2
///
/// A slice is held as (theta, rho psi, psi): no division, linear as it ages, linear between expiries. Everything is in
/// 1e18 fixed point; time is in seconds and vol is annualised on 365 days.
library ESSVI {
    error LogMoneynessOutOfRange(int256 logMoneyness);
    error SliceOutOfRange(uint256 theta, int256 rhoPsi, uint256 psi);
    error PriceOutOfRange(uint256 forward, uint256 strike);
    error Expired();

    uint256 internal constant YEAR = 365 days;

    /// @dev Forward and strike are at most this factor apart, which keeps |k| below 4.
    uint256 internal constant MAX_RATIO = 50;
    int256 internal constant MAX_LOG_MONEYNESS = 4e18;
    /// @dev 500% vol for four years.
    uint256 internal constant MAX_THETA = 100e18;
    uint256 internal constant MAX_PSI = 4e18;
    uint256 internal constant MAX_PRICE = 1e30;

    /// @notice Total variance w(k), rounded down.
    function totalVariance(int256 k, uint256 theta, int256 rhoPsi, uint256 psi) internal pure returns (uint256) {
        return _totalVariance(k, theta, rhoPsi, psi) / 1e18;
    }

    /// @notice Annual vol at a strike, sqrt(w / T), rounded down.
    /// @param timeSeconds Time to expiry; zero reverts.
    function impliedVol(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi
    ) internal pure returns (uint256) {
        if (timeSeconds == 0) revert Expired();
        uint256 variance = _totalVariance(logMoneyness(forward, strike), theta, rhoPsi, psi);
        return FixedPointMathLib.sqrt(variance * YEAR / timeSeconds);
    }

    /// @notice k = ln(strike / forward), for prices up to 1e12 that are at most a factor 50 apart.
    function logMoneyness(uint256 forward, uint256 strike) internal pure returns (int256) {
        if (forward > MAX_PRICE || strike > MAX_PRICE) revert PriceOutOfRange(forward, strike);
        unchecked {
            bool isFar = forward > MAX_RATIO * strike || strike > MAX_RATIO * forward;
            if (forward == 0 || isFar) revert PriceOutOfRange(forward, strike);
            return (Fixed64.lnRatio(strike, forward) * 1e18) >> 96;
        }
    }

    /// @notice Whether the slice is sure to imply a density that is nowhere negative.
    /// @dev Sufficient: psi + |rho psi| < 4, (psi + |rho psi| / 2)^2 <= 4 theta, |rho| <= 1. False outside the domain.
    function isButterflyFree(uint256 theta, int256 rhoPsi, uint256 psi) internal pure returns (bool) {
        if (theta == 0 || theta > MAX_THETA || psi >= MAX_PSI) return false;
        uint256 tilt = FixedPointMathLib.abs(rhoPsi);
        if (tilt > psi || psi + tilt >= 4e18) return false;
        unchecked {
            uint256 twiceCrossing = 2 * psi + tilt;
            return twiceCrossing * twiceCrossing <= 16e18 * theta;
        }
    }

    /// @notice Whether total variance is sure not to fall, at any strike, from the earlier slice to the later.
    /// @dev Sufficient: theta does not fall, |change of rho psi| <= change of psi, psi / theta does not rise.
    /// Both slices must be butterfly-free for the statement to hold.
    function isCalendarFree(
        uint256 thetaEarlier,
        int256 rhoPsiEarlier,
        uint256 psiEarlier,
        uint256 thetaLater,
        int256 rhoPsiLater,
        uint256 psiLater
    ) internal pure returns (bool) {
        if (thetaLater < thetaEarlier || psiLater < psiEarlier) return false;
        if (FixedPointMathLib.dist(rhoPsiLater, rhoPsiEarlier) > psiLater - psiEarlier) return false;
        return psiLater * thetaEarlier <= psiEarlier * thetaLater;
    }

    /// @notice The slice with the time that is left now: all three variables shrink alike, so vol stays where it was.
    /// @dev theta is rounded up and the others toward zero, which keeps the slice butterfly-free.
    /// @param timeSeconds Time to expiry now, at most `reportTimeSeconds`, the time to expiry at the report.
    function age(uint256 theta, int256 rhoPsi, uint256 psi, uint256 timeSeconds, uint256 reportTimeSeconds)
        internal
        pure
        returns (uint256, int256, uint256)
    {
        return (
            FixedPointMathLib.divUp(theta * timeSeconds, reportTimeSeconds),
            rhoPsi * int256(timeSeconds) / int256(reportTimeSeconds),
            psi * timeSeconds / reportTimeSeconds
        );
    }

    /// @notice Refuses slices outside the domain.
    function checkSlice(uint256 theta, int256 rhoPsi, uint256 psi) internal pure {
        unchecked {
            int256 signs = int256(theta | (MAX_THETA - theta) | psi | (MAX_PSI - psi));
            signs |= (int256(psi) - rhoPsi) | (int256(psi) + rhoPsi);
            if (signs < 0) revert SliceOutOfRange(theta, rhoPsi, psi);
        }
    }

    /// @notice w(k) in 1e18 x 2^60 fixed point, for k in 2^60 fixed point within 4; the caller answers for the domain.
    /// @dev The radicand stays below 2^254. Newton starts from |theta + tilt| + 3 |wing| / 4, and five steps suffice unless
    /// |rho| is close to 1; then the library's root does.
    function varianceAt(int256 k, uint256 theta, int256 rhoPsi, uint256 psi) internal pure returns (uint256) {
        unchecked {
            int256 atTheMoney = int256(theta << 60);
            int256 wing = int256(psi) * k;
            int256 tilt = rhoPsi * k;
            int256 middle = atTheMoney + tilt;
            uint256 radicand = uint256(wing * wing + atTheMoney * (middle + tilt));
            uint256 root = FixedPointMathLib.abs(middle) + ((3 * FixedPointMathLib.abs(wing)) >> 2);
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            root = (root + FixedPointMathLib.rawDiv(radicand, root)) >> 1;
            uint256 other = FixedPointMathLib.rawDiv(radicand, root);
            root = FixedPointMathLib.dist(root, other) > root >> 26 ? FixedPointMathLib.sqrt(radicand) : (root + other) >> 1;
            return uint256(middle + int256(root)) >> 1;
        }
    }

    /// @dev w(k) at 1e36, so that the vol of an option with minutes to live keeps its digits. The radicand is at 1e72:
    /// in the domain each of its terms stays below 2^253.
    function _totalVariance(int256 k, uint256 theta, int256 rhoPsi, uint256 psi) private pure returns (uint256) {
        if (k > MAX_LOG_MONEYNESS || k < -MAX_LOG_MONEYNESS) revert LogMoneynessOutOfRange(k);
        if (theta > MAX_THETA || psi > MAX_PSI || FixedPointMathLib.abs(rhoPsi) > psi) {
            revert SliceOutOfRange(theta, rhoPsi, psi);
        }
        unchecked {
            int256 atTheMoney = int256(theta) * 1e18;
            int256 wing = int256(psi) * k;
            int256 tilt = rhoPsi * k;
            int256 radicand = wing * wing + atTheMoney * (2 * tilt + atTheMoney);
            return uint256(atTheMoney + tilt + int256(FixedPointMathLib.sqrt(uint256(radicand)))) / 2;
        }
    }
}

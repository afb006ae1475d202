// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {BlackScholes} from "./BlackScholes.sol";
import {ESSVI} from "./ESSVI.sol";
import {Fixed64} from "./Fixed64.sol";

/// @title From a slice of the surface to prices and Greeks in one pass
/// @notice What `ESSVI.impliedVol` and `BlackScholes.greeks` give one after the other, with ln(F / K) and sqrt(T) worked
/// out once. The domain is that of both; outside it reverts with their errors.
library OptionQuote {
    /// @notice The slice's vol at a strike, prices and Greeks. Units as in
    /// `BlackScholes` and `ESSVI`.
    function onSlice(
        uint256 forward,
        uint256 strike,
        uint256 timeSeconds,
        int256 rate,
        uint256 theta,
        int256 rhoPsi,
        uint256 psi
    )
        internal
        pure
        returns (
            uint256 vol,
            uint256 call,
            uint256 put,
            uint256 callDelta,
            int256 putDelta,
            uint256 gamma,
            uint256 vega,
            int256 callTheta,
            int256 putTheta
        )
    {
        BlackScholes.checkDomain(forward, strike, timeSeconds, BlackScholes.MIN_VOL, rate);
        ESSVI.checkSlice(theta, rhoPsi, psi);
        unchecked {
            int256 logRatio = Fixed64.lnRatio(forward, strike);
            uint256 variance = ESSVI.varianceAt(-logRatio >> 36, theta, rhoPsi, psi) * BlackScholes.YEAR;
            vol = _rootVol(FixedPointMathLib.rawDiv(variance, timeSeconds));
            if (int256((vol - BlackScholes.MIN_VOL) | (BlackScholes.MAX_VOL - vol)) < 0) {
                revert BlackScholes.VolOutOfRange(vol);
            }
            (call, put, callDelta, putDelta, gamma, vega, callTheta, putTheta) =
                BlackScholes.greeksGiven(forward, strike, timeSeconds, vol, rate, logRatio);
        }
    }

    /// @dev sqrt of a variance in 1e18 x 2^60 fixed point, in 1e18 fixed point. Newton's first step from 100%, or from 12.5%
    /// for variances below 0.16, is a line. Vols from 3.5% to 400% are exact after five more; others take the library's root.
    function _rootVol(uint256 variance) private pure returns (uint256 vol) {
        unchecked {
            uint256 shift = variance > 0.16e18 << 60 ? 3 : 0;
            vol = ((variance >> 58) >> shift) + (0.0625e18 << shift);
            variance = (variance * 1e18) >> 60;
            vol = (vol + FixedPointMathLib.rawDiv(variance, vol)) >> 1;
            vol = (vol + FixedPointMathLib.rawDiv(variance, vol)) >> 1;
            vol = (vol + FixedPointMathLib.rawDiv(variance, vol)) >> 1;
            vol = (vol + FixedPointMathLib.rawDiv(variance, vol)) >> 1;
            uint256 other = FixedPointMathLib.rawDiv(variance, vol);
            return FixedPointMathLib.dist(vol, other) > vol >> 25 ? FixedPointMathLib.sqrt(variance) : (vol + other) >> 1;
        }
    }
}

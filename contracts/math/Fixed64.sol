// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title Logarithm and exponential in 2^64 fixed point
/// @notice The two elementary functions that option prices need, on the arguments that option prices have.
/// @dev Polynomials by benchmarks/fit_gaussian.py; in Horner's rule the scale grows by 2^64 a step.
library Fixed64 {
    uint256 internal constant ONE = 1 << 64;
    uint256 internal constant LN2 = 12786308645202655660;
    uint256 private constant HALF_LN2 = LN2 / 2;
    int256 private constant LN2_96 = 54916777467707473351141471128;

    /// @notice ln(a / b) in 2^96 fixed point, for a and b from 1 to 2^128, with an error below 2e-17.
    /// @dev ln(a / b) = 2 atanh(s), s = (a - b) / (a + b): s times a quotient of polynomials in s^2, within a factor of two.
    /// Farther out doublings come first.
    function lnRatio(uint256 a, uint256 b) internal pure returns (int256 result) {
        unchecked {
            int256 s = FixedPointMathLib.rawSDiv(int256(a - b) << 96, int256(a + b));
            uint256 t = uint256(s * s) >> 128;
            if (t > ONE / 9) {
                for (; a > 2 * b; b <<= 1) result += LN2_96;
                for (; b > 2 * a; a <<= 1) result -= LN2_96;
                s = FixedPointMathLib.rawSDiv(int256(a - b) << 96, int256(a + b));
                t = uint256(s * s) >> 128;
            }
            uint256 p = 2724116347120944699;
            p = 467976519898150099517544741957716621034 - p * t;
            p = (19645978711793871844932000199331898243504785747481383831266 - p * t) >> 106;
            p = 2854495385411919124189059788324558528371295596 - p * t;
            uint256 q = 7100305324597398;
            q = 4476978390162795725633071246200471835 - q * t;
            q = 439542920887497420887574534449389596175401938105898124382 - q * t;
            q = (13737470860382487241590951763730642856571987022047867782051037917144877629440 - q * t) >> 166;
            q = 1427247692705959881058285969449495136382746624 - q * t;
            result += FixedPointMathLib.rawSDiv(s * int256(p), int256(q));
        }
    }

    /// @notice exp(-z), argument and result in 2^64 fixed point, for z below 2^191.
    function expNegative(uint256 z) internal pure returns (uint256) {
        return discounted(ONE, z);
    }

    /// @notice amount * exp(-z), for z in 2^64 fixed point below 2^191 and amounts below 2^168.
    /// Errors are below 1.8e-16 of the result and one unit of the last place.
    /// @dev z = n ln 2 + r with |r| <= ln(2) / 2, and exp(-r) = (R - r) / (R + r) with R = r coth(r / 2), even in r.
    function discounted(uint256 amount, uint256 z) internal pure returns (uint256) {
        unchecked {
            z += HALF_LN2;
            uint256 r = z % LN2 - HALF_LN2; // negative ones wrap
            uint256 t = (r * r) >> 64;
            uint256 even = 1890471182952;
            even = 1406555497528543887511882974199163 - even * t;
            even = 1089774572969024091967508411651284668071024407037114892 - even * t;
            even = (1206167596208652166751961608689120763353383188761870226938019549189307891712 - even * t) >> 192;
            even = (even * t + 42535295865117544150396209861884131955) >> 38;
            r <<= 22;
            return FixedPointMathLib.rawDiv(amount * (even - r), even + r) >> (z / LN2);
        }
    }
}

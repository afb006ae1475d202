// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @title Logarithm and exponential in 2^64 fixed point
/// @notice The two elementary functions that option prices need, on the arguments that option prices have. Errors are
/// below 1e-18 of the result plus one unit of the last place.
/// @dev Polynomials by benchmarks/fit_gaussian.py. In Horner's rule the scale grows by 2^64 a step, and 2^128 comes off
/// every second step.
library Fixed64 {
    uint256 internal constant ONE = 1 << 64;
    uint256 internal constant LN2 = 12786308645202655660;
    uint256 private constant HALF_LN2 = LN2 / 2;
    uint256 private constant LN2_96 = 54916777467707473351141471128;

    /// @notice ln(a / b) in 2^96 fixed point, for a and b from 1 to 2^128.
    /// @dev Doublings bring a / b into [0.7, 1.43]; near the money there are none. Then ln(a / b) = 2 atanh(s) with
    /// s = (a - b) / (a + b), an odd series in s.
    function lnRatio(uint256 a, uint256 b) internal pure returns (int256 result) {
        unchecked {
            if (a > b) {
                for (; 5 * a > 7 * b; b <<= 1) result += int256(LN2_96);
            } else {
                for (; 5 * b > 7 * a; a <<= 1) result -= int256(LN2_96);
            }
            int256 s = FixedPointMathLib.rawSDiv((int256(a) - int256(b)) << 96, int256(a + b));
            uint256 t = uint256(s * s) >> 128;
            uint256 series = 2750622879585852662;
            series = series * t + 52071762707386065347635709928997855691;
            series = (series * t + 1141429290182825744918719508433245630270409575715093150894) >> 128;
            series = series * t + 75618193184265725363927159798102933246;
            series = (series * t + 1793457655007569630645105085961260421537595321845145710944) >> 128;
            series = series * t + 136112946764902014464671906305687302401;
            series = (series * t + 4184734490257882869643182239194742057953997393944432197436) >> 128;
            series = series * t + 680564733841876925656772771012263873775;
            result += (s * int256(series)) >> 128;
        }
    }

    /// @notice exp(-z), argument and result in 2^64 fixed point, for z below 2^191.
    /// @dev z = n ln 2 + r with |r| <= ln(2) / 2, and exp(-r) = (R - r) / (R + r) with R = r coth(r / 2), even in r.
    function expNegative(uint256 z) internal pure returns (uint256) {
        unchecked {
            uint256 n = (z + HALF_LN2) / LN2;
            int256 r = int256(z) - int256(n * LN2);
            uint256 t = uint256(r * r) >> 64;
            uint256 even = 763231367428;
            even = 562618809495368784783239418183852 - even * t;
            even = (415152211226994181140027605383928080962134634351862514 - even * t) >> 128;
            even = 945228796972175902006785785994063711 - even * t;
            even = (1046183622564441015881780011764091486141151121383044794809 - even * t) >> 128;
            even = even * t + 680564733841876927449271394548907395186;
            r <<= 64;
            return FixedPointMathLib.rawDiv((even - uint256(r)) << 64, even + uint256(r)) >> n;
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {Fixed64} from "./Fixed64.sol";

/// @title The standard normal distribution
/// @notice Distribution function N and density phi in 1e18 fixed point, for every argument. Errors stay below
/// 2.5e-17 for N and 3e-18 for phi.
/// @dev The tail is phi times the Mills ratio, N(-x) = phi(x) M(x) for x >= 0. M falls smoothly from 1.2533 toward 1 / x,
/// so one quotient of polynomials follows it everywhere that phi does not vanish: |phi (P / Q - M)| <= 2.2e-17 on
/// [0, 10], by benchmarks/fit_gaussian.py, with all coefficients positive.
library Gaussian {
    /// @dev From here on the tail is below 1e-23 and the density is zero in both fixed points.
    uint256 internal constant CUTOFF = 10 << 64;
    uint256 private constant CUTOFF_WAD = 10e18;
    /// @dev ln sqrt(2 pi).
    uint256 private constant LN_ROOT_TWO_PI = 16951423941496644917;

    /// @notice N(x).
    function cdf(int256 x) internal pure returns (uint256) {
        unchecked {
            uint256 distance = _toBinary(x);
            uint256 tail = (density(distance) * millsRatio(distance) * 1e18) >> 128;
            return x < 0 ? tail : 1e18 - tail;
        }
    }

    /// @notice phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
    function pdf(int256 x) internal pure returns (uint256) {
        unchecked {
            return (density(_toBinary(x)) * 1e18) >> 64;
        }
    }

    /// @notice phi(x), argument (not negative, below 2^95) and result in 2^64 fixed point.
    function density(uint256 x) internal pure returns (uint256) {
        unchecked {
            return Fixed64.expNegative((x * x >> 65) + LN_ROOT_TWO_PI);
        }
    }

    /// @notice M(x) = N(-x) / phi(x), argument and result in 2^64 fixed point; arguments above 10 count as 10.
    function millsRatio(uint256 x) internal pure returns (uint256) {
        unchecked {
            x = FixedPointMathLib.min(x, CUTOFF);
            uint256 p = 236946192137672119;
            p = p * x + 86814032580826631479433856623647923649;
            p = (p * x + 14574106162109743496276980254420868218796860016326311086781) >> 128;
            p = p * x + 4203547652887939885768547124974330269434;
            p = (p * x + 256268682199594143906506610575025566558049726550002109985793) >> 128;
            p = p * x + 27419615019516542633846578199052489030909;
            p = p * x + 503499542164978411607752310805789683620237496021408542392864;
            uint256 q = 236941840456715276;
            q = q * x + 86817354102076327024714381921360544593;
            q = (q * x + 14653488506115863865171407884164148037646166081050689176384) >> 128;
            q = q * x + 4291260817844055645077230677597041434291;
            q = (q * x + 270519853835923025813911752442498702784909984870724120506344) >> 128;
            q = q * x + 31515678291672344350132932491050556010913;
            q = (q * x + 724109865921795030157541716788585585319080294277660556864334) >> 128;
            q = q * x + 21778071482940061661655974875633165533184;
            return FixedPointMathLib.rawDiv(p, q);
        }
    }

    /// @dev |x| from 1e18 to 2^64 fixed point, at most the cut-off.
    function _toBinary(int256 x) private pure returns (uint256) {
        unchecked {
            return (FixedPointMathLib.min(FixedPointMathLib.abs(x), CUTOFF_WAD) << 64) / 1e18;
        }
    }
}

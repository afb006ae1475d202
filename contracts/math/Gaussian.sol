// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {Fixed64} from "./Fixed64.sol";

/// @title The standard normal distribution
/// @notice Distribution function N and density phi in 1e18 fixed point, for every argument. Errors stay below 5e-16.
/// @dev The tail is phi times the Mills ratio, N(-x) = phi(x) M(x) for x >= 0. M falls smoothly from 1.2533 toward 1 / x,
/// so one quotient of polynomials follows it everywhere that phi does not vanish: |phi (P / Q - M)| <= 2.2e-17 on
/// [0, 10], by benchmarks/fit_gaussian.py, with all coefficients positive.
library Gaussian {
    /// @dev From here on tail and density are below 1e-23.
    uint256 private constant CUTOFF_WAD = 10e18;
    /// @dev ln sqrt(2 pi) in 2^64 fixed point.
    uint256 private constant LN_ROOT_TWO_PI = 16951423941496644917;

    /// @notice N(x).
    function cdf(int256 x) internal pure returns (uint256) {
        unchecked {
            uint256 distance = _toBinary(x);
            uint256 tail = (densityTimes(1e18 << 64, int256(distance)) * millsRatio(distance)) >> 128;
            return x < 0 ? tail : 1e18 - tail;
        }
    }

    /// @notice phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
    function pdf(int256 x) internal pure returns (uint256) {
        return densityTimes(1e18, int256(_toBinary(x)));
    }

    /// @notice amount * phi(x), for x in 2^60 fixed point and amounts below 2^168.
    function densityTimes(uint256 amount, int256 x) internal pure returns (uint256) {
        unchecked {
            return Fixed64.discounted(amount, (uint256(x * x) >> 57) + LN_ROOT_TWO_PI);
        }
    }

    /// @notice M(x) = N(-x) / phi(x) in 2^64 fixed point, for x in 2^60 fixed point up to 16.
    function millsRatio(uint256 x) internal pure returns (uint256) {
        unchecked {
            uint256 p = 236970538152377074;
            p = p * x + 5426317223402983390047779301436255633;
            p = p * x + 56933676534275752873969924719471865935605650301374211121;
            p = (p * x + 349233425085726441226568557385651837985321723781495582384721688877860913152) >> 190;
            p = p * x + 847949002368430942836751061169386004;
            p = p * x + 1929519201898848930066160426472946436859478225743990847;
            p = p * x + 2214414404761144642987998281079250448017198381088125389271825082054868992;
            uint256 q = 236966188755454923;
            q = q * x + 5426524729905750131128617160351350870;
            q = (q * x + 57243797855441041853397721084689659206643176400458910316) >> 128;
            q = q * x + 1047720801408749280941689927224338802;
            q = q * x + 4127944432659170288730546320093436283741641195299388476;
            q = (q * x + 10227640850767698673644933431539202783604919199220861038263534060579061760) >> 186;
            q = q * x + 149743938631465015243139773201882354;
            q = q * x + 95780971304118053647396689196894323976171195136475136;
            return FixedPointMathLib.rawDiv(p, q);
        }
    }

    /// @dev |x| from 1e18 to 2^60 fixed point, at most the cut-off.
    function _toBinary(int256 x) private pure returns (uint256) {
        unchecked {
            return (FixedPointMathLib.min(FixedPointMathLib.abs(x), CUTOFF_WAD) << 60) / 1e18;
        }
    }
}

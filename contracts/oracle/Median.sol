// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {LibSort} from "solady/utils/LibSort.sol";

/// @title Median of a few numbers in memory
/// @notice Of 2f + 1 numbers of which f may be lies, the median lies within the range of the honest ones. An even count
///         gives the mean of the middle two, rounded down, which keeps the same promise. The array is left sorted.
library Median {
    function find(uint256[] memory values) internal pure returns (uint256) {
        LibSort.insertionSort(values);
        return FixedPointMathLib.avg(values[(values.length - 1) / 2], values[values.length / 2]);
    }

    function find(int256[] memory values) internal pure returns (int256) {
        LibSort.insertionSort(values);
        return FixedPointMathLib.avg(values[(values.length - 1) / 2], values[values.length / 2]);
    }
}

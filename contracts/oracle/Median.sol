// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {LibSort} from "solady/utils/LibSort.sol";

/// @title Median of a few numbers in memory
/// @notice Of 2f + 1 numbers of which f may be lies, the median lies within the range of the honest ones. An even count
///         gives the mean of the middle two, rounded down, which keeps the same promise. The array, which may not be
///         empty, is left sorted.
library Median {
    function find(uint256[] memory values) internal pure returns (uint256) {
        LibSort.insertionSort(values);
        uint256 count = values.length;
        unchecked {
            return FixedPointMathLib.avg(_at(values, (count - 1) / 2), _at(values, count / 2));
        }
    }

    function find(int256[] memory values) internal pure returns (int256) {
        LibSort.insertionSort(values);
        uint256 count = values.length;
        unchecked {
            return FixedPointMathLib.avg(
                int256(_at(_words(values), (count - 1) / 2)), int256(_at(_words(values), count / 2))
            );
        }
    }

    /// @notice The largest distance from a number between the ends of an array that `find` has sorted.
    function spread(uint256[] memory sorted, uint256 middle) internal pure returns (uint256) {
        unchecked {
            return FixedPointMathLib.max(middle - _at(sorted, 0), _at(sorted, sorted.length - 1) - middle);
        }
    }

    function spread(int256[] memory sorted, int256 middle) internal pure returns (uint256) {
        return spread(_words(sorted), uint256(middle));
    }

    /// @notice `values[place] = value` for a place that is known to be there.
    function put(uint256[] memory values, uint256 place, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(values, shl(5, add(place, 1))), value)
        }
    }

    function put(int256[] memory values, uint256 place, int256 value) internal pure {
        put(_words(values), place, uint256(value));
    }

    function _at(uint256[] memory values, uint256 place) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(values, shl(5, add(place, 1))))
        }
    }

    function _words(int256[] memory values) private pure returns (uint256[] memory words) {
        assembly ("memory-safe") {
            words := values
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

/// @title Series ids
/// @notice A series is its terms: expiry << 136 | isCall << 128 | strike (wad). Nothing about it needs storage.
library SeriesId {
    using SafeCastLib for uint256;

    /// @dev Reverts for a strike of more than 128 bits, which would spill into the other terms.
    function pack(uint64 expiry, uint256 strike, bool isCall) internal pure returns (uint256) {
        return uint256(expiry) << 136 | uint256(isCall ? 1 : 0) << 128 | strike.toUint128();
    }

    function expiryOf(uint256 id) internal pure returns (uint64) {
        return uint64(id >> 136);
    }

    function strikeOf(uint256 id) internal pure returns (uint256) {
        return uint128(id);
    }

    function isCallOf(uint256 id) internal pure returns (bool) {
        return uint8(id >> 128) == 1;
    }
}

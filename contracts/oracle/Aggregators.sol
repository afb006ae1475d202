// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "../interfaces/IPriceFeed.sol";

/// @title Reading aggregators that may be broken
/// @notice Never reverts, whatever the aggregator does: reverts, returns rubbish, burns gas. Units are the caller's.
/// @dev The gas bound leaves the caller enough to go on. A caller who is given so little gas that the aggregator runs out
///      of it has a 64th of that left, which no longer pays for a storage write: a check cannot be starved away.
library Aggregators {
    struct Answer {
        bool isRead;
        int256 answer;
        uint256 startedAt; // unix seconds
        uint256 updatedAt; // unix seconds
    }

    uint256 private constant GAS = 200_000;

    /// @notice The newest answer.
    function latest(AggregatorV3Interface aggregator) internal view returns (Answer memory) {
        return _read(aggregator, abi.encodeCall(aggregator.latestRoundData, ()));
    }

    /// @notice The answer of one round.
    function at(AggregatorV3Interface aggregator, uint80 roundId) internal view returns (Answer memory) {
        return _read(aggregator, abi.encodeCall(aggregator.getRoundData, (roundId)));
    }

    /// @notice A positive answer as wad, for at most 18 decimals; capped at 2^128 units of the source.
    function toWad(int256 answer, uint256 unit) internal pure returns (uint256) {
        uint256 positive = uint256(answer);
        return (positive > type(uint128).max ? type(uint128).max : positive) * 1e18 / unit;
    }

    /// @dev Copies five words and no more, so that a long answer costs nothing.
    function _read(AggregatorV3Interface aggregator, bytes memory data) private view returns (Answer memory read) {
        uint256[5] memory words;
        bool isRead;
        assembly ("memory-safe") {
            isRead := staticcall(GAS, aggregator, add(data, 32), mload(data), words, 160)
            isRead := and(isRead, gt(returndatasize(), 159))
        }
        if (isRead) read = Answer(true, int256(words[1]), words[2], words[3]);
    }
}

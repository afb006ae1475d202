// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "../interfaces/IPriceFeed.sol";

/// @title A price aggregator as chains have them, for tests
/// @notice 8 decimals, and round ids with gaps: the upper 16 bits of the 80 name the phase (the aggregator behind the
///         proxy), the lower 64 the round within it. Anyone may push, and any answer is taken, also a wrong one.
contract TestAggregator is AggregatorV3Interface {
    struct Answer {
        int256 answer; // 8 decimals
        uint256 updatedAt; // unix seconds
    }

    error NoDataPresent(uint80 roundId);

    uint8 public constant decimals = 8;
    uint256 public constant version = 4;
    string public description;
    uint16 public phase = 1;
    mapping(uint16 phase => Answer[]) private _answers;

    constructor(string memory description_) {
        description = description_;
    }

    /// @notice A new round at the block's time.
    function push(int256 answer) external {
        _answers[phase].push(Answer(answer, block.timestamp));
    }

    /// @notice A new round that claims to be of another time.
    function pushAt(int256 answer, uint256 updatedAt) external {
        _answers[phase].push(Answer(answer, updatedAt));
    }

    /// @notice Replaces the aggregator behind the proxy: rounds start at 1 again under the next phase.
    function startPhase() external {
        phase++;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(uint80(phase) << 64 | uint80(_answers[phase].length));
    }

    function getRoundData(uint80 roundId) public view returns (uint80, int256, uint256, uint256, uint80) {
        uint256 number = uint64(roundId);
        Answer[] storage answers = _answers[uint16(roundId >> 64)];
        if (number == 0 || number > answers.length) revert NoDataPresent(roundId);
        Answer memory round = answers[number - 1];
        return (roundId, round.answer, round.updatedAt, round.updatedAt, roundId);
    }
}

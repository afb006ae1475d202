// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title An aggregator that says whatever it is told to, or misbehaves
/// @notice Round data of any id, time and answer; and, by `mode`, a revert, an answer that is too short, one of half a
///         megabyte, or all the gas there is.
contract HostileAggregator {
    enum Mode { HONEST, REVERTS, SHORT, LONG, BURNS }

    struct Data {
        int256 answer;
        uint256 startedAt;
        uint256 updatedAt;
    }

    uint8 public immutable decimals;
    Mode public mode;
    uint256 public newest;
    mapping(uint256 id => Data) public data;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    /// @notice Makes `id` the newest round, whatever came before.
    function set(uint256 id, int256 answer, uint256 startedAt, uint256 updatedAt) external {
        newest = id;
        data[id] = Data(answer, startedAt, updatedAt);
    }

    function latestRoundData() external view returns (uint256, int256, uint256, uint256, uint256) {
        return getRoundData(uint80(newest));
    }

    function getRoundData(uint80 id) public view returns (uint256, int256, uint256, uint256, uint256) {
        if (mode == Mode.REVERTS) revert("down");
        if (mode == Mode.BURNS) {
            while (true) {}
        }
        if (mode == Mode.SHORT) {
            assembly ("memory-safe") {
                return(0, 31)
            }
        }
        if (mode == Mode.LONG) {
            assembly {
                return(0, 500000)
            }
        }
        Data memory round = data[id];
        return (id, round.answer, round.startedAt, round.updatedAt, id);
    }
}

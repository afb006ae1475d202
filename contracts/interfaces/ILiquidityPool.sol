// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title ILiquidityPool
/// @notice What a market asks the pool that stands behind it.
interface ILiquidityPool {
    /// @notice Whether the pool could carry `added` coins (wad) of open interest more: its equity at index `price` is at
    ///         least its reserve with them, both wad.
    function backs(uint256 added, uint256 price) external view returns (bool);

    /// @notice Cash less what the markets owe their traders at index `price`, wad, rounded down. Negative when the pool
    ///         cannot pay them.
    function equity(uint256 price) external view returns (int256);
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IBackstop
/// @notice One stage of the waterfall that pays for bad debt.
interface IBackstop {
    error NotWaterfall(address caller);

    /// @notice Covers up to `amount` (wad) of the clearinghouse's bad debt from this account. Waterfall only.
    ///         Never reverts because money is short.
    /// @param price index price at which the payer's own obligations are valued, wad
    /// @return covered what was paid, wad
    function cover(uint256 amount, uint256 price) external returns (uint256 covered);
}

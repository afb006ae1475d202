// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title ILiquidityPool
/// @notice The counterparty of every perpetual trade, and its providers' shares (ERC-4626). With its cash C, what its
///         markets owe their traders D(P), their skews s and the price band b:
///
///         equity(P) = C - sum D(P)                                      what the shares are worth
///         low, high = equity(P) -+ sum |s| P b                          its worst and best within P (1 +- b)
///
///         deposit, mint       at high, rounded against the depositor
///         withdraw, redeem    at low, rounded against the provider
///
///         so nobody gains by coming or going on a price that moves within the band before the next report. Providers say
///         that they leave COOLDOWN seconds before, and leave within EXIT_WINDOW seconds after that: every order that was
///         committed when they said so has its price by then, so they go with its loss.
interface ILiquidityPool {
    /// @param shares that may leave between `from` and `until`, unix seconds
    struct Exit {
        uint128 shares;
        uint64 from;
        uint64 until;
    }

    event ExitRequested(address indexed owner, uint256 shares, uint256 from, uint256 until);

    error ExitTooLarge(uint256 shares, uint256 balance);
    error SharesLeaving(address owner, uint256 shares, uint256 until);
    error BadSetting(bytes32 name, uint256 value);

    /// @notice Announces that `shares` of the caller are to leave; in place of an announcement before, 0 takes it back. Until
    ///         the window is over they can be redeemed within it, and are not transferred.
    function requestExit(uint256 shares) external;

    /// @notice The announcement that stands, zeroes when there is none or its window is over.
    function exitOf(address owner) external view returns (Exit memory);

    /// @notice Whether the pool could carry `added` coins (wad) of open interest more: its equity at index `price` is at
    ///         least its reserve with them, both wad.
    function backs(uint256 added, uint256 price) external view returns (bool);

    /// @notice Cash less what the markets owe their traders at index `price`, wad, rounded down. Negative when the pool
    ///         cannot pay them.
    function equity(uint256 price) external view returns (int256);

    /// @notice Least and greatest equity within the price band around `price`, wad, low rounded down and high up.
    function equityRange(uint256 price) external view returns (int256 low, int256 high);

    /// @notice What must stay in the pool at index `price`: the locked share of the open interest's value, wad, rounded up.
    function reserve(uint256 price) external view returns (uint256);
}

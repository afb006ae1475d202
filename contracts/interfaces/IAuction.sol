// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILiquidationEngine} from "./IClearinghouse.sol";

/// @title IAuction
/// @notice Dutch auction of a whole account. With equity E = cash + perpetuals at index + options at mid (longs count), a
///         bidder takes a fraction f of every position and of the cash and pays f d(t) E, where d falls with time. What it
///         pays is reserved: neither that cash nor its part of E is for sale to later bids, so cutting a bid gains nothing.
///         Where E <= 0 the auction is insolvent: the bidder is paid, and more the longer nobody bids, from the account's
///         cash and then by the waterfall.
interface IAuction is ILiquidationEngine {
    /// @notice Times in unix seconds; 0 where no auction is running, or it is not insolvent. `reserved` is the cash that
    ///         earlier bids have paid and that is not for sale, wad.
    struct Auction {
        uint64 startedAt;
        uint64 insolventAt;
        uint256 reserved;
    }

    event AuctionStarted(address indexed account, address indexed starter, int256 equity, uint256 reward);
    event AuctionInsolvent(address indexed account, int256 equity);
    event AuctionEnded(address indexed account);

    /// @param fraction of every position and of the cash, wad
    /// @param paid by the bidder for it in cash, net of the cash that it received with it, wad; negative when it received
    /// @param price index, wad
    /// @param deficit what the waterfall paid, wad
    event AuctionBid(
        address indexed account, address indexed bidder, uint256 fraction, int256 paid, uint256 price, uint256 deficit
    );

    error NoAuction(address account);
    error OwnAuction(address account);
    error PaysTooMuch(int256 amount, int256 max);
    error DeficitTooLarge(uint256 deficit, uint256 insurable);
    error SettlementDue(address account);
    error BadFraction(uint256 fraction);
    error BadSetting(bytes32 name, uint256 value);

    /// @notice Takes at most `fraction` (wad, up to 1e18) of the account, no more than makes it healthy again. Anyone but the
    ///         account itself; the bidder needs initial margin afterwards and pays at most `maxPaid` (wad, signed: the most
    ///         to pay, or minus the least to receive). Only while the account is below maintenance margin, in an auction
    ///         that `liquidate` has started, or seen going on, no longer than `fastTime` ago: one that nobody watched may
    ///         have been healthy meanwhile and starts anew.
    /// @return taken the fraction, wad, rounded up
    /// @return paid by the bidder, net of the cash received, wad, rounded up
    function bid(address account, uint256 fraction, int256 maxPaid) external returns (uint256 taken, int256 paid);

    function auction(address account) external view returns (Auction memory);

    /// @notice What a bid would be now at index `price`: the largest fraction, and what the whole account would cost net of
    ///         its cash, wad. Both 0 where no bid is possible.
    function terms(address account, uint256 price) external view returns (uint256 maxFraction, int256 paidForAll);
}

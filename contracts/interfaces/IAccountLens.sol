// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IAccountLens
/// @notice Many accounts of one clearinghouse in one call pinned to one block: what a liquidator needs to know who is close
///         to liquidation, what it is worth, and who is next in line for deleveraging. Nothing is cached; a locked
///         clearinghouse reverts. Amounts wad, times unix seconds; it answers at the newest price, however old.
interface IAccountLens {
    /// @notice The clearinghouse and its waterfall.
    struct House {
        uint256 blockNumber;
        uint256 timestamp;
        uint256 baseFee; // wei per gas
        uint256 price; // index, wad
        uint256 priceUpdatedAt;
        uint256 priceHeartbeat; // seconds
        uint256 badDebt;
        uint256 recordedBadDebt;
        uint256 adlUntil; // 0 when no deficit is open
        uint256 profitRatio; // 0 where there is no pool to compare with
        uint256 adlTrigger;
        uint256 adlTarget;
    }

    struct Market {
        address market;
        int256 skew;
        uint256 longOpenInterest;
        uint256 shortOpenInterest;
        int256 bankruptSide;
        uint256 gasReward; // USD that a liquidation pays for gas at this block's base fee
        uint256 liquidationFee; // fraction
        uint256 takerFee; // fraction
        uint256 skewScale; // coins
        uint256 fundingRateCap; // per day
        uint256 maxBaseFee; // wei per gas
    }

    /// @notice One account. `readable` is false, and the rest zero, where the margin model could not value it now.
    struct Account {
        address account;
        bool readable;
        bool holdsWithdrawals; // was insolvent when last looked at, and has been neither closed nor reviewed since
        int256 cash;
        int256 equity; // as its margin model counts
        uint256 initialMargin;
        uint256 maintenanceMargin;
        address engine;
        uint256 optionUnits; // sum of |size| over all series
        int256 optionValue; // at mid, longs counted
        int256 optionDelta; // coins
        uint256 optionClosingCost;
        uint64 auctionStartedAt; // 0 without an auction
        uint64 auctionInsolventAt;
        uint256 maxFraction; // of a bid now
        int256 paidForAll; // what all of it would cost a bidder, net of cash and perpetual profit
    }

    struct Position {
        int256 size; // coins
        int256 pending; // coins of the order in flight
        uint256 entryPrice;
        int256 pnl; // price profit at the index
        int256 funding; // accrued
        uint256 score; // rank for deleveraging
    }

    /// @param positions of each account in each market: account by account, in the order of `markets`
    struct Sight {
        House house;
        Market[] markets;
        Account[] accounts;
        Position[] positions;
    }

    error TooManyAccounts(uint256 count, uint256 max);

    /// @notice Accounts of `house` now. At most 64; an account that cannot be valued does not stop the others.
    /// @param markets perpetual markets of the house
    /// @param optionMarket zero where there is none
    function look(address house, address[] calldata markets, address optionMarket, address[] calldata accounts)
        external
        view
        returns (Sight memory);

    /// @notice One account at index `price`; reverts where it cannot be valued.
    function lookAt(address house, address[] calldata markets, address optionMarket, address account, uint256 price)
        external
        view
        returns (Account memory seen, Position[] memory positions);
}

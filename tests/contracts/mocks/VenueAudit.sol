// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IClearinghouse} from "../../../contracts/interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../../../contracts/interfaces/ILiquidityPool.sol";
import {IPerpMarket} from "../../../contracts/interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../../../contracts/interfaces/IPriceFeed.sol";

interface ITokenBalance {
    function balanceOf(address account) external view returns (uint256);
}

/// @notice Reads everything that the laws of a venue speak of in one call.
contract VenueAudit {
    struct Account {
        int256 cash;
        int256 size;
        int256 pending;
        int256 worth; // profit and funding of the position
        int256 equity;
        uint256 initial;
        uint256 maintenance;
    }

    struct Venue {
        uint256 price;
        uint256 priceTime;
        int256 skew;
        uint256 long;
        uint256 short;
        int256 marketDebt;
        int256 poolEquity;
        uint256 badDebt;
        uint256 recorded;
        uint256 custody; // wad
        uint256 index;
        bool locked;
    }

    function look(IClearinghouse house, IPerpMarket perp, address[] calldata accounts)
        external
        view
        returns (Venue memory venue, Account[] memory all)
    {
        (venue.price, venue.priceTime,) = IPriceFeed(house.priceFeed()).peek();
        venue.skew = perp.skew();
        (venue.long, venue.short) = perp.openInterest();
        venue.marketDebt = perp.marketDebt(venue.price);
        venue.poolEquity = ILiquidityPool(house.liquidityPool()).equity(venue.price);
        venue.badDebt = house.badDebt();
        venue.recorded = house.recordedBadDebt();
        venue.custody = ITokenBalance(house.token()).balanceOf(address(house)) * 1e12;
        venue.index = house.haircutIndex();
        venue.locked = house.locked();
        all = new Account[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) all[i] = _account(house, perp, accounts[i], venue.price);
    }

    function _account(IClearinghouse house, IPerpMarket perp, address account, uint256 price)
        private
        view
        returns (Account memory seen)
    {
        seen.cash = house.cash(account);
        seen.size = perp.netSize(account);
        seen.pending = perp.pendingSize(account);
        (int256 pnl, int256 funding) = perp.accrued(account, price);
        seen.worth = pnl + funding;
        (seen.equity, seen.initial, seen.maintenance) = house.margin(account, price);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IAccountLens} from "../interfaces/IAccountLens.sol";
import {IAuction} from "../interfaces/IAuction.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IWaterfall} from "../interfaces/IWaterfall.sol";

/// @title AccountLens
/// @notice Stateless. Each account is valued in a call of its own, so that one which cannot be valued hides no other.
contract AccountLens is IAccountLens {
    uint256 public constant MAX_ACCOUNTS = 64;

    /// @inheritdoc IAccountLens
    function look(address house, address[] calldata markets, address optionMarket, address[] calldata accounts)
        external
        view
        returns (Sight memory seen)
    {
        if (accounts.length > MAX_ACCOUNTS) revert TooManyAccounts(accounts.length, MAX_ACCOUNTS);
        if (IClearinghouse(house).locked()) revert IClearinghouse.Locked();
        IWaterfall waterfall = IWaterfall(IClearinghouse(house).waterfall());
        seen.house = _house(IClearinghouse(house), waterfall);
        uint256 price = seen.house.price;

        seen.markets = new Market[](markets.length);
        for (uint256 i; i < markets.length; ++i) {
            seen.markets[i] = _market(IPerpMarket(markets[i]), waterfall, price);
        }
        seen.accounts = new Account[](accounts.length);
        seen.positions = new Position[](accounts.length * markets.length);
        for (uint256 i; i < accounts.length; ++i) {
            seen.accounts[i].account = accounts[i];
            try this.lookAt(house, markets, optionMarket, accounts[i], price) returns (
                Account memory account, Position[] memory positions
            ) {
                seen.accounts[i] = account;
                for (uint256 j; j < markets.length; ++j) {
                    seen.positions[i * markets.length + j] = positions[j];
                }
            } catch {}
        }
    }

    /// @inheritdoc IAccountLens
    function lookAt(address house, address[] calldata markets, address optionMarket, address account, uint256 price)
        external
        view
        returns (Account memory seen, Position[] memory positions)
    {
        IClearinghouse clearinghouse = IClearinghouse(house);
        seen.account = account;
        seen.readable = true;
        seen.cash = clearinghouse.cash(account);
        (seen.equity, seen.initialMargin, seen.maintenanceMargin) = clearinghouse.margin(account, price);
        seen.engine = clearinghouse.engineOf(account);
        if (optionMarket != address(0)) _options(seen, IOptionMarket(optionMarket), price);
        _auction(seen, clearinghouse.auction(), price);

        IWaterfall waterfall = IWaterfall(clearinghouse.waterfall());
        seen.holdsWithdrawals = waterfall.holdsWithdrawals(account);
        positions = new Position[](markets.length);
        for (uint256 i; i < markets.length; ++i) {
            positions[i] = _position(IPerpMarket(markets[i]), waterfall, account, price);
        }
    }

    function _house(IClearinghouse house, IWaterfall waterfall) private view returns (House memory seen) {
        IPriceFeed feed = IPriceFeed(house.priceFeed());
        (seen.blockNumber, seen.timestamp, seen.baseFee) = (block.number, block.timestamp, block.basefee);
        (seen.price, seen.priceUpdatedAt,) = feed.peek();
        seen.priceHeartbeat = feed.heartbeat();
        (seen.badDebt, seen.recordedBadDebt) = (house.badDebt(), house.recordedBadDebt());
        seen.adlUntil = waterfall.adlUntil();
        (seen.adlTrigger, seen.adlTarget) = (waterfall.adlTrigger(), waterfall.adlTarget());
        if (house.liquidityPool() != address(0)) seen.profitRatio = waterfall.profitRatio(seen.price);
    }

    function _market(IPerpMarket market, IWaterfall waterfall, uint256 price)
        private
        view
        returns (Market memory seen)
    {
        IPerpMarket.Parameters memory parameters = market.parameters();
        seen.market = address(market);
        seen.skew = market.skew();
        (seen.longOpenInterest, seen.shortOpenInterest) = market.openInterest();
        seen.bankruptSide = waterfall.bankruptSide(address(market));
        seen.gasReward = market.liquidationReward(0, price);
        seen.liquidationFee = parameters.liquidationFee;
        seen.takerFee = parameters.takerFee;
        seen.skewScale = parameters.skewScale;
        seen.fundingRateCap = parameters.fundingRateCap;
        seen.maxBaseFee = parameters.maxBaseFee;
    }

    function _options(Account memory seen, IOptionMarket market, uint256 price) private view {
        (IOptionMarket.Holding[] memory held, IOptionMarket.Greeks memory total, uint256 closing) =
            market.book(seen.account, price);
        for (uint256 i; i < held.length; ++i) {
            int256 size = held[i].size;
            seen.optionUnits += uint256(size < 0 ? -size : size);
        }
        (seen.optionValue, seen.optionDelta, seen.optionClosingCost) = (total.value, total.delta, closing);
    }

    function _auction(Account memory seen, address auction, uint256 price) private view {
        if (auction == address(0)) return;
        IAuction.Auction memory running = IAuction(auction).auction(seen.account);
        if (running.startedAt == 0) return;
        (seen.auctionStartedAt, seen.auctionInsolventAt) = (running.startedAt, running.insolventAt);
        try IAuction(auction).terms(seen.account, price) returns (uint256 maxFraction, int256 paidForAll) {
            (seen.maxFraction, seen.paidForAll) = (maxFraction, paidForAll);
        } catch {} // healthy again: there is nothing to bid for
    }

    function _position(IPerpMarket market, IWaterfall waterfall, address account, uint256 price)
        private
        view
        returns (Position memory seen)
    {
        IPerpMarket.Position memory held = market.position(account);
        seen.pending = market.pendingSize(account);
        if (held.size == 0) return seen;
        (seen.size, seen.entryPrice) = (held.size, held.entryPrice);
        (seen.pnl, seen.funding) = market.accrued(account, price);
        if (seen.pnl + seen.funding > 0) seen.score = waterfall.score(address(market), account, price);
    }
}

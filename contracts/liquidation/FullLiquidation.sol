// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse, ILiquidationEngine} from "../interfaces/IClearinghouse.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title FullLiquidation
/// @notice The simplest engine: closes every perpetual position of an account at once, at the skew fill. What the account
///         cannot pay becomes bad debt, which the insurance fund and then the liquidity pool's equity cover; the rest
///         stays on record and blocks withdrawals until somebody pays it.
/// @dev An order in flight that has its benchmark is settled first, so that being liquidated is no way out of a bad trade;
///      one that has none is dropped without charge. Options are left alone: an account whose perpetuals are closed and
///      that still holds options keeps them, and has no bad debt on record until it is flat.
contract FullLiquidation is ILiquidationEngine {
    using SafeCastLib for uint256;

    IClearinghouse public immutable clearinghouse;
    IPriceFeed private immutable _feed;
    IPerpMarket[] private _markets;

    constructor(address clearinghouse_, address[] memory markets_) {
        clearinghouse = IClearinghouse(clearinghouse_);
        _feed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        for (uint256 i = 0; i < markets_.length; ++i) _markets.push(IPerpMarket(markets_[i]));
    }

    /// @inheritdoc ILiquidationEngine
    /// @dev The event's `price` is the index; each fill is in the market's `PositionClosed`. Nothing is closed, and nothing
    ///      earned but settlement rewards, where settling the orders in flight has made the account healthy.
    function liquidate(address account) external returns (uint256 reward) {
        (uint256 price,) = _feed.price();
        (int256 equity,, uint256 maintenance) = clearinghouse.margin(account, price);
        if (equity >= maintenance.toInt256() || _isOurs(account)) revert NotLiquidatable(account, equity, maintenance);

        for (uint256 i = 0; i < _markets.length; ++i) _settleOrder(_markets[i], account);
        clearinghouse.lock();
        if (clearinghouse.isLiquidatable(account, price)) reward = _closeAll(account, price);
        uint256 settlementRewards = uint256(clearinghouse.cash(address(this)));
        clearinghouse.move(address(this), msg.sender, settlementRewards, "keeper reward");
        clearinghouse.unlock();
    }

    /// @notice Lets the pool pay bad debt left from earlier liquidations out of the equity that it has now. Anyone.
    function coverBadDebt() external returns (uint256 covered) {
        clearinghouse.lock();
        (uint256 price,) = _feed.price();
        covered = IBackstop(clearinghouse.liquidityPool()).cover(clearinghouse.badDebt(), price);
        clearinghouse.unlock();
    }

    /// @dev Settles an order whose benchmark exists; the reward goes to this contract's account for the moment. What cannot
    ///      be settled (it never should) must not stop the liquidation.
    function _settleOrder(IPerpMarket market, address account) private {
        IPerpMarket.Order memory pending = market.order(account);
        if (pending.sizeDelta == 0) return;
        uint256 benchmarkTime = pending.committedAt + market.parameters().settlementDelay;
        (, uint256 updatedAt,) = _feed.peek();
        if (updatedAt < benchmarkTime) return;
        try market.settle(account, _feed.roundAt(benchmarkTime - 1) + 1) {} catch {}
    }

    function _closeAll(address account, uint256 price) private returns (uint256 reward) {
        int256 closed;
        for (uint256 i = 0; i < _markets.length; ++i) {
            (int256 size, uint256 earned) = _close(_markets[i], account, price);
            closed += size;
            reward += earned;
        }
        clearinghouse.move(account, msg.sender, reward, "liquidation reward");
        uint256 deficit = _isFlat(account, price) ? clearinghouse.recordBadDebt(account) : 0;
        if (deficit > 0) _cover(deficit, price);
        emit Liquidated(account, msg.sender, closed, price, reward, deficit);
    }

    /// @dev Drops the account's order and closes its position; returns the signed size closed and what that earns.
    function _close(IPerpMarket market, address account, uint256 price) private returns (int256 closed, uint256 reward) {
        if (market.pendingSize(account) != 0) market.dropOrder(account);
        closed = -market.netSize(account);
        if (closed == 0) return (0, 0);
        market.closePosition(account, closed);
        reward = market.liquidationReward(closed, price);
    }

    /// @dev The waterfall: insurance fund up to its cap per event, then the pool's equity.
    function _cover(uint256 deficit, uint256 price) private {
        uint256 insured = IBackstop(clearinghouse.insuranceFund()).cover(deficit, price);
        IBackstop(clearinghouse.liquidityPool()).cover(deficit - insured, price);
    }

    /// @dev The venue's own accounts: bad debt itself, the pool, the fund, the products. Their deficits are not a trader's.
    function _isOurs(address account) private view returns (bool) {
        return account == address(clearinghouse) || clearinghouse.isModule(account);
    }

    function _isFlat(address account, uint256 price) private view returns (bool) {
        (int256 equity, uint256 initial,) = clearinghouse.margin(account, price);
        return initial == 0 && equity == clearinghouse.cash(account);
    }
}

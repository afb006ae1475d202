// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse, ILiquidationEngine, IProduct} from "../interfaces/IClearinghouse.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IWaterfall} from "../interfaces/IWaterfall.sol";

/// @title LiquidationEngine
/// @notice What every engine does the same way: whom it may liquidate, what becomes of orders in flight, who earns what,
///         and where a deficit goes. How much is closed, and how, is the engine's own `_liquidate`.
/// @dev An order that has its benchmark is settled first, so that being liquidated is no way out of a bad trade; one that
///      has none is dropped without charge. Nobody can starve that settlement of gas: a call that leaves it too little
///      has less than a sixty-third of that for all the rest.
abstract contract LiquidationEngine is ILiquidationEngine {
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;

    IClearinghouse public immutable clearinghouse;

    IPriceFeed internal immutable _feed;
    IPerpMarket[] internal _markets;

    constructor(address clearinghouse_, address[] memory markets_) {
        clearinghouse = IClearinghouse(clearinghouse_);
        _feed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        for (uint256 i = 0; i < markets_.length; ++i) _markets.push(IPerpMarket(markets_[i]));
    }

    /// @inheritdoc ILiquidationEngine
    /// @dev One price for the whole call. Nothing is earned but settlement rewards where settling the orders in flight
    ///      has made the account healthy.
    function liquidate(address account) external returns (uint256 reward, uint256 nextAt) {
        (uint256 price,) = _feed.price();
        (int256 equity, uint256 maintenance) = _requireLiquidatable(account, price);
        bool settled = _settleOrders(account);
        clearinghouse.lock();
        if (settled) (equity,, maintenance) = clearinghouse.margin(account, price);
        (reward, nextAt) = _liquidate(account, price, equity, maintenance);
        if (settled) _passOnRewards();
        clearinghouse.unlock();
    }

    /// @dev What this engine does with `account`, within the lock: its orders with a benchmark are settled, the others
    ///      still stand. Settling may have made it healthy. Must not revert.
    /// @return reward paid to the caller, wad
    /// @return nextAt when another call can do more, unix seconds; 0 when nothing is left to do
    function _liquidate(address account, uint256 price, int256 equity, uint256 maintenance)
        internal
        virtual
        returns (uint256 reward, uint256 nextAt);

    /// @inheritdoc ILiquidationEngine
    function isInsolvent(address account, uint256 price) external view returns (bool) {
        return !_isOurs(account) && _owes(account, price);
    }

    /// @dev Whether cash and positions at index come to less than nothing.
    function _owes(address account, uint256 price) internal view virtual returns (bool) {
        return _cash(account, price) < 0;
    }

    /// @dev Cash and the profit of the perpetuals at index; moving a position at index does not change it.
    function _cash(address account, uint256 price) internal view returns (int256 cash) {
        cash = clearinghouse.cash(account);
        for (uint256 i = 0; i < _markets.length; ++i) {
            (int256 pnl, int256 funding) = _markets[i].accrued(account, price);
            cash += pnl + funding;
        }
    }

    /// @dev Withdrawals wait for an account that is insolvent and not closed yet: an engine that needs more than one call
    ///      says at the end of each how it stands.
    function _observe(address account, bool insolvent) internal {
        IWaterfall(clearinghouse.waterfall()).observe(account, insolvent);
    }

    // ---------------------------------------------------------------- orders

    /// @dev Settles what has its benchmark, before the lock is taken; the rewards go to this contract's account until
    ///      `_passOnRewards`. What cannot be settled (it never should) must not stop the liquidation.
    function _settleOrders(address account) internal returns (bool settled) {
        for (uint256 i = 0; i < _markets.length; ++i) {
            IPerpMarket market = _markets[i];
            if (market.pendingSize(account) == 0) continue;
            uint256 time = market.benchmarkTime(account);
            (, uint256 updatedAt,) = _feed.peek();
            if (updatedAt < time) continue;
            try market.settle(account, _feed.roundAt(time - 1) + 1) {
                settled = true;
            } catch {}
        }
    }

    /// @dev Drops every order that is still in flight; returns whether there was one.
    function _dropOrders(address account) internal returns (bool dropped) {
        for (uint256 i = 0; i < _markets.length; ++i) {
            if (_markets[i].pendingSize(account) == 0) continue;
            _markets[i].dropOrder(account);
            dropped = true;
        }
    }

    /// @dev Gives the caller what settling orders has earned.
    function _passOnRewards() internal {
        int256 earned = clearinghouse.cash(address(this));
        if (earned > 0) clearinghouse.move(address(this), msg.sender, uint256(earned), "keeper reward");
    }

    // ---------------------------------------------------------------- closing

    /// @dev What one call has closed. A deficit is laid to the market where that was most: its other side may be
    ///      deleveraged for it.
    struct Closing {
        int256 size; // signed coins, of all markets together, wad
        int256 most; // signed coins closed in `market`, wad
        address market;
        uint256 reward; // wad
    }

    /// @dev Closes `sizeDelta` (wad, opposite to the position) at the skew fill and pays the caller for it.
    function _close(Closing memory closing, IPerpMarket market, address account, int256 sizeDelta, uint256 price)
        internal
    {
        market.closePosition(account, sizeDelta, price);
        _payReward(closing, market, account, sizeDelta, price);
        closing.size += sizeDelta;
        if (sizeDelta.abs() > closing.most.abs()) (closing.market, closing.most) = (address(market), sizeDelta);
    }

    /// @dev Closes every position.
    function _closeAll(Closing memory closing, address account, uint256 price) internal {
        for (uint256 i = 0; i < _markets.length; ++i) {
            int256 size = _markets[i].netSize(account);
            if (size != 0) _close(closing, _markets[i], account, -size, price);
        }
    }

    /// @dev Leaves a deficit to the waterfall once the account is flat, and reports the call if it did anything. An account
    ///      whose own order closed it at a loss has nothing left to close: whoever has its debt recorded earns the gas.
    function _finish(Closing memory closing, address account, uint256 price) internal {
        uint256 deficit;
        if (clearinghouse.cash(account) < 0 && _isFlat(account)) {
            if (closing.most == 0 && _markets.length > 0) {
                closing.market = address(_markets[0]);
                _payReward(closing, _markets[0], account, 0, price);
            }
            deficit = _absorb(account, closing.market, closing.most, price);
        }
        if (closing.most == 0 && deficit == 0) return;
        emit Liquidated(account, msg.sender, closing.size, price, closing.reward, deficit);
    }

    /// @dev Leaves to the waterfall what `account` owes: its negative cash. Returns the deficit, wad.
    function _absorb(address account, address market, int256 closed, uint256 price)
        internal
        returns (uint256 deficit)
    {
        return IWaterfall(clearinghouse.waterfall()).absorb(account, market, closed, price);
    }

    /// @dev Leaves to the waterfall `deficit` of what an account owes that is not flat yet: pays it in, for this contract to
    ///      owe. Returns what the insurance fund paid, `insurable` at most, wad.
    function _absorbPart(
        address account,
        uint256 deficit,
        address market,
        int256 closed,
        uint256 price,
        uint256 insurable
    ) internal returns (uint256 insured) {
        if (deficit == 0) return 0;
        clearinghouse.move(address(this), account, deficit, "bad debt");
        return IWaterfall(clearinghouse.waterfall()).absorbPart(address(this), market, closed, price, insurable);
    }

    function _payReward(
        Closing memory closing,
        IPerpMarket market,
        address account,
        int256 sizeDelta,
        uint256 price
    ) private {
        uint256 reward = market.liquidationReward(sizeDelta, price);
        clearinghouse.move(account, msg.sender, reward, "liquidation reward");
        closing.reward += reward;
    }

    // ---------------------------------------------------------------- whom

    /// @dev Reverts unless this engine may work on `account` at `price`; an engine that also has business with healthy
    ///      accounts says so here.
    function _requireLiquidatable(address account, uint256 price)
        internal
        view
        virtual
        returns (int256 equity, uint256 maintenance)
    {
        (equity,, maintenance) = clearinghouse.margin(account, price);
        if (equity >= maintenance.toInt256() || _isOurs(account)) revert NotLiquidatable(account, equity, maintenance);
        _requireRightEngine(account);
    }

    function _requireRightEngine(address account) internal view {
        address engine = clearinghouse.engineOf(account);
        if (engine != address(this)) revert WrongEngine(account, engine);
    }

    /// @dev The venue's own accounts: bad debt itself, the pool, the fund, the products. Their deficits are not a trader's.
    function _isOurs(address account) internal view returns (bool) {
        return account == address(clearinghouse) || clearinghouse.isModule(account);
    }

    function _isFlat(address account) internal view returns (bool flat) {
        IProduct[] memory products = clearinghouse.products();
        flat = true;
        for (uint256 i = 0; i < products.length && flat; ++i) flat = products[i].isFlat(account);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IHedgeVenue, IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {PerpBook} from "./PerpBook.sol";

/// @title PerpMarket
/// @notice Delayed orders on a perpetual: commit now, settle by anyone at the first price at or after commit + delay.
///
///         Nobody chooses the price of a fill: it is one round of the feed, fixed by the commit. Once that round exists
///         the order never expires, and an account with an order in flight cannot make the fill fail at will: margin at
///         settlement is asked at maintenance, which a withdrawal (it must leave initial margin) does not reach.
contract PerpMarket is PerpBook {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    /// @dev `Order` in two slots, with the times that later parameters must not move.
    struct StoredOrder {
        int128 sizeDelta;
        uint128 acceptablePrice;
        uint64 committedAt;
        uint64 orderId;
        uint64 benchmarkTime;
        uint64 windowEnd; // latest time of the benchmark itself
    }

    mapping(address account => StoredOrder) private _orders;
    uint64 private _lastOrderId;

    /// @inheritdoc IHedgeVenue
    mapping(address account => uint64) public lastFillTime;

    modifier locking() {
        clearinghouse.lock();
        _;
        clearinghouse.unlock();
    }

    modifier onlyEngine() {
        if (msg.sender != clearinghouse.liquidationEngine()) revert NotEngine(msg.sender);
        _;
    }

    constructor(address clearinghouse_, address admin, Parameters memory parameters_)
        PerpBook(clearinghouse_, admin, parameters_)
    {}

    /// @inheritdoc IHedgeVenue
    /// @dev Needs a fresh price. An order that shrinks the position needs no initial margin, only its cost.
    function commit(int256 sizeDelta, uint256 acceptablePrice) external locking returns (uint64 orderId) {
        if (sizeDelta == 0) revert ZeroSize();
        if (_orders[msg.sender].sizeDelta != 0) revert OrderPending(msg.sender, _orders[msg.sender].orderId);
        uint256 maxSize = _parameters.maxOrderSize;
        if (sizeDelta.abs() > maxSize) revert OrderTooLarge(sizeDelta.abs(), maxSize);
        int256 size = _positions[msg.sender].size;
        uint256 excess = _openInterestExcess(size, sizeDelta);
        if (excess > 0) revert OpenInterestExceeded(excess, _parameters.maxOpenInterest);

        (uint256 price,) = priceFeed.price();
        uint256 added = _added(size, sizeDelta);
        if (!_backed(added, price)) revert PoolTooSmall(added);
        orderId = _store(sizeDelta, acceptablePrice);
        (int256 equity, uint256 required, uint256 maintenance) = clearinghouse.margin(msg.sender, price);
        if (equity < maintenance.toInt256()) revert AccountLiquidatable(msg.sender);
        if (_shrinks(size, sizeDelta)) required = _orderCost(sizeDelta, price);
        if (equity < required.toInt256()) revert IClearinghouse.InsufficientMargin(msg.sender, equity, required);
        emit OrderCommitted(msg.sender, orderId, sizeDelta, acceptablePrice);
    }

    /// @inheritdoc IPerpMarket
    /// @dev Fill, fee and margin all use the benchmark price: one price context. A benchmark that came after the window
    ///      cancels the order without reward.
    function settle(address account, uint80 roundHint) external locking returns (bool filled) {
        StoredOrder memory pending = _order(account);
        uint256 time = pending.benchmarkTime;
        if (block.timestamp < time) revert TooEarly(block.timestamp, time);
        (uint256 price, uint256 updatedAt) = priceFeed.benchmark(time, roundHint);
        if (updatedAt > pending.windowEnd) {
            _drop(account, pending.orderId, "expired");
            return false;
        }
        uint256 fill = fillPrice(pending.sizeDelta, price);
        bytes32 refusal = _refusal(account, pending, fill, price);
        filled = refusal == 0;
        if (filled) _fill(account, pending, fill, price);
        else _drop(account, pending.orderId, refusal);
        clearinghouse.move(account, msg.sender, settlementReward(price), "keeper reward");
    }

    /// @inheritdoc IPerpMarket
    /// @dev Where a price exists at or after the benchmark time, `settle` with its round fills or expires the order.
    function cancel(address account) external locking {
        StoredOrder memory pending = _order(account);
        if (block.timestamp <= pending.windowEnd) revert CannotCancelYet(block.timestamp, pending.windowEnd);
        (, uint256 updatedAt,) = priceFeed.peek();
        if (updatedAt >= pending.benchmarkTime) revert BenchmarkExists(pending.benchmarkTime);
        _drop(account, pending.orderId, "expired");
    }

    /// @inheritdoc IPerpMarket
    function closePosition(address account, int256 sizeDelta) external onlyEngine returns (uint256 fill) {
        int256 size = _positions[account].size;
        if (sizeDelta == 0) revert ZeroSize();
        if (!_shrinks(size, sizeDelta)) revert OrderTooLarge(sizeDelta.abs(), size.abs());
        (uint256 price,) = priceFeed.price();
        fill = fillPrice(sizeDelta, price);
        (uint256 fee, int256 pnl, int256 fundingPnl) = _trade(account, sizeDelta, fill);
        emit PositionClosed(account, sizeDelta, fill, price, fee, pnl, fundingPnl);
    }

    /// @inheritdoc IPerpMarket
    function dropOrder(address account) external onlyEngine {
        _drop(account, _order(account).orderId, "liquidation");
    }

    /// @inheritdoc IPerpMarket
    function order(address account) public view returns (Order memory) {
        StoredOrder memory stored = _orders[account];
        return Order(stored.sizeDelta, stored.acceptablePrice, stored.committedAt, stored.orderId);
    }

    /// @inheritdoc IHedgeVenue
    function pendingSize(address account) public view override returns (int256) {
        return _orders[account].sizeDelta;
    }

    /// @inheritdoc IPerpMarket
    function benchmarkTime(address account) external view returns (uint64) {
        return _orders[account].benchmarkTime;
    }

    function _store(int256 sizeDelta, uint256 acceptablePrice) private returns (uint64 orderId) {
        orderId = ++_lastOrderId;
        uint128 limit = uint128(acceptablePrice.min(type(uint128).max));
        uint64 time = uint64(block.timestamp) + _parameters.settlementDelay;
        uint64 windowEnd = time + _parameters.settlementWindow;
        _orders[msg.sender] =
            StoredOrder(sizeDelta.toInt128(), limit, uint64(block.timestamp), orderId, time, windowEnd);
    }

    function _fill(address account, StoredOrder memory pending, uint256 fill, uint256 price) private {
        delete _orders[account];
        lastFillTime[account] = uint64(block.timestamp);
        (uint256 fee, int256 pnl, int256 fundingPnl) = _trade(account, pending.sizeDelta, fill);
        emit OrderSettled(
            account,
            pending.orderId,
            pending.sizeDelta,
            fill,
            price,
            fee,
            settlementReward(price),
            pnl,
            fundingPnl,
            msg.sender
        );
    }

    function _drop(address account, uint64 orderId, bytes32 reason) private {
        delete _orders[account];
        emit OrderCancelled(account, orderId, reason);
    }

    /// @dev Why an order may not fill: "price", "open interest", "pool", "margin"; 0 when it may. One that shrinks the
    ///      position is refused on price only.
    function _refusal(address account, StoredOrder memory pending, uint256 fill, uint256 price)
        private
        view
        returns (bytes32)
    {
        bool worse = pending.sizeDelta > 0 ? fill > pending.acceptablePrice : fill < pending.acceptablePrice;
        if (worse) return "price";
        int256 size = _positions[account].size;
        if (_shrinks(size, pending.sizeDelta)) return 0;
        if (_openInterestExcess(size, pending.sizeDelta) > 0) return "open interest";
        if (!_backed(_added(size, pending.sizeDelta), price)) return "pool";

        (int256 equity,, uint256 maintenance) = clearinghouse.margin(account, price);
        (, uint256 before) = _margins(size, price);
        (, uint256 afterwards) = _margins(size + pending.sizeDelta, price);
        uint256 cost = _orderCost(pending.sizeDelta, price);
        return equity < (maintenance - before + afterwards + cost).toInt256() ? bytes32("margin") : bytes32(0);
    }

    function _order(address account) private view returns (StoredOrder memory pending) {
        pending = _orders[account];
        if (pending.sizeDelta == 0) revert NoOrder(account);
    }

    /// @dev Open interest, both sides together, that an order adds; 0 when it adds none.
    function _added(int256 size, int256 sizeDelta) private pure returns (uint256) {
        return (size + sizeDelta).abs().zeroFloorSub(size.abs());
    }

    function _backed(uint256 added, uint256 price) private view returns (bool) {
        return added == 0 || ILiquidityPool(clearinghouse.liquidityPool()).backs(added, price);
    }

    /// @dev True when the order reduces the position without turning it round.
    function _shrinks(int256 size, int256 sizeDelta) private pure returns (bool) {
        return (sizeDelta > 0) == (size < 0) && size != 0 && sizeDelta.abs() <= size.abs();
    }
}

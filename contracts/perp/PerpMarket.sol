// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IHedgeVenue, IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {PerpBook} from "./PerpBook.sol";

/// @title PerpMarket
/// @notice Delayed orders on a perpetual: commit now, settle by anyone at the first price at or after commit + delay.
///
///         Nobody chooses the price of a fill: it is one round of the feed, fixed by the commit. Once that round exists
///         the order never expires, and the account cannot make the fill fail at will: from then on until it is settled the
///         account withdraws nothing and makes no trade or bid of its own, and margin at settlement is asked at maintenance.
contract PerpMarket is PerpBook {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    /// @dev `Order` in two slots, with the times that later parameters must not move. A finished order has size 0 and
    ///      leaves the rest behind: writing over it costs the next order a quarter of a fresh slot.
    struct StoredOrder {
        int128 sizeDelta;
        uint128 acceptablePrice;
        uint64 committedAt;
        uint64 orderId;
        uint64 benchmarkTime;
        uint64 windowEnd; // latest time of the benchmark itself
    }

    mapping(address account => StoredOrder) private _orders;

    modifier locking() {
        clearinghouse.lock();
        _;
        clearinghouse.unlock();
    }

    modifier onlyEngine() {
        if (!clearinghouse.isEngine(msg.sender)) revert NotEngine(msg.sender);
        _;
    }

    modifier onlyWaterfall() {
        if (msg.sender != clearinghouse.waterfall()) revert NotWaterfall(msg.sender);
        _;
    }

    constructor(address clearinghouse_, address admin, Parameters memory parameters_)
        PerpBook(clearinghouse_, admin, parameters_)
    {}

    /// @inheritdoc IHedgeVenue
    /// @dev Needs a fresh price. An order that shrinks the position needs no initial margin, only its cost, and no cap, no
    ///      pause and no pool stands in its way.
    function commit(int256 sizeDelta, uint256 acceptablePrice) external locking returns (uint64 orderId) {
        if (sizeDelta == 0) revert ZeroSize();
        if (_orders[msg.sender].sizeDelta != 0) revert OrderPending(msg.sender, _orders[msg.sender].orderId);
        (uint256 price,) = priceFeed.price();
        int256 size = _positions[msg.sender].size;
        bool shrinks = _shrinks(size, sizeDelta);
        if (!shrinks) _requireRoom(size, sizeDelta, price);

        orderId = _store(sizeDelta, acceptablePrice);
        (int256 equity, uint256 required, uint256 maintenance) = clearinghouse.margin(msg.sender, price);
        if (equity < maintenance.toInt256()) revert AccountLiquidatable(msg.sender);
        if (shrinks) required = orderCost(sizeDelta, price);
        if (equity < required.toInt256()) revert IClearinghouse.InsufficientMargin(msg.sender, equity, required);
        emit OrderCommitted(msg.sender, orderId, sizeDelta, acceptablePrice);
    }

    /// @inheritdoc IPerpMarket
    /// @dev Fill, fee and margin all use the benchmark price; funding accrues at the newest one, as everywhere. A benchmark
    ///      that came after the window cancels the order without reward.
    function settle(address account, uint80 roundHint) external locking returns (bool filled) {
        StoredOrder memory pending = _order(account);
        uint256 time = pending.benchmarkTime;
        if (block.timestamp < time) revert TooEarly(block.timestamp, time);
        (uint256 price, uint256 updatedAt) = priceFeed.benchmark(time, roundHint);
        if (updatedAt > pending.windowEnd) {
            _drop(account, pending.orderId, "expired");
            return false;
        }
        (uint256 latest,,) = priceFeed.peek();
        uint256 fill = fillPrice(pending.sizeDelta, price);
        uint256 reward = settlementReward(price);
        bytes32 refusal = _refusal(account, pending, fill, price);
        filled = refusal == 0;
        if (filled) _fill(account, pending, Fill(fill, price, latest, reward));
        else _drop(account, pending.orderId, refusal);
        clearinghouse.move(account, msg.sender, reward, "keeper reward");
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
    function closePosition(address account, int256 sizeDelta, uint256 price) external onlyEngine returns (uint256 fill) {
        _requireShrinks(account, sizeDelta);
        fill = fillPrice(sizeDelta, price);
        (uint256 fee, int256 pnl, int256 fundingPnl) = _trade(account, sizeDelta, fill, price);
        emit PositionClosed(account, sizeDelta, fill, price, fee, pnl, fundingPnl);
    }

    /// @inheritdoc IPerpMarket
    /// @dev What the mover keeps keeps its entry; the receiver realises what it held, as with any order.
    function transferPosition(address from, address to, int256 size, uint256 price) external onlyEngine {
        _requireShrinks(from, -size);
        (int256 pnl, int256 fundingPnl) = _closePart(from, -size, price);
        _exchange(to, size, price, price);
        emit PositionMoved(from, to, size, price, pnl, fundingPnl);
    }

    /// @inheritdoc IPerpMarket
    function deleverage(address account, int256 sizeDelta, uint256 price) external onlyWaterfall returns (int256) {
        _requireShrinks(account, sizeDelta);
        (int256 pnl, int256 fundingPnl) = _closePart(account, sizeDelta, price);
        emit PositionDeleveraged(account, sizeDelta, price, pnl, fundingPnl);
        return pnl + fundingPnl;
    }

    /// @inheritdoc IPerpMarket
    function dropOrder(address account) external onlyEngine {
        _drop(account, _order(account).orderId, "liquidation");
    }

    /// @inheritdoc IPerpMarket
    function order(address account) public view returns (Order memory pending) {
        StoredOrder memory stored = _orders[account];
        if (stored.sizeDelta == 0) return pending;
        return Order(stored.sizeDelta, stored.acceptablePrice, stored.committedAt, stored.orderId);
    }

    /// @inheritdoc IHedgeVenue
    function pendingSize(address account) public view override returns (int256) {
        return _orders[account].sizeDelta;
    }

    /// @inheritdoc IProduct
    /// @dev One that came after the window counts too: settling says that it has expired.
    function isDecided(address account) external view returns (bool) {
        if (_orders[account].sizeDelta == 0) return false;
        (, uint256 updatedAt,) = priceFeed.peek();
        return updatedAt >= _orders[account].benchmarkTime;
    }

    /// @inheritdoc IPerpMarket
    function benchmarkTime(address account) external view returns (uint64) {
        return _orders[account].sizeDelta == 0 ? 0 : _orders[account].benchmarkTime;
    }

    /// @dev What a fill is made of: its price, the benchmark, the feed's newest price, and the keeper's reward.
    struct Fill {
        uint256 price;
        uint256 index;
        uint256 latest;
        uint256 reward;
    }

    function _store(int256 sizeDelta, uint256 acceptablePrice) private returns (uint64 orderId) {
        orderId = ++_totals.lastOrderId;
        uint128 limit = uint128(acceptablePrice.min(type(uint128).max));
        uint64 time = uint64(block.timestamp) + _parameters.settlementDelay;
        uint64 windowEnd = time + _parameters.settlementWindow;
        _orders[msg.sender] =
            StoredOrder(sizeDelta.toInt128(), limit, uint64(block.timestamp), orderId, time, windowEnd);
    }

    function _fill(address account, StoredOrder memory pending, Fill memory fill) private {
        _orders[account].sizeDelta = 0;
        _positions[account].lastFillTime = uint64(block.timestamp);
        (uint256 fee, int256 pnl, int256 fundingPnl) = _trade(account, pending.sizeDelta, fill.price, fill.latest);
        emit OrderSettled(
            account,
            pending.orderId,
            pending.sizeDelta,
            fill.price,
            fill.index,
            fee,
            fill.reward,
            pnl,
            fundingPnl,
            msg.sender
        );
    }

    function _drop(address account, uint64 orderId, bytes32 reason) private {
        _orders[account].sizeDelta = 0;
        emit OrderCancelled(account, orderId, reason);
    }

    /// @dev Reverts where an order that is not a mere reduction may not be committed.
    function _requireRoom(int256 size, int256 sizeDelta, uint256 price) private view {
        if (_totals.reduceOnly) revert ReduceOnly();
        if (sizeDelta.abs() > _parameters.maxOrderSize) revert OrderTooLarge(sizeDelta.abs(), _parameters.maxOrderSize);
        uint256 side = _openInterestWith(size, sizeDelta);
        if (side > _parameters.maxOpenInterest) revert OpenInterestExceeded(side, _parameters.maxOpenInterest);
        uint256 value = side.mulWadUp(price);
        uint256 most = _parameters.maxOpenInterestValue;
        if (value > most) revert OpenInterestValueExceeded(value, most);
        uint256 added = _added(size, sizeDelta);
        if (!_backed(added, price)) revert PoolTooSmall(added);
    }

    /// @dev Why an order may not fill: "price", "open interest", "pool", "margin"; 0 when it may. One that shrinks the
    ///      position is refused on price only.
    function _refusal(address account, StoredOrder memory pending, uint256 fill, uint256 price)
        private
        view
        returns (bytes32)
    {
        int256 sizeDelta = pending.sizeDelta;
        bool worse = sizeDelta > 0 ? fill > pending.acceptablePrice : fill < pending.acceptablePrice;
        if (worse) return "price";
        int256 size = _positions[account].size;
        if (_shrinks(size, sizeDelta)) return 0;
        uint256 side = _openInterestWith(size, sizeDelta);
        if (side > _parameters.maxOpenInterest) return "open interest";
        if (side.mulWadUp(price) > _parameters.maxOpenInterestValue) return "open interest";
        if (!_backed(_added(size, sizeDelta), price)) return "pool";
        (int256 equity, uint256 maintenance) = clearinghouse.marginIfFilled(account, address(this), sizeDelta, price);
        return equity < (maintenance + orderCost(sizeDelta, price)).toInt256() ? bytes32("margin") : bytes32(0);
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

    function _requireShrinks(address account, int256 sizeDelta) private view {
        int256 size = _positions[account].size;
        if (sizeDelta == 0) revert ZeroSize();
        if (!_shrinks(size, sizeDelta)) revert OrderTooLarge(sizeDelta.abs(), size.abs());
    }

    /// @dev True when the order reduces the position without turning it round.
    function _shrinks(int256 size, int256 sizeDelta) private pure returns (bool) {
        return (sizeDelta > 0) == (size < 0) && size != 0 && sizeDelta.abs() <= size.abs();
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IProduct} from "./IClearinghouse.sol";

/// @title IHedgeVenue
/// @notice What a vault and its mandate read from a venue; nothing is ever called back.
interface IHedgeVenue {
    /// @notice Signed size held, wad coins; a linear perpetual has a delta of one per coin.
    function netSize(address account) external view returns (int256);

    /// @notice Signed size of the order in flight, wad coins; 0 when there is none.
    function pendingSize(address account) external view returns (int256);

    /// @notice When an order of this account last settled, unix seconds; 0 when never.
    function lastFillTime(address account) external view returns (uint64);

    /// @notice Starts a hedge of `sizeDelta` coins (wad), no worse than `acceptablePrice` (wad). Acts for the caller.
    function commit(int256 sizeDelta, uint256 acceptablePrice) external returns (uint64 orderId);
}

/// @title IPerpMarket
/// @notice Linear perpetual on the index price against the liquidity pool. Fills are priced by skew, orders are delayed.
///
///         fill    = P (1 + (s + d/2) / K)                      rounded up for buys, down for sells
///         fee     = maker/taker rate * |d| * fill               rounded up; an order that crosses a flat market pays both
///         rate(t) = clamp(rate + velocity dt, +-cap)            per day; velocity = clamp(s/K) vMax, 0 inside the dead band
///         F(t)    = F - mean rate * dt * P                      quote per coin; longs pay when the rate is positive
///         initial margin = |q| P min(|q|/K scalar + min, max) + minimum
///
///         Both margins also hold what a liquidation charges: its fee and a taker fee on |q| P, and gas at the highest
///         base fee that is paid back.
interface IPerpMarket is IProduct, IHedgeVenue {
    struct Parameters {
        uint256 skewScale; // K, wad coins
        uint256 makerFee; // fraction, wad
        uint256 takerFee; // fraction, wad
        uint256 maxFundingVelocity; // per day per day, wad
        uint256 fundingRateCap; // per day, wad
        uint256 fundingDeadBand; // |s/K| below which velocity is 0, wad
        uint256 initialMarginScalar; // wad
        uint256 minInitialMarginRatio; // wad
        uint256 maxInitialMarginRatio; // wad
        uint256 maintenanceScalar; // maintenance / initial ratio, wad, < 1
        uint256 minMargin; // USD, wad, per open position
        uint256 liquidationFee; // fraction of notional paid to the liquidator, wad
        uint256 insuranceShare; // share of trading fees that goes to the insurance fund, wad
        uint256 maxOpenInterest; // coins per side, wad
        uint256 maxOpenInterestValue; // USD at index per side, wad
        uint256 maxOrderSize; // coins, wad
        uint64 settlementDelay; // seconds from commit to the benchmark
        uint64 settlementWindow; // seconds after the benchmark time in which a price must appear
        uint64 settlementGas; // gas units paid back to the keeper who settles
        uint64 liquidationGas; // gas units paid back to the keeper who liquidates
        uint256 maxBaseFee; // wei per gas up to which gas is paid back
    }

    struct Order {
        int256 sizeDelta; // coins, wad; 0 when there is no order
        uint256 acceptablePrice; // wad
        uint64 committedAt; // unix seconds
        uint64 orderId; // counts from 1
    }

    struct Position {
        int256 size; // coins, wad
        uint256 entryPrice; // fill price of the last change, wad
        int256 entryFunding; // F at the last change, wad
    }

    event OrderCommitted(address indexed account, uint64 indexed orderId, int256 sizeDelta, uint256 acceptablePrice);
    /// @param index benchmark price, wad; `fill - index` times the size is the price impact paid
    /// @param pnl realised price profit and loss of the old position at `fill`, wad
    /// @param funding realised funding of the old position, wad; positive is received
    event OrderSettled(
        address indexed account,
        uint64 indexed orderId,
        int256 sizeDelta,
        uint256 fill,
        uint256 index,
        uint256 fee,
        uint256 reward,
        int256 pnl,
        int256 funding,
        address keeper
    );
    event OrderCancelled(address indexed account, uint64 indexed orderId, bytes32 reason);
    event PositionClosed(
        address indexed account, int256 sizeDelta, uint256 fill, uint256 index, uint256 fee, int256 pnl, int256 funding
    );
    event FundingUpdated(int256 fundingRatePerDay, int256 fundingPerCoin, uint256 price);
    event ParametersProposed(Parameters parameters, uint256 applicableAt);
    event ParametersSet(Parameters parameters);
    event ReduceOnlySet(bool reduceOnly);
    event PositionMoved(
        address indexed from, address indexed to, int256 size, uint256 price, int256 pnl, int256 funding
    );
    event PositionDeleveraged(address indexed account, int256 sizeDelta, uint256 price, int256 pnl, int256 funding);

    error OrderPending(address account, uint64 orderId);
    error NoOrder(address account);
    error OrderTooLarge(uint256 size, uint256 max);
    error OpenInterestExceeded(uint256 openInterest, uint256 max);
    error TooEarly(uint256 now_, uint256 benchmarkTime);
    error CannotCancelYet(uint256 now_, uint256 windowEnd);
    error BenchmarkExists(uint256 benchmarkTime);
    error ZeroSize();
    error AccountLiquidatable(address account);
    error PoolTooSmall(uint256 addedOpenInterest);
    error BadParameter(bytes32 name, uint256 value);
    error NotProposed();
    error NotApplicableYet(uint256 now_, uint256 applicableAt);
    error ProposalLapsed(uint256 now_, uint256 lapsedAt);
    error NotEngine(address caller);
    error NotWaterfall(address caller);
    error ReduceOnly();
    error OpenInterestValueExceeded(uint256 value, uint256 max);

    /// @notice Settles the account's order at the first price at or after commit + delay (`roundHint` is that round).
    ///         Anyone; the caller's account earns the settlement reward. An order whose fill breaks its acceptable price,
    ///         margin, the open-interest cap or what the pool can carry is cancelled; the keeper is paid all the same.
    function settle(address account, uint80 roundHint) external returns (bool filled);

    /// @notice Cancels an order for which no price came within its window. Anyone.
    function cancel(address account) external;

    /// @notice Closes `sizeDelta` (wad, opposite to the position) at the skew fill at index `price`. Engines only.
    function closePosition(address account, int256 sizeDelta, uint256 price) external returns (uint256 fill);

    /// @notice Drops a pending order without charge. Engines only.
    function dropOrder(address account) external;

    /// @notice Moves `size` (wad, same sign as and at most the position) to another account at index `price`: `from`
    ///         realises its profit and funding on it, `to` trades it in at index; no fee, no skew, no open-interest cap; the
    ///         caller checks margins. Engines only.
    function transferPosition(address from, address to, int256 size, uint256 price) external;

    /// @notice Closes `sizeDelta` (wad, opposite to the position) at index `price` against the pool: no impact, no fee; what
    ///         is left of the position keeps its entry. Waterfall only. Returns price profit and funding realised on what
    ///         was closed, wad.
    function deleverage(address account, int256 sizeDelta, uint256 price) external returns (int256 pnl);

    /// @notice While set, only orders that shrink a position are taken; orders in flight still fill. Owner only, at once.
    function setReduceOnly(bool reduceOnly_) external;
    function reduceOnly() external view returns (bool);

    function order(address account) external view returns (Order memory);
    function position(address account) external view returns (Position memory);

    /// @notice When the account's order gets its price: commit plus the delay that held then. 0 without an order.
    function benchmarkTime(address account) external view returns (uint64);

    function parameters() external view returns (Parameters memory);

    /// @notice Announces new parameters, in place of any announced before. Owner only.
    function proposeParameters(Parameters calldata parameters_) external;

    /// @notice Puts the announced parameters into force once their delay has passed, within 7 days of it. Owner only.
    function applyParameters(Parameters calldata parameters_) external;

    /// @notice Fill price of an order at index `price`, wad, rounded against the trader.
    function fillPrice(int256 sizeDelta, uint256 price) external view returns (uint256);

    /// @notice Fee of an order that fills at `fill`, wad USD, rounded up.
    function orderFee(int256 sizeDelta, uint256 fill) external view returns (uint256);

    /// @notice USD reward for settling at the current base fee and index `price`, wad.
    function settlementReward(uint256 price) external view returns (uint256);

    /// @notice USD reward for liquidating `sizeDelta` coins at the current base fee and index `price`: the liquidation fee
    ///         on the notional plus gas, wad, rounded down.
    function liquidationReward(int256 sizeDelta, uint256 price) external view returns (uint256);

    /// @notice Margin of a position of `size` alone at index `price`, wad, rounded up; both hold what liquidating it costs.
    ///         For an hour after new parameters maintenance is the lower of old and new.
    function requirements(int256 size, uint256 price) external view returns (uint256 initial, uint256 maintenance);

    /// @notice What liquidating a position of `size` would charge besides its impact, and the least margin: minMargin, the
    ///         liquidation fee and a taker fee on |q| P, and gas at the highest base fee that is paid back, wad, rounded up.
    ///         For an hour after new parameters the lower of old and new.
    function liquidationCost(int256 size, uint256 price) external view returns (uint256);

    /// @notice Most that filling `sizeDelta` at index `price` takes from the account: fee, adverse impact, and the settlement
    ///         reward at the highest base fee that is paid back, wad.
    function orderCost(int256 sizeDelta, uint256 price) external view returns (uint256);

    function skew() external view returns (int256);
    function openInterest() external view returns (uint256 long, uint256 short);

    /// @notice Current rate per day and funding per coin, accrued to now at index `price`, wad.
    function funding(uint256 price) external view returns (int256 ratePerDay, int256 perCoin);

    /// @notice Unrealised price profit and loss at index, and funding accrued, wad.
    function accrued(address account, uint256 price) external view returns (int256 pnl, int256 fundingPnl);

    /// @notice What the pool owes all traders together at index `price`, wad; O(1).
    function marketDebt(uint256 price) external view returns (int256);
}

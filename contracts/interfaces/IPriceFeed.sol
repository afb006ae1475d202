// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title AggregatorV3Interface
/// @notice The price interface that the field agrees on (Chainlink). Answers have `decimals()` decimals.
interface AggregatorV3Interface {
    function decimals() external view returns (uint8);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function getRoundData(uint80 roundId)
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
    function latestRoundData()
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

/// @title IPriceFeed
/// @notice Index price of the underlying in USD with its whole history, so that a delayed order can be settled at the
///         first price after its delay and an option at a time-weighted average. All prices are wad (1e18); round ids
///         start at 1 and have no gaps; the time of a round strictly increases.
interface IPriceFeed is AggregatorV3Interface {
    event PricePublished(uint80 indexed roundId, uint256 price, uint256 updatedAt);

    error PriceNotPositive(int256 answer);
    error PriceNotNewer(uint256 updatedAt, uint256 lastUpdatedAt);
    error PriceTooOld(uint256 age, uint256 heartbeat);
    error PriceFromFuture(uint256 updatedAt, uint256 now_);
    error PriceOutOfBounds(uint256 price, uint256 last, uint256 maxMove);
    error UnknownRound(uint80 roundId);
    error NotFirstRoundAfter(uint80 roundId, uint256 time);
    error NotRoundInForce(uint80 roundId, uint256 time);
    error SourceSet();
    error NoSource();

    /// @notice Records a new price at the block's time. Only the role REPORTER; refused when a source is set.
    function publish(uint256 priceWad) external returns (uint80 roundId);

    /// @notice Copies the wrapped aggregator's rounds since the last pull, oldest first and at most 16 before the newest:
    ///         where more are missing, the next pull goes on. Reverts where the newest is not newer than ours or not valid.
    ///         Anyone. Returns our newest round.
    function pull() external returns (uint80 roundId);

    /// @notice The newest price, wad. Reverts with `PriceTooOld` when older than the heartbeat.
    function price() external view returns (uint256 priceWad, uint256 updatedAt);

    /// @notice The newest price without the age check, wad, and its round; (0, 0, 0) before the first round.
    function peek() external view returns (uint256 priceWad, uint256 updatedAt, uint80 roundId);

    /// @notice The benchmark for `time`: the price of the first round at or after it. `hint` must be that round
    ///         (t[hint-1] < time <= t[hint]); the first round ever qualifies when it is at or after `time`.
    function benchmark(uint256 time, uint80 hint) external view returns (uint256 priceWad, uint256 updatedAt);

    /// @notice Time-weighted average price over [start, end], wad, rounded down. `startRound` and `endRound` are the
    ///         rounds in force at those times (t[i] <= time < t[i+1]); a price counts until the next one replaces it.
    function twap(uint256 start, uint256 end, uint80 startRound, uint80 endRound) external view returns (uint256 priceWad);

    /// @notice The round in force at `time` (t[i] <= time < t[i+1]), or 0 before the first; found by bisection. The first
    ///         round at or after T is `roundAt(T - 1) + 1`.
    function roundAt(uint256 time) external view returns (uint80 roundId);

    /// @notice Greatest age in seconds at which `price()` still answers.
    function heartbeat() external view returns (uint256 seconds_);
}

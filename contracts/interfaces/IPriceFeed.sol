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
///
///         An answer that cannot be trusted is held: it is no round, and while it stands `price` reverts and says why.
///         History (`peek`, `benchmark`, `twap`, the rounds) holds trusted rounds only and always answers.
interface IPriceFeed is AggregatorV3Interface {
    /// @notice Where answers come from; zero where there is none.
    struct Sources {
        address source; // the wrapped aggregator; without one, reporters publish
        address second; // an aggregator that the answers are compared with
        address sequencer; // a sequencer-uptime feed: answer 0 is up, `startedAt` since when
    }

    /// @notice What an answer must keep to. Each source has its own heartbeat.
    struct Limits {
        uint256 heartbeat; // greatest age of a live price and of an answer of `source`, seconds
        uint256 secondHeartbeat; // greatest age of an answer of `second`, seconds
        uint256 gracePeriod; // seconds after a restart of the sequencer in which no price is live
        uint256 jumpDelay; // seconds that a jump must stand before it is believed
        uint256 disputeDelay; // seconds after which a dispute ends in favour of `source`
        uint256 minPrice; // answers at or below it are no prices, wad
        uint256 maxPrice; // answers at or above it are no prices, wad
        uint256 maxMove; // largest move between rounds while the earlier is alive, wad fraction; 0 where not bounded
        uint256 maxDeviation; // largest distance from `second`, wad fraction of its answer
    }

    /// @dev LIVE: `price` answers. EMPTY: no round yet. OLD: older than the heartbeat. JUMPED: the newest answer moves too
    ///      far. DISPUTED: it is too far from the second source. OUT_OF_RANGE: it is at a bound or beyond.
    ///      SEQUENCER_DOWN: or unreadable. SEQUENCER_STARTING: up, within the grace period.
    enum State { LIVE, EMPTY, OLD, JUMPED, DISPUTED, OUT_OF_RANGE, SEQUENCER_DOWN, SEQUENCER_STARTING }

    event PricePublished(uint80 indexed roundId, uint256 price, uint256 updatedAt);
    /// @notice An answer is held; `last` is the newest round's price.
    event PriceHeld(State indexed why, uint256 price, uint256 last);
    /// @notice A round moves further than `maxMove`: the second source agreed with it, or it stood for `jumpDelay`.
    event PriceJumped(uint80 indexed roundId, uint256 price, uint256 last);
    /// @notice What was held is over, by a trusted answer or by a second look.
    event PriceReleased(State indexed why, uint256 heldFor);

    error PriceNotPositive(int256 answer);
    error PriceNotNewer(uint256 updatedAt, uint256 lastUpdatedAt);
    error PriceTooOld(uint256 age, uint256 heartbeat);
    error PriceFromFuture(uint256 updatedAt, uint256 now_);
    error PriceOutOfBounds(uint256 price, uint256 last, uint256 maxMove);
    error PriceOutOfRange(uint256 price, uint256 minPrice, uint256 maxPrice);
    error PriceIsHeld(State why, uint256 since);
    error SequencerIsDown();
    error SequencerIsStarting(uint256 since, uint256 gracePeriod);
    error UnknownRound(uint80 roundId);
    error NotFirstRoundAfter(uint80 roundId, uint256 time);
    error NotRoundInForce(uint80 roundId, uint256 time);
    error SourceSet();
    error NoSource();
    error NoSecondSource();

    /// @notice Records a new price at the block's time. Only the role REPORTER; refused when a source is set. Out of range
    ///         or beyond `maxMove` it reverts; disputed by the second source it is held. Returns our newest round.
    function publish(uint256 priceWad) external returns (uint80 roundId);

    /// @notice Copies the wrapped aggregator's rounds since the last pull, oldest first and at most 16 before the newest:
    ///         where more are missing, the next pull goes on. Reverts where the newest is not newer than ours, not
    ///         positive, too old or of the future; where it cannot be trusted it is held. Anyone. Returns our newest round.
    function pull() external returns (uint80 roundId);

    /// @notice Compares our newest round with the second source: holds it where they disagree, and releases it where they
    ///         agree again, the second source has gone silent, or `disputeDelay` is over. Anyone.
    function crossCheck() external returns (State);

    /// @notice The newest price, wad. Reverts in every state but LIVE, by name: `UnknownRound(0)`, `PriceIsHeld`,
    ///         `PriceTooOld`, `SequencerIsDown`, `SequencerIsStarting`.
    function price() external view returns (uint256 priceWad, uint256 updatedAt);

    /// @notice Whether `price` answers, and otherwise why not.
    function state() external view returns (State);

    /// @notice The newest price without any check of its state, wad, and its round; (0, 0, 0) before the first round.
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

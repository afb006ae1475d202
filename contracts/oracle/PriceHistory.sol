// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {AggregatorV3Interface, IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title Rounds that are never changed
/// @notice Round i holds a price, its time, and the sum of price x seconds up to that time, so that an average over any
///         window costs two reads. Rounds are only ever added, each later than the one before. Prices are rounded down.
abstract contract PriceHistory is IPriceFeed {
    using SafeCastLib for uint256;

    error EmptyWindow(uint256 start, uint256 end);

    /// @dev One storage slot. Time lasts to the year 36812, the price to 7.9e10 USD, and the sum, at a price of a million
    ///      USD, for 42,000 years.
    struct Round {
        uint40 updatedAt; // unix seconds
        uint96 price; // wad
        uint120 cumulative; // wad x seconds, from the first round to `updatedAt`
    }

    /// @dev One storage slot, and all that a price is read from.
    struct Latest {
        uint32 rounds; // how many there are: the newest one's id
        uint40 updatedAt; // of the newest round
        uint96 price; // of the newest round, wad
        State held; // why the newest answer is no round; LIVE where nothing is held
        uint40 heldSince; // unix seconds; 0 where nothing is held
        uint40 disputedSince; // unix seconds; when the second source first disagreed, 0 once it agrees
    }

    Latest internal _latest;
    mapping(uint80 roundId => Round) private _rounds;

    /// @inheritdoc IPriceFeed
    function peek() external view returns (uint256 priceWad, uint256 updatedAt, uint80 roundId) {
        Latest memory latest = _latest;
        return (latest.price, latest.updatedAt, latest.rounds);
    }

    /// @inheritdoc IPriceFeed
    function benchmark(uint256 time, uint80 hint) external view returns (uint256 priceWad, uint256 updatedAt) {
        Round memory first = _round(hint);
        if (first.updatedAt < time || (hint > 1 && _rounds[hint - 1].updatedAt >= time)) {
            revert NotFirstRoundAfter(hint, time);
        }
        return (first.price, first.updatedAt);
    }

    /// @inheritdoc IPriceFeed
    function twap(uint256 start, uint256 end, uint80 startRound, uint80 endRound) external view returns (uint256) {
        if (end <= start) revert EmptyWindow(start, end);
        if (end > block.timestamp) revert PriceFromFuture(end, block.timestamp);
        return (_cumulativeAt(end, endRound) - _cumulativeAt(start, startRound)) / (end - start);
    }

    /// @inheritdoc IPriceFeed
    function roundAt(uint256 time) external view returns (uint80) {
        uint256 low = 0;
        uint256 high = _latest.rounds;
        while (low < high) {
            uint256 middle = FixedPointMathLib.avg(low, high);
            if (_rounds[uint80(middle + 1)].updatedAt <= time) low = middle + 1;
            else high = middle;
        }
        return uint80(low);
    }

    /// @notice Id of the newest round, which is also their number; 0 before the first.
    function latestRound() public view returns (uint80) {
        return _latest.rounds;
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(uint80 roundId) public view returns (uint80, int256, uint256, uint256, uint80) {
        Round memory round = _round(roundId);
        return (roundId, int256(uint256(round.price)), round.updatedAt, round.updatedAt, roundId);
    }

    /// @inheritdoc AggregatorV3Interface
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(latestRound());
    }

    /// @inheritdoc AggregatorV3Interface
    function decimals() external pure returns (uint8) {
        return 18;
    }

    /// @inheritdoc AggregatorV3Interface
    function version() external pure returns (uint256) {
        return 1;
    }

    /// @dev Adds a round to storage and to `latest`, which the caller stores.
    function _add(Latest memory latest, uint256 priceWad, uint256 updatedAt) internal {
        if (updatedAt <= latest.updatedAt) revert PriceNotNewer(updatedAt, latest.updatedAt);
        uint256 cumulative = 0;
        if (latest.rounds > 0) {
            cumulative = _rounds[latest.rounds].cumulative + uint256(latest.price) * (updatedAt - latest.updatedAt);
        }
        latest.rounds++;
        (latest.price, latest.updatedAt) = (priceWad.toUint96(), updatedAt.toUint40());
        _rounds[latest.rounds] = Round(latest.updatedAt, latest.price, cumulative.toUint120());
        emit PricePublished(latest.rounds, priceWad, updatedAt);
    }

    function _cumulativeAt(uint256 time, uint80 roundId) private view returns (uint256) {
        Round memory round = _round(roundId);
        bool isReplaced = roundId < latestRound() && _rounds[roundId + 1].updatedAt <= time;
        if (time < round.updatedAt || isReplaced) revert NotRoundInForce(roundId, time);
        return round.cumulative + uint256(round.price) * (time - round.updatedAt);
    }

    /// @dev A round that was written has a time; no other does.
    function _round(uint80 roundId) private view returns (Round memory round) {
        round = _rounds[roundId];
        if (round.updatedAt == 0) revert UnknownRound(roundId);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {AggregatorV3Interface, IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title Index price with history
/// @notice Rounds come either from a reporter (`publish`) or from a wrapped aggregator (`pull`), never from both.
///         Round i holds a price, its time, and the sum of price x seconds up to that time, so that an average over any
///         window costs two reads. All prices are wad and rounded down.
/// @dev A pull records every source round since the last pull, oldest first, so that nobody drops a round by pulling
///      late. Left out are rounds whose aggregator was replaced before they were pulled (ids do not continue from one
///      phase to the next), the rounds before the first pull, and rounds that are not valid prices.
contract PriceFeed is IPriceFeed, AccessControl {
    using SafeCastLib for uint256;

    error ZeroHeartbeat();
    error EmptyWindow(uint256 start, uint256 end);

    /// @dev One storage slot. Time lasts to the year 36812, the price to 7.9e10 USD, and the sum, at a price of a million
    ///      USD, for 42,000 years.
    struct Round {
        uint40 updatedAt; // unix seconds
        uint96 price; // wad
        uint120 cumulative; // wad x seconds, from the first round to `updatedAt`
    }

    bytes32 public constant REPORTER = keccak256("REPORTER");

    /// @inheritdoc IPriceFeed
    uint256 public immutable heartbeat;
    /// @notice Largest move from one round to the next as a fraction of the earlier price, wad; 0 where not bounded.
    uint256 public immutable maxMove;
    /// @notice The wrapped aggregator, or zero where a reporter publishes.
    AggregatorV3Interface public immutable source;
    uint256 private immutable _sourceUnit;
    /// @notice Most source rounds that one pull records; where more are missing it takes several.
    uint256 public constant MAX_PULL = 16;

    uint80 private _pulled; // id of the last source round that was looked at

    Round[] private _rounds; // round id i is at i - 1

    /// @param admin Grants and revokes the role REPORTER.
    /// @param source_ Aggregator to wrap, or zero.
    /// @param heartbeat_ Greatest age of a live price, in seconds.
    /// @param maxMove_ Largest move between rounds, wad fraction; 0 turns the bound off.
    constructor(address admin, address source_, uint256 heartbeat_, uint256 maxMove_) {
        if (heartbeat_ == 0) revert ZeroHeartbeat();
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        source = AggregatorV3Interface(source_);
        heartbeat = heartbeat_;
        maxMove = maxMove_;
        _sourceUnit = source_ == address(0) ? 0 : 10 ** AggregatorV3Interface(source_).decimals();
    }

    /// @inheritdoc IPriceFeed
    function publish(uint256 priceWad) external onlyRole(REPORTER) returns (uint80 roundId) {
        if (address(source) != address(0)) revert SourceSet();
        if (priceWad == 0) revert PriceNotPositive(0);
        return _record(priceWad, block.timestamp);
    }

    /// @inheritdoc IPriceFeed
    function pull() external returns (uint80 roundId) {
        if (address(source) == address(0)) revert NoSource();
        (uint80 newest, int256 answer,, uint256 updatedAt,) = source.latestRoundData();
        if (answer <= 0) revert PriceNotPositive(answer);
        if (updatedAt > block.timestamp) revert PriceFromFuture(updatedAt, block.timestamp);
        if (block.timestamp - updatedAt > heartbeat) revert PriceTooOld(block.timestamp - updatedAt, heartbeat);
        if (!_catchUp(newest)) return latestRound();
        uint256 priceWad = _toWad(answer);
        if (priceWad == 0) revert PriceNotPositive(answer);
        _pulled = newest;
        return _record(priceWad, updatedAt);
    }

    /// @dev Records the source rounds between the last one and `newest`, at most MAX_PULL; false where more remain.
    function _catchUp(uint80 newest) private returns (bool complete) {
        uint80 id = _pulled;
        if (id == 0 || id >> 64 != newest >> 64) return true;
        for (uint256 i = 0; i < MAX_PULL && id + 1 < newest; ++i) {
            try source.getRoundData(++id) returns (uint80, int256 answer, uint256, uint256 updatedAt, uint80) {
                _recordIfValid(answer, updatedAt);
            } catch {}
        }
        if (id != _pulled) _pulled = id;
        return id + 1 >= newest;
    }

    /// @dev Never reverts, so that no wrong round of the source can stop the ones after it.
    function _recordIfValid(int256 answer, uint256 updatedAt) private {
        Round memory last = _round(latestRound());
        if (answer <= 0 || answer > type(int128).max) return;
        if (updatedAt <= last.updatedAt || updatedAt > block.timestamp) return;
        uint256 priceWad = _toWad(answer);
        if (priceWad == 0 || priceWad > type(uint96).max || _movesTooFar(priceWad, last, updatedAt)) return;
        _record(priceWad, updatedAt);
    }

    function _toWad(int256 answer) private view returns (uint256) {
        return FixedPointMathLib.fullMulDiv(uint256(answer), 1e18, _sourceUnit);
    }

    /// @inheritdoc IPriceFeed
    function price() external view returns (uint256 priceWad, uint256 updatedAt) {
        Round memory last = _round(latestRound());
        uint256 age = block.timestamp - last.updatedAt;
        if (age > heartbeat) revert PriceTooOld(age, heartbeat);
        return (last.price, last.updatedAt);
    }

    /// @inheritdoc IPriceFeed
    function peek() external view returns (uint256 priceWad, uint256 updatedAt, uint80 roundId) {
        roundId = latestRound();
        if (roundId == 0) return (0, 0, 0);
        Round memory last = _round(roundId);
        return (last.price, last.updatedAt, roundId);
    }

    /// @inheritdoc IPriceFeed
    function benchmark(uint256 time, uint80 hint) external view returns (uint256 priceWad, uint256 updatedAt) {
        Round memory first = _round(hint);
        if (first.updatedAt < time || (hint > 1 && _round(hint - 1).updatedAt >= time)) {
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

    /// @notice The round in force at `time` (t[i] <= time < t[i+1]), or 0 before the first. Found by bisection: meant for
    ///         callers off chain, who pass it back as a hint. The first round at or after T is `roundAt(T - 1) + 1`.
    function roundAt(uint256 time) external view returns (uint80) {
        uint256 low = 0;
        uint256 high = _rounds.length;
        while (low < high) {
            uint256 middle = FixedPointMathLib.avg(low, high);
            if (_rounds[middle].updatedAt <= time) low = middle + 1;
            else high = middle;
        }
        return uint80(low);
    }

    /// @notice Id of the newest round, which is also their number; 0 before the first.
    function latestRound() public view returns (uint80) {
        return uint80(_rounds.length);
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
    function description() external view returns (string memory) {
        return address(source) == address(0) ? "Index / USD" : source.description();
    }

    /// @inheritdoc AggregatorV3Interface
    function version() external pure returns (uint256) {
        return 1;
    }

    function _record(uint256 priceWad, uint256 updatedAt) private returns (uint80 roundId) {
        uint256 cumulative = 0;
        roundId = latestRound();
        if (roundId > 0) {
            Round memory last = _round(roundId);
            if (updatedAt <= last.updatedAt) revert PriceNotNewer(updatedAt, last.updatedAt);
            if (_movesTooFar(priceWad, last, updatedAt)) revert PriceOutOfBounds(priceWad, last.price, maxMove);
            cumulative = last.cumulative + uint256(last.price) * (updatedAt - last.updatedAt);
        }
        _rounds.push(Round(updatedAt.toUint40(), priceWad.toUint96(), cumulative.toUint120()));
        emit PricePublished(++roundId, priceWad, updatedAt);
    }

    /// @dev A price that is older than the heartbeat binds nobody: otherwise a large true move would jam the feed for good.
    function _movesTooFar(uint256 priceWad, Round memory last, uint256 updatedAt) private view returns (bool) {
        if (maxMove == 0 || updatedAt - last.updatedAt > heartbeat) return false;
        uint256 move = FixedPointMathLib.dist(priceWad, uint256(last.price));
        return move > FixedPointMathLib.fullMulDiv(last.price, maxMove, 1e18);
    }

    function _cumulativeAt(uint256 time, uint80 roundId) private view returns (uint256) {
        Round memory round = _round(roundId);
        bool isReplaced = roundId < latestRound() && _round(roundId + 1).updatedAt <= time;
        if (time < round.updatedAt || isReplaced) revert NotRoundInForce(roundId, time);
        return round.cumulative + uint256(round.price) * (time - round.updatedAt);
    }

    function _round(uint80 roundId) private view returns (Round memory) {
        if (roundId == 0 || roundId > latestRound()) revert UnknownRound(roundId);
        return _rounds[roundId - 1];
    }
}

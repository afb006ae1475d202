// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {AggregatorV3Interface, IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {Aggregators} from "./Aggregators.sol";
import {PriceHistory} from "./PriceHistory.sol";

/// @title Index price that says when it cannot be trusted
/// @notice Rounds come either from a reporter (`publish`) or from a wrapped aggregator (`pull`), never from both. Before an
///         answer becomes a round it is judged:
///
///             at a bound of the price range, or beyond       OUT_OF_RANGE, until the source is back inside
///             second source alive and too far away           DISPUTED, until they agree or `disputeDelay` is over
///             move beyond maxMove from a round still alive   JUMPED, until it has stood for `jumpDelay`; a second source
///                                                            that is alive and near confirms it at once
///
///         While an answer is held there is no live price, and history goes on with the last trusted one. Every hold ends
///         by itself, so that whoever can disturb a source can delay, but not lock.
/// @dev A pull records every source round since the last pull, oldest first, so that nobody drops a round by pulling
///      late. Left out are rounds whose aggregator was replaced before they were pulled (ids do not continue from one
///      phase to the next), the rounds before the first pull, and, between the last and the newest, those that would be
///      held. `price` reads one storage slot; the checks are paid for when rounds are written.
contract PriceFeed is PriceHistory, AccessControl {
    using Aggregators for AggregatorV3Interface;
    using FixedPointMathLib for uint256;
    using SafeCastLib for uint256;

    error ZeroHeartbeat();
    error LimitOutOfRange(bytes32 name, uint256 value);

    /// @dev What the second source says, once a call.
    struct Second {
        bool isAlive;
        uint256 price; // wad
    }

    bytes32 public constant REPORTER = keccak256("REPORTER");
    /// @notice Most source rounds that one pull records; where more are missing it takes several.
    uint256 public constant MAX_PULL = 16;

    AggregatorV3Interface public immutable source;
    AggregatorV3Interface public immutable second;
    AggregatorV3Interface public immutable sequencer;
    uint256 private immutable _sourceUnit;
    uint256 private immutable _secondUnit;

    /// @inheritdoc IPriceFeed
    uint256 public immutable heartbeat;
    uint256 public immutable secondHeartbeat;
    uint256 public immutable gracePeriod;
    uint256 public immutable jumpDelay;
    uint256 public immutable disputeDelay;
    uint256 public immutable minPrice;
    uint256 public immutable maxPrice;
    uint256 public immutable maxMove;
    uint256 public immutable maxDeviation;

    uint80 private _pulled; // id of the last source round that was looked at
    uint96 private _heldPrice; // the answer that is held, wad; of meaning only while one is

    /// @param admin Grants and revokes the role REPORTER.
    constructor(address admin, Sources memory sources, Limits memory limits) {
        if (limits.heartbeat == 0) revert ZeroHeartbeat();
        _check("maxPrice", limits.maxPrice, 1, type(uint96).max);
        _check("minPrice", limits.minPrice, 0, limits.maxPrice - 1);
        if (sources.second != address(0)) {
            _check("secondHeartbeat", limits.secondHeartbeat, 1, 365 days);
            _check("maxDeviation", limits.maxDeviation, 1, 1e18);
            _check("disputeDelay", limits.disputeDelay, limits.heartbeat, 365 days);
        }
        if (sources.source != address(0) && limits.maxMove != 0) _check("jumpDelay", limits.jumpDelay, 1, 30 days);
        if (sources.sequencer != address(0)) _check("gracePeriod", limits.gracePeriod, 1, 30 days);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        source = AggregatorV3Interface(sources.source);
        second = AggregatorV3Interface(sources.second);
        sequencer = AggregatorV3Interface(sources.sequencer);
        (_sourceUnit, _secondUnit) = (_unitOf(sources.source), _unitOf(sources.second));
        (heartbeat, secondHeartbeat, gracePeriod) = (limits.heartbeat, limits.secondHeartbeat, limits.gracePeriod);
        (jumpDelay, disputeDelay) = (limits.jumpDelay, limits.disputeDelay);
        (minPrice, maxPrice) = (limits.minPrice, limits.maxPrice);
        (maxMove, maxDeviation) = (limits.maxMove, limits.maxDeviation);
    }

    /// @inheritdoc IPriceFeed
    function publish(uint256 priceWad) external onlyRole(REPORTER) returns (uint80 roundId) {
        if (address(source) != address(0)) revert SourceSet();
        if (priceWad == 0) revert PriceNotPositive(0);
        Latest memory latest = _latest;
        Second memory other = _secondNow();
        State verdict = _judge(latest, other, priceWad, block.timestamp);
        if (verdict == State.OUT_OF_RANGE) revert PriceOutOfRange(priceWad, minPrice, maxPrice);
        if (verdict == State.JUMPED) revert PriceOutOfBounds(priceWad, latest.price, maxMove);
        if (verdict == State.LIVE) _record(latest, other, priceWad, block.timestamp);
        else _hold(latest, verdict, priceWad);
        _latest = latest;
        return latest.rounds;
    }

    /// @inheritdoc IPriceFeed
    function pull() external returns (uint80 roundId) {
        if (address(source) == address(0)) revert NoSource();
        (uint80 newest, int256 answer,, uint256 updatedAt,) = source.latestRoundData();
        if (answer <= 0) revert PriceNotPositive(answer);
        if (updatedAt > block.timestamp) revert PriceFromFuture(updatedAt, block.timestamp);
        if (block.timestamp - updatedAt > heartbeat) revert PriceTooOld(block.timestamp - updatedAt, heartbeat);
        Latest memory latest = _latest;
        Second memory other = _secondNow();
        if (_catchUp(latest, other, newest)) _takeNewest(latest, other, newest, answer, updatedAt);
        _latest = latest;
        return latest.rounds;
    }

    /// @inheritdoc IPriceFeed
    function crossCheck() external returns (State) {
        if (address(second) == address(0)) revert NoSecondSource();
        Latest memory latest = _latest;
        if (latest.rounds == 0) revert UnknownRound(0);
        bool isOurs = latest.held == State.DISPUTED && _heldPrice == latest.price; // and not an answer that is no round
        if (latest.held != State.LIVE && !isOurs) return latest.held;
        Second memory other = _secondNow();
        bool isDisputed = _disagrees(other, latest.price);
        if (isDisputed && !_isOverruled(latest)) _hold(latest, State.DISPUTED, latest.price);
        else _release(latest, isDisputed);
        _latest = latest;
        return latest.held;
    }

    /// @inheritdoc IPriceFeed
    function price() external view returns (uint256 priceWad, uint256 updatedAt) {
        Latest memory latest = _latest;
        if (latest.rounds == 0) revert UnknownRound(0);
        if (latest.held != State.LIVE) revert PriceIsHeld(latest.held, latest.heldSince);
        uint256 age = block.timestamp - latest.updatedAt;
        if (age > heartbeat) revert PriceTooOld(age, heartbeat);
        (State verdict, uint256 since) = _sequencerState();
        if (verdict == State.SEQUENCER_DOWN) revert SequencerIsDown();
        if (verdict == State.SEQUENCER_STARTING) revert SequencerIsStarting(since, gracePeriod);
        return (latest.price, latest.updatedAt);
    }

    /// @inheritdoc IPriceFeed
    function state() external view returns (State verdict) {
        Latest memory latest = _latest;
        if (latest.rounds == 0) return State.EMPTY;
        if (latest.held != State.LIVE) return latest.held;
        if (block.timestamp - latest.updatedAt > heartbeat) return State.OLD;
        (verdict,) = _sequencerState();
    }

    /// @inheritdoc AggregatorV3Interface
    function description() external view returns (string memory) {
        return address(source) == address(0) ? "Index / USD" : source.description();
    }

    /// @dev Records the source rounds between the last one and `newest`, at most MAX_PULL; false where more remain. No
    ///      wrong one among them stops the ones after it.
    function _catchUp(Latest memory latest, Second memory other, uint80 newest) private returns (bool complete) {
        uint80 id = _pulled;
        if (id == 0 || id >> 64 != newest >> 64) return true;
        for (uint256 i = 0; i < MAX_PULL && id + 1 < newest; ++i) {
            Aggregators.Answer memory round = source.at(++id);
            if (!round.isRead || round.answer <= 0) continue;
            if (round.updatedAt <= latest.updatedAt || round.updatedAt > block.timestamp) continue;
            uint256 priceWad = Aggregators.toWad(round.answer, _sourceUnit);
            if (_judge(latest, other, priceWad, round.updatedAt) == State.LIVE) _add(latest, priceWad, round.updatedAt);
        }
        if (id != _pulled) _pulled = id;
        return id + 1 >= newest;
    }

    function _takeNewest(Latest memory latest, Second memory other, uint80 id, int256 answer, uint256 updatedAt)
        private
    {
        uint256 priceWad = Aggregators.toWad(answer, _sourceUnit);
        if (updatedAt <= latest.updatedAt) revert PriceNotNewer(updatedAt, latest.updatedAt);
        State verdict = _judge(latest, other, priceWad, updatedAt);
        if (verdict == State.JUMPED && _hasStood(latest, priceWad)) verdict = State.LIVE;
        if (verdict != State.LIVE) return _hold(latest, verdict, priceWad);
        _pulled = id;
        _record(latest, other, priceWad, updatedAt);
    }

    /// @dev LIVE, or why an answer is no round.
    function _judge(Latest memory latest, Second memory other, uint256 priceWad, uint256 updatedAt)
        private
        view
        returns (State)
    {
        if (priceWad <= minPrice || priceWad >= maxPrice) return State.OUT_OF_RANGE;
        if (_disagrees(other, priceWad)) {
            if (!_isOverruled(latest)) return State.DISPUTED;
        } else if (other.isAlive) {
            return State.LIVE;
        }
        return _movesTooFar(latest, priceWad, updatedAt) ? State.JUMPED : State.LIVE;
    }

    /// @dev A price that is older than the heartbeat binds nobody.
    function _movesTooFar(Latest memory latest, uint256 priceWad, uint256 updatedAt) private view returns (bool) {
        if (maxMove == 0 || latest.rounds == 0 || updatedAt - latest.updatedAt > heartbeat) return false;
        return _isFar(priceWad, latest.price, maxMove);
    }

    /// @dev A second source that is silent or broken binds nobody.
    function _disagrees(Second memory other, uint256 priceWad) private view returns (bool) {
        return other.isAlive && _isFar(priceWad, other.price, maxDeviation);
    }

    function _isFar(uint256 priceWad, uint256 from, uint256 fraction) private pure returns (bool) {
        return priceWad.dist(from) > from.fullMulDiv(fraction, 1e18);
    }

    /// @dev Whether what is held has been a jump to about this price for long enough.
    function _hasStood(Latest memory latest, uint256 priceWad) private view returns (bool) {
        return latest.held == State.JUMPED && block.timestamp - latest.heldSince >= jumpDelay
            && !_isFar(priceWad, _heldPrice, maxMove);
    }

    function _isOverruled(Latest memory latest) private view returns (bool) {
        return latest.disputedSince != 0 && block.timestamp - latest.disputedSince >= disputeDelay;
    }

    function _record(Latest memory latest, Second memory other, uint256 priceWad, uint256 updatedAt) private {
        if (_movesTooFar(latest, priceWad, updatedAt)) emit PriceJumped(latest.rounds + 1, priceWad, latest.price);
        _release(latest, _disagrees(other, priceWad));
        _add(latest, priceWad, updatedAt);
    }

    /// @dev The clock of a hold starts anew where its reason changes, or where a jump is to somewhere else; that of a
    ///      dispute runs until the sources agree.
    function _hold(Latest memory latest, State why, uint256 priceWad) private {
        if (why == State.DISPUTED && latest.disputedSince == 0) latest.disputedSince = uint40(block.timestamp);
        bool isSame = latest.held == why && (why != State.JUMPED || !_isFar(priceWad, _heldPrice, maxMove));
        if (isSame && why == State.JUMPED) return;
        _heldPrice = uint96(priceWad.min(type(uint96).max));
        if (isSame) return;
        (latest.held, latest.heldSince) = (why, uint40(block.timestamp));
        emit PriceHeld(why, priceWad, latest.price);
    }

    function _release(Latest memory latest, bool isDisputed) private {
        if (!isDisputed) latest.disputedSince = 0;
        if (latest.held == State.LIVE) return;
        emit PriceReleased(latest.held, block.timestamp - latest.heldSince);
        (latest.held, latest.heldSince) = (State.LIVE, 0);
    }

    function _secondNow() private view returns (Second memory) {
        if (address(second) == address(0)) return Second(false, 0);
        Aggregators.Answer memory read = second.latest();
        if (!read.isRead || read.answer <= 0 || read.updatedAt > block.timestamp) return Second(false, 0);
        if (block.timestamp - read.updatedAt > secondHeartbeat) return Second(false, 0);
        return Second(true, Aggregators.toWad(read.answer, _secondUnit));
    }

    /// @dev LIVE where the sequencer has been up for longer than the grace period, or there is none to ask.
    function _sequencerState() private view returns (State, uint256 since) {
        if (address(sequencer) == address(0)) return (State.LIVE, 0);
        Aggregators.Answer memory read = sequencer.latest();
        since = read.startedAt;
        if (!read.isRead || read.answer != 0 || since == 0 || since > block.timestamp) return (State.SEQUENCER_DOWN, 0);
        return (block.timestamp - since <= gracePeriod ? State.SEQUENCER_STARTING : State.LIVE, since);
    }

    function _unitOf(address aggregator) private view returns (uint256) {
        if (aggregator == address(0)) return 1;
        uint256 digits = AggregatorV3Interface(aggregator).decimals();
        _check("decimals", digits, 0, 18);
        return 10 ** digits;
    }

    function _check(bytes32 name, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert LimitOutOfRange(name, value);
    }
}

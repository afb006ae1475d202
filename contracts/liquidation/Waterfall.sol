// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse, ILiquidationEngine} from "../interfaces/IClearinghouse.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IWaterfall} from "../interfaces/IWaterfall.sol";
import {DeleverageMath} from "../math/DeleverageMath.sol";
import {InsolvencyWatch} from "./InsolvencyWatch.sol";

/// @title Waterfall
/// @notice Who pays what a liquidated account cannot: insurance, the other side's profit, the pool, everybody.
///
///         A deleveraged account loses at most the profit of the coins that are closed, keeps its maintenance margin if it
///         had it, and never owes anything through it. Accounts below maintenance are left to the liquidators.
/// @dev Holds no money. Ranking over all accounts is the keeper's: here only the order of those it names is checked.
contract Waterfall is InsolvencyWatch {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    /// @notice Most accounts that one call deleverages, so that its cost is bounded.
    uint256 public constant MAX_CANDIDATES = 16;

    uint256 private constant LONGEST_WINDOW = 1 days;

    /// @dev A position that may be deleveraged; `profit` is all of it, wad.
    struct Candidate {
        address account;
        int256 size;
        uint256 profit;
        uint256 spare; // equity above maintenance
        uint256 score;
    }

    /// @dev What one call to `adl` is for: `left` of profit still to be closed. It is paid to `payee`: the clearinghouse, for
    ///      bad debt of `side` (+1 longs, -1 shorts), or the pool, where that is insolvent; none when it only owes too much.
    struct Task {
        IPerpMarket market;
        uint256 price;
        uint256 left;
        int256 side;
        address payee;
    }

    /// @dev Open bad debt of one market by the side that was closed: what insurance left and deleveraging has not paid, wad.
    struct Origin {
        uint128 longs;
        uint128 shorts;
    }

    IClearinghouse public immutable clearinghouse;

    /// @inheritdoc IWaterfall
    uint256 public immutable adlTrigger;

    /// @inheritdoc IWaterfall
    uint256 public immutable adlTarget;

    /// @inheritdoc IWaterfall
    uint256 public immutable adlWindow;

    IPriceFeed private immutable _feed;
    IPerpMarket[] private _markets;
    mapping(address market => bool) private _isMarket;
    mapping(address market => Origin) private _origins;
    uint256 private _adlUntil;

    modifier locking() {
        clearinghouse.lock();
        _;
        clearinghouse.unlock();
    }

    constructor(
        address clearinghouse_,
        address[] memory markets_,
        uint256 adlWindow_,
        uint256 adlTrigger_,
        uint256 adlTarget_
    ) {
        if (adlWindow_ == 0 || adlWindow_ > LONGEST_WINDOW) revert BadSetting("adlWindow", adlWindow_);
        if (adlTrigger_ == 0 || adlTrigger_ > 1e18) revert BadSetting("adlTrigger", adlTrigger_);
        if (adlTarget_ >= adlTrigger_) revert BadSetting("adlTarget", adlTarget_);
        clearinghouse = IClearinghouse(clearinghouse_);
        _feed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        (adlWindow, adlTrigger, adlTarget) = (adlWindow_, adlTrigger_, adlTarget_);
        for (uint256 i = 0; i < markets_.length; ++i) {
            _markets.push(IPerpMarket(markets_[i]));
            _isMarket[markets_[i]] = true;
        }
    }

    /// @inheritdoc IWaterfall
    function absorb(address account, address market, int256 closed, uint256 price) external returns (uint256 deficit) {
        (deficit,) = _absorb(account, market, closed, price, type(uint256).max);
    }

    /// @inheritdoc IWaterfall
    function absorbPart(address account, address market, int256 closed, uint256 price, uint256 insurable)
        external
        returns (uint256 insured)
    {
        (, insured) = _absorb(account, market, closed, price, insurable);
    }

    function _absorb(address account, address market, int256 closed, uint256 price, uint256 insurable)
        private
        returns (uint256 deficit, uint256 insured)
    {
        _requireEngine();
        _watch(account, false);
        bool open = _isOpen();
        deficit = clearinghouse.recordBadDebt(account);
        if (deficit == 0) return (0, 0);
        insured = IBackstop(clearinghouse.insuranceFund()).cover(deficit.min(insurable), price);
        uint256 left = deficit - insured;
        if (left == 0) return (deficit, insured);
        if (!open) _open(left);
        else if (block.timestamp >= _adlUntil) _startWindow(left);
        if (closed < 0) _origins[market].longs += left.toUint128();
        if (closed > 0) _origins[market].shorts += left.toUint128();
    }

    /// @inheritdoc IWaterfall
    function observe(address account, bool insolvent) external {
        _requireEngine();
        _watch(account, insolvent);
    }

    /// @inheritdoc IWaterfall
    function review(address account) external locking {
        (uint256 price,) = _feed.price();
        _watch(account, ILiquidationEngine(clearinghouse.engineOf(account)).isInsolvent(account, price));
    }

    /// @inheritdoc IWaterfall
    /// @dev Bad debt is paid only by those whose market and side won what it is; the pool's deficit by all winners alike.
    function adl(address market, address[] calldata candidates)
        external
        locking
        returns (uint256 covered, uint256 notional)
    {
        if (!_isMarket[market]) revert UnknownMarket(market);
        if (candidates.length > MAX_CANDIDATES) revert TooManyCandidates(candidates.length, MAX_CANDIDATES);
        Task memory task = _task(IPerpMarket(market));
        if (task.payee != address(0) && !_isOpen()) _open(task.left);
        uint256 previous = type(uint256).max;
        for (uint256 i = 0; i < candidates.length && task.left > 0; ++i) {
            Candidate memory candidate = _candidate(task, candidates[i]);
            if (candidate.score == 0) continue;
            if (candidate.score > previous) revert NotRanked(candidates[i], candidate.score, previous);
            previous = candidate.score;
            (uint256 paid, uint256 closed) = _deleverage(task, candidate);
            task.left -= paid;
            covered += task.payee == address(0) ? 0 : paid;
            notional += closed.mulWadUp(task.price);
        }
        if (task.side > 0) _origins[market].longs -= uint128(covered);
        if (task.side < 0) _origins[market].shorts -= uint128(covered);
        _closeWhenPaid();
    }

    /// @inheritdoc IWaterfall
    /// @dev What the pool itself cannot pay (its equity is negative) counts as well. Where nothing but that is open, the
    ///      first call opens the window; where nobody settled within a day of its end, so does the next.
    function settleDeficit() external locking returns (uint256 fromPool, uint256 socialised) {
        (uint256 price,) = _feed.price();
        uint256 deficit = clearinghouse.badDebt();
        uint256 recorded = clearinghouse.recordedBadDebt();
        if (deficit > 0 && !_isOpen()) {
            _open(deficit);
        } else if (deficit > 0) {
            if (block.timestamp < _adlUntil) revert AdlWindowOpen(block.timestamp, _adlUntil);
            address pool = clearinghouse.liquidityPool();
            if (deficit > recorded) clearinghouse.recordBadDebt(pool);
            if (pool != address(0)) fromPool = IBackstop(pool).cover(deficit, price);
            if (fromPool < deficit) socialised = clearinghouse.socialise(deficit - fromPool);
        }
        _closeWhenPaid();
    }

    /// @inheritdoc IWaterfall
    function score(address market, address account, uint256 price) external view returns (uint256) {
        (int256 equity,,) = clearinghouse.margin(account, price);
        return _score(IPerpMarket(market), account, price, _profit(IPerpMarket(market), account, price), equity);
    }

    /// @inheritdoc IWaterfall
    function adlUntil() external view returns (uint256) {
        return clearinghouse.badDebt() > 0 ? _adlUntil : 0;
    }

    /// @inheritdoc IWaterfall
    function bankruptSide(address market) external view returns (int256) {
        (int256 side, uint256 left) = _claim(market);
        return left > 0 ? side : int256(0);
    }

    /// @inheritdoc IWaterfall
    function profitRatio(uint256 price) public view returns (uint256) {
        (uint256 debt, int256 cash) = _poolBooks(price);
        if (debt == 0) return 0;
        return cash > 0 ? debt.divWad(uint256(cash)) : type(uint256).max;
    }

    /// @dev Bad debt that came from `market` goes first, then what the pool itself lacks, then its debt to traders above its
    ///      limit.
    function _task(IPerpMarket market) private view returns (Task memory task) {
        (task.price,) = _feed.price();
        task.market = market;
        (task.side, task.left) = _claim(address(market));
        task.payee = address(clearinghouse);
        if (task.left > 0) return task;
        task.side = 0;
        task.payee = clearinghouse.liquidityPool();
        task.left = clearinghouse.badDebt() - clearinghouse.recordedBadDebt();
        if (task.left > 0) return task;
        task.payee = address(0);
        uint256 ratio = profitRatio(task.price);
        if (ratio <= adlTrigger) revert NothingToDeleverage(clearinghouse.recordedBadDebt(), ratio);
        (uint256 debt, int256 cash) = _poolBooks(task.price);
        task.left = DeleverageMath.profitAbove(debt, cash, adlTarget);
    }

    /// @dev The side of `market` that left the larger part of its bad debt, and what of that is still open.
    function _claim(address market) private view returns (int256 side, uint256 left) {
        Origin memory origin = _origins[market];
        side = origin.longs >= origin.shorts ? int256(1) : -1;
        left = clearinghouse.recordedBadDebt().min(uint256(origin.longs).max(origin.shorts));
    }

    /// @dev Score 0 for who is passed over: on the bankrupt side, without profit, or below maintenance already.
    function _candidate(Task memory task, address account) private view returns (Candidate memory found) {
        found.account = account;
        found.size = task.market.netSize(account);
        if (found.size == 0) return found;
        if (task.side != 0 && (found.size > 0) == (task.side > 0)) return found;
        found.profit = _profit(task.market, account, task.price);
        if (found.profit == 0) return found;
        (int256 equity,, uint256 maintenance) = clearinghouse.margin(account, task.price);
        if (equity < maintenance.toInt256()) return found;
        found.spare = uint256(equity) - maintenance;
        found.score = _score(task.market, account, task.price, found.profit, equity);
    }

    /// @dev Closes at index as many coins as `left` needs and the account's health allows; `paid` is what they bring.
    function _deleverage(Task memory task, Candidate memory candidate) private returns (uint256 paid, uint256 closed) {
        closed = _closable(task, candidate);
        if (closed == 0) return (0, 0);
        paid = _share(task, candidate, closed);
        int256 sizeDelta = _delta(candidate, closed);
        int256 pnl = task.market.deleverage(candidate.account, sizeDelta, task.price);
        uint256 haircut = task.payee == address(0) ? 0 : paid;
        clearinghouse.move(candidate.account, task.payee, haircut, "deleveraging");
        emit Deleveraged(candidate.account, address(task.market), sizeDelta, task.price, pnl, haircut);
    }

    /// @dev All coins wanted where the account keeps its maintenance margin; else as many as surely leave it that. Closing
    ///      everything drops the fixed part of the margin too, so the line is drawn from one wei short of it.
    function _closable(Task memory task, Candidate memory candidate) private view returns (uint256 closed) {
        uint256 size = candidate.size.abs();
        closed = DeleverageMath.coins(task.left, size, candidate.profit);
        uint256 short = _shortAfter(task, candidate, closed);
        if (short > 0 && closed == size) short = _shortAfter(task, candidate, --closed);
        if (short == 0) return closed;
        closed = DeleverageMath.safeCoins(closed, candidate.spare, short);
        if (_shortAfter(task, candidate, closed) > 0) return 0;
    }

    /// @dev What the account would lack of its maintenance margin after closing so many coins, the haircut paid.
    function _shortAfter(Task memory task, Candidate memory candidate, uint256 closed) private view returns (uint256) {
        (int256 equity, uint256 maintenance) = clearinghouse.marginIfFilled(
            candidate.account, address(task.market), _delta(candidate, closed), task.price
        );
        if (task.payee != address(0)) equity -= _share(task, candidate, closed).toInt256();
        int256 spare = equity - maintenance.toInt256();
        return spare < 0 ? uint256(-spare) : 0;
    }

    function _share(Task memory task, Candidate memory candidate, uint256 closed) private pure returns (uint256) {
        return DeleverageMath.share(task.left, closed, candidate.size.abs(), candidate.profit);
    }

    function _delta(Candidate memory candidate, uint256 closed) private pure returns (int256) {
        return candidate.size > 0 ? -closed.toInt256() : closed.toInt256();
    }

    /// @dev Price profit and funding at index, 0 where there is none.
    function _profit(IPerpMarket market, address account, uint256 price) private view returns (uint256) {
        (int256 pnl, int256 fundingPnl) = market.accrued(account, price);
        return uint256((pnl + fundingPnl).max(0));
    }

    function _score(IPerpMarket market, address account, uint256 price, uint256 profit, int256 equity)
        private
        view
        returns (uint256)
    {
        return DeleverageMath.score(profit, price, market.position(account).entryPrice, uint256(equity.max(0)));
    }

    /// @dev What the pool owes all traders together (0 when they owe it), and its cash.
    function _poolBooks(uint256 price) private view returns (uint256 debt, int256 cash) {
        int256 owed;
        for (uint256 i = 0; i < _markets.length; ++i) owed += _markets[i].marketDebt(price);
        debt = uint256(owed.max(0));
        cash = clearinghouse.cash(clearinghouse.liquidityPool());
    }

    function _requireEngine() private view {
        if (!clearinghouse.isEngine(msg.sender)) revert NotEngine(msg.sender);
    }

    /// @dev Whether there is a window for what is open. One that the pool's deficit alone opened lapses a day after its end:
    ///      prices may have healed the pool and hurt it again since.
    function _isOpen() private view returns (bool) {
        if (clearinghouse.recordedBadDebt() > 0) return true;
        return block.timestamp <= _adlUntil + LONGEST_WINDOW && clearinghouse.badDebt() > 0;
    }

    /// @dev Where somebody paid the deficit before this one, nobody is to be deleveraged for that any more.
    function _open(uint256 deficit) private {
        for (uint256 i = 0; i < _markets.length; ++i) delete _origins[address(_markets[i])];
        _startWindow(deficit);
    }

    /// @dev Also for what is added to a deficit whose window is over: nobody had the time to deleverage for it.
    function _startWindow(uint256 deficit) private {
        _adlUntil = block.timestamp + adlWindow;
        emit DeficitOpened(deficit, _adlUntil);
    }

    function _closeWhenPaid() private {
        if (_adlUntil == 0 || clearinghouse.badDebt() > 0) return;
        _adlUntil = 0;
        emit DeficitClosed();
    }
}

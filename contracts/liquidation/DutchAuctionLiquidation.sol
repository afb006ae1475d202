// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IAuction} from "../interfaces/IAuction.sol";
import {IInsuranceFund} from "../interfaces/IInsuranceFund.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {AuctionMath} from "../math/AuctionMath.sol";
import {LiquidationEngine} from "./LiquidationEngine.sol";

/// @title DutchAuctionLiquidation
/// @notice Sells an account below maintenance margin in parts, positions and cash together, to whoever takes them with
///         enough margin, at a price that falls with time. `liquidate` starts an auction, keeps it running, and ends it
///         once the account is healthy; only `bid` moves anything. An account that holds nothing is left to the waterfall.
///
///         A deficit is split by maintenance margin: the part of the perpetuals has the whole waterfall behind it, that of
///         the options only the insurance fund, whose cap per event is one for the whole auction. The price stops falling
///         where that ends. Where nobody may bid, because the options owe more or some of them wait for their settlement,
///         `liquidate` closes the perpetuals itself, at the skew fill, and leaves what that loses to the waterfall. The
///         options stay for their expiry, and who is long against them shares in what the account has then.
///
///         What earlier bids paid is reserved: it is not for sale again, so that many small bids take no more than one.
/// @dev The clock trusts nobody: an auction that was not seen below maintenance for `fastTime` is over, so a discount from
///      before the account was healthy is never older than that.
contract DutchAuctionLiquidation is LiquidationEngine, IAuction {
    using AuctionMath for int256;
    using FixedPointMathLib for int256;
    using FixedPointMathLib for uint256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    struct Settings {
        uint256 fastTime; // seconds in which the price falls from `start` to `fastEnd`
        uint256 slowTime; // seconds in which it falls from there to nothing
        uint256 insolventTime; // seconds in which an insolvent account's price falls by its maintenance margin
        uint256 startGas; // gas units paid back to who starts an auction
        uint256 start; // fraction of equity, wad
        uint256 fastEnd; // fraction of equity, wad
        uint256 buffer; // above maintenance margin, to which bids lift an account, wad
    }

    /// @dev `insured` is what the insurance fund has paid in this auction, and `reserved` what bidders have, wad.
    struct Clock {
        uint40 startedAt;
        uint40 insolventAt;
        uint40 seenAt;
        uint128 insured;
        uint128 reserved;
    }

    /// @dev An account at one price, wad.
    struct Lot {
        int256 reserved; // cash not for sale
        int256 cash; // the rest of it, with the perpetuals' profit
        int256 equity; // with the options too, longs and shorts at mid
        int256 margin; // equity as the margin model counts it, reserved cash included
        uint256 maintenance;
        uint256 fixedMargin; // part of the perpetuals' maintenance margin that does not shrink with them
        uint256 perpetuals; // their maintenance margin alone, where equity is not positive
        uint256 options; // and that of the options
        int256 price; // of the whole
        uint256 fraction; // largest that may go
    }

    uint256 private constant WAD = 1e18;
    uint256 private constant LONGEST = 7 days;
    uint256 private constant MOST_GAS = 10_000_000;

    /// @notice The options sold with the rest; zero where the venue has none.
    IOptionMarket public immutable optionMarket;

    uint256 public immutable fastTime;
    uint256 public immutable slowTime;
    uint256 public immutable insolventTime;
    uint256 public immutable startGas;
    uint256 public immutable start;
    uint256 public immutable fastEnd;
    uint256 public immutable buffer;

    mapping(address account => Clock) private _clocks;

    constructor(address clearinghouse_, address[] memory markets_, address optionMarket_, Settings memory settings)
        LiquidationEngine(clearinghouse_, markets_)
    {
        _requireTime("fastTime", settings.fastTime);
        _requireTime("slowTime", settings.slowTime);
        _requireTime("insolventTime", settings.insolventTime);
        if (settings.startGas > MOST_GAS) revert BadSetting("startGas", settings.startGas);
        if (settings.start > WAD) revert BadSetting("start", settings.start);
        if (settings.fastEnd > settings.start) revert BadSetting("fastEnd", settings.fastEnd);
        if (settings.buffer > WAD) revert BadSetting("buffer", settings.buffer);
        optionMarket = IOptionMarket(optionMarket_);
        (fastTime, slowTime, insolventTime) = (settings.fastTime, settings.slowTime, settings.insolventTime);
        (startGas, start, fastEnd, buffer) = (settings.startGas, settings.start, settings.fastEnd, settings.buffer);
    }

    /// @inheritdoc IAuction
    function bid(address account, uint256 fraction, int256 maxPaid) external returns (uint256 taken, int256 paid) {
        if (msg.sender == account) revert OwnAuction(account);
        if (fraction == 0 || fraction > WAD) revert BadFraction(fraction);
        if (!_isRunning(_clocks[account])) revert NoAuction(account);
        (uint256 price,) = _feed.price();
        _settleOrders(account);
        clearinghouse.lock();
        _passOnRewards();
        _dropOrders(account);
        _requireRightEngine(account);
        if (_settlementDue(account)) revert SettlementDue(account);
        Lot memory lot = _lot(account, price);
        if (lot.fraction == 0) revert NotLiquidatable(account, lot.margin, lot.maintenance);
        _see(account, lot.equity);
        taken = fraction.min(lot.fraction);
        paid = _sell(account, lot, taken, price);
        if (paid > maxPaid) revert PaysTooMuch(paid, maxPaid);
        clearinghouse.requireInitialMargin(msg.sender, price);
        if (!clearinghouse.isLiquidatable(account, price)) _end(account);
        _observe(account, _leavesDebt(account, lot.equity));
        clearinghouse.unlock();
    }

    /// @inheritdoc IAuction
    function auction(address account) external view returns (Auction memory running) {
        Clock memory clock = _clocks[account];
        if (_isRunning(clock)) running = Auction(clock.startedAt, clock.insolventAt, clock.reserved);
    }

    /// @inheritdoc IAuction
    function terms(address account, uint256 price) external view returns (uint256 maxFraction, int256 paidForAll) {
        if (!_isRunning(_clocks[account]) || _settlementDue(account)) return (0, 0);
        Lot memory lot = _lot(account, price);
        if (lot.fraction == 0) return (0, 0);
        return (lot.fraction, lot.price - lot.cash);
    }

    // ---------------------------------------------------------------- the course of an auction

    /// @dev An account that is healthy, or another engine's now, may still have an auction to be ended.
    function _requireLiquidatable(address account, uint256 price)
        internal
        view
        override
        returns (int256 equity, uint256 maintenance)
    {
        if (_clocks[account].startedAt == 0) return super._requireLiquidatable(account, price);
        (equity,, maintenance) = clearinghouse.margin(account, price);
    }

    /// @inheritdoc LiquidationEngine
    /// @dev No auction starts or goes on while a series has expired and is not settled: nobody could bid. One of options
    ///      alone that owe more than is insured does: the next price may make them saleable.
    function _liquidate(address account, uint256 price, int256 margin, uint256 maintenance)
        internal
        override
        returns (uint256 reward, uint256 nextAt)
    {
        bool isOurs = clearinghouse.engineOf(account) == address(this);
        if (isOurs && margin < maintenance.toInt256() && _dropOrders(account)) {
            (margin,, maintenance) = clearinghouse.margin(account, price);
        }
        if (margin >= maintenance.toInt256() || !isOurs) {
            _end(account);
            if (margin >= 0) _observe(account, false);
            return (0, isOurs ? 0 : block.timestamp);
        }
        if (_isFlat(account)) {
            _end(account);
            Closing memory closing;
            _finish(closing, account, price);
            _observe(account, false);
            return (closing.reward, 0);
        }
        bool due = _settlementDue(account);
        if (due || !_isInsurable(account, price)) {
            bool done;
            (done, reward) = _unwind(account, price);
            if (done) return (reward, clearinghouse.isLiquidatable(account, price) ? block.timestamp : 0);
        }
        if (due) return (0, block.timestamp);
        int256 equity = _cash(account, price) + _optionValue(account, price);
        if (!_isRunning(_clocks[account])) reward = _start(account, price, equity, maintenance);
        equity -= reward.toInt256();
        _see(account, equity);
        _observe(account, _leavesDebt(account, equity));
        nextAt = block.timestamp + fastTime / 2;
    }

    /// @dev Whoever starts an auction gets gas back, at most half of the maintenance margin and no more than there is;
    ///      nothing for one that lapsed.
    function _start(address account, uint256 price, int256 equity, uint256 maintenance) private returns (uint256 reward) {
        if (_clocks[account].startedAt == 0 && _markets.length > 0) {
            uint256 baseFee = block.basefee.min(_markets[0].parameters().maxBaseFee);
            uint256 has = uint256(clearinghouse.cash(account).max(equity).max(0));
            reward = (startGas * baseFee).mulWad(price).min(maintenance / 2).min(has);
            clearinghouse.move(account, msg.sender, reward, "liquidation reward");
        }
        _clocks[account] = Clock(uint40(block.timestamp), 0, 0, 0, 0);
        emit AuctionStarted(account, msg.sender, equity - reward.toInt256(), reward);
    }

    /// @dev Closes the perpetuals of an account that nobody may bid for, and has what neither its cash nor its options cover
    ///      recorded. What longs are worth stays owed by the account: they may pay it yet.
    function _unwind(address account, uint256 price) private returns (bool done, uint256 reward) {
        _passOnRewards();
        Closing memory closing;
        _closeAll(closing, account, price);
        int256 cash = clearinghouse.cash(account);
        uint256 deficit = uint256((-cash).min(-cash - _optionValue(account, price)).max(0));
        if (closing.most == 0 && deficit == 0) return (false, 0);
        _spend(account, _absorbPart(account, deficit, closing.market, closing.most, price, _insurable(account)));
        if (!clearinghouse.isLiquidatable(account, price)) _end(account);
        _observe(account, false);
        emit Liquidated(account, msg.sender, closing.size, price, closing.reward, deficit);
        return (true, closing.reward);
    }

    /// @dev Notes that the account was seen below maintenance now, and on which side of zero its equity is.
    function _see(address account, int256 equity) private {
        Clock storage clock = _clocks[account];
        clock.seenAt = uint40(block.timestamp);
        if (equity > 0) {
            clock.insolventAt = 0;
        } else if (clock.insolventAt == 0) {
            clock.insolventAt = uint40(block.timestamp);
            emit AuctionInsolvent(account, equity);
        }
    }

    function _end(address account) private {
        if (_clocks[account].startedAt == 0) return;
        delete _clocks[account];
        emit AuctionEnded(account);
    }

    function _isRunning(Clock memory clock) private view returns (bool) {
        return clock.startedAt != 0 && block.timestamp <= clock.seenAt + fastTime;
    }

    // ---------------------------------------------------------------- a sale

    /// @dev Moves the positions, then cash until the account has what is reserved, (1 - f) of its other cash, and f of the
    ///      price. What the price is below zero the waterfall pays in, so that the bidder receives it.
    function _sell(address account, Lot memory lot, uint256 fraction, uint256 price) private returns (int256 paid) {
        int256 due = -(-lot.price).part(fraction);
        (address market, int256 most) = _transferPerpetuals(account, fraction, price);
        if (_holdsOptions(account)) optionMarket.takeOver(account, msg.sender, fraction);
        paid = lot.reserved + lot.cash - lot.cash.part(fraction) + due - _cash(account, price);
        uint256 deficit = due < 0 ? uint256(-due) : 0;
        if (deficit > 0) _cover(account, lot, deficit, market, most, price);
        else _clocks[account].reserved = uint256(lot.reserved + due).toUint128();
        if (paid > 0) clearinghouse.move(msg.sender, account, uint256(paid), "auction");
        else clearinghouse.move(account, msg.sender, uint256(-paid), "auction");
        emit AuctionBid(account, msg.sender, fraction, paid, price, deficit);
    }

    /// @dev Returns the market in which most moved, and how much, signed as if it had been closed.
    function _transferPerpetuals(address account, uint256 fraction, uint256 price)
        private
        returns (address market, int256 most)
    {
        for (uint256 i = 0; i < _markets.length; ++i) {
            int256 size = _markets[i].netSize(account).sMulWad(int256(fraction));
            if (size != 0) _markets[i].transferPosition(account, msg.sender, size, price);
            if (i == 0 || size.abs() > most.abs()) (market, most) = (address(_markets[i]), -size);
        }
    }

    /// @dev Pays `deficit` in to the account, the options' part by the insurance fund, the perpetuals' by the waterfall. That
    ///      takes from the fund only what all of the options leave, lest the next bid for these find it empty.
    function _cover(address account, Lot memory lot, uint256 deficit, address market, int256 closed, uint256 price)
        private
    {
        uint256 total = lot.perpetuals + lot.options;
        uint256 insured = total == 0 ? 0 : deficit.fullMulDiv(lot.options, total);
        uint256 insurable = _insurable(account);
        uint256 whole = total == 0 ? 0 : lot.price.abs().fullMulDiv(lot.options, total);
        if (whole > insurable) revert DeficitTooLarge(whole, insurable);
        if (insured > 0) {
            clearinghouse.move(clearinghouse.insuranceFund(), account, insured, "insurance");
        }
        insured += _absorbPart(account, deficit - insured, market, closed, price, insurable - whole);
        _spend(account, insured);
    }

    /// @dev Notes what the insurance fund paid, where an auction is running.
    function _spend(address account, uint256 insured) private {
        if (insured > 0 && _isRunning(_clocks[account])) _clocks[account].insured += insured.toUint128();
    }

    // ---------------------------------------------------------------- what is for sale

    /// @dev Everything about the account, and what it costs; a fraction of 0 where it is healthy.
    function _lot(address account, uint256 price) private view returns (Lot memory lot) {
        (lot.margin,, lot.maintenance) = clearinghouse.margin(account, price);
        if (lot.margin >= lot.maintenance.toInt256()) return lot;
        lot.cash = _cash(account, price);
        lot.equity = lot.cash + _optionValue(account, price);
        _reserve(lot, account);
        _addMargins(lot, account, price);
        lot.price = _price(account, lot);
        uint256 lifted = WAD + buffer;
        int256 gained = lot.reserved + lot.price - lot.fixedMargin.mulWadUp(lifted).toInt256();
        lot.fraction = AuctionMath.maxFraction(lot.maintenance.mulWadUp(lifted), lot.margin, gained);
    }

    /// @dev What is reserved is spent first where the rest is worth nothing.
    function _reserve(Lot memory lot, address account) private view {
        int256 reserved = int256(uint256(_clocks[account].reserved));
        if (reserved >= lot.equity) return;
        lot.reserved = reserved;
        lot.cash -= reserved;
        lot.equity -= reserved;
    }

    function _addMargins(Lot memory lot, address account, uint256 price) private view {
        for (uint256 i = 0; i < _markets.length; ++i) {
            int256 size = _markets[i].netSize(account);
            if (size == 0) continue;
            lot.fixedMargin += _markets[i].liquidationCost(1, price);
            if (lot.equity > 0) continue;
            (, uint256 maintenance) = _markets[i].requirements(size, price);
            lot.perpetuals += maintenance;
        }
        if (lot.equity <= 0 && _holdsOptions(account)) (,, lot.options) = optionMarket.assess(account, price);
    }

    /// @dev What the whole account costs now. An insolvent one gets no cheaper than what the insurance fund can pay.
    function _price(address account, Lot memory lot) private view returns (int256 price) {
        Clock memory clock = _clocks[account];
        if (lot.equity > 0) {
            uint256 elapsed = block.timestamp - clock.startedAt;
            uint256 discount = AuctionMath.discount(elapsed, fastTime, slowTime, start, fastEnd);
            return uint256(lot.equity).mulWadUp(discount).toInt256();
        }
        uint256 waited = clock.insolventAt == 0 ? 0 : block.timestamp - clock.insolventAt;
        price = lot.equity.insolventPrice(lot.maintenance, waited, insolventTime);
        if (lot.options == 0) return price;
        uint256 most = _insurable(account).fullMulDiv(lot.perpetuals + lot.options, lot.options);
        return price.max(lot.equity.min(-most.toInt256()));
    }

    /// @dev Whether the insurance fund can pay the options' part of what the account owes; where not, no bid is possible.
    function _isInsurable(address account, uint256 price) private view returns (bool) {
        if (!_holdsOptions(account)) return true;
        Lot memory lot;
        lot.equity = _cash(account, price) + _optionValue(account, price);
        if (lot.equity >= 0) return true;
        _addMargins(lot, account, price);
        if (lot.options == 0) return true;
        return lot.equity.abs().fullMulDiv(lot.options, lot.perpetuals + lot.options) <= _insurable(account);
    }

    /// @inheritdoc LiquidationEngine
    function _owes(address account, uint256 price) internal view override returns (bool) {
        return _leavesDebt(account, _cash(account, price) + _optionValue(account, price));
    }

    /// @dev Longs count in `equity`. What options alone owe becomes nobody's bad debt: insurance pays it, or who is long
    ///      against them.
    function _leavesDebt(address account, int256 equity) private view returns (bool leaves) {
        if (equity >= 0) return false;
        leaves = clearinghouse.cash(account) < 0;
        for (uint256 i = 0; i < _markets.length && !leaves; ++i) leaves = _markets[i].netSize(account) != 0;
    }

    /// @dev At mid: longs count, the cost of closing does not.
    function _optionValue(address account, uint256 price) private view returns (int256) {
        return _holdsOptions(account) ? optionMarket.greeksOf(account, price).value : int256(0);
    }

    /// @dev What the insurance fund may still pay in this auction, however many bids it takes.
    function _insurable(address account) private view returns (uint256) {
        address fund = clearinghouse.insuranceFund();
        Clock memory clock = _clocks[account];
        uint256 left = IInsuranceFund(fund).maxPerEvent().zeroFloorSub(_isRunning(clock) ? clock.insured : 0);
        return left.min(uint256(clearinghouse.cash(fund).max(0)));
    }

    function _holdsOptions(address account) private view returns (bool) {
        return address(optionMarket) != address(0) && !optionMarket.isFlat(account);
    }

    function _settlementDue(address account) private view returns (bool due) {
        if (address(optionMarket) != address(0)) (, due) = optionMarket.surfaceOf(account);
    }

    function _requireTime(bytes32 name, uint256 time) private pure {
        if (time == 0 || time > LONGEST) revert BadSetting(name, time);
    }
}

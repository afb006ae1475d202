// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {BlackScholes} from "../math/BlackScholes.sol";
import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {OptionBook} from "./OptionBook.sol";
import {OptionMargin} from "./OptionMargin.sol";
import {OptionPricing} from "./OptionPricing.sol";
import {OptionSettlement} from "./OptionSettlement.sol";
import {SeriesId} from "./SeriesId.sol";

/// @title OptionMarket
/// @notice Quotes, trades, and what positions are worth. Every trade is against a maker's account at the maker's terms.
contract OptionMarket is OptionSettlement {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using OptionPricing for Greeks;
    using OptionPricing for OptionPricing.Memo;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    /// @dev A quote, and what the maker has sold before and after it: vega (USD per 1.00 of volatility) and units.
    struct Terms {
        int256 premium;
        int256 mid;
        uint256 vol;
        int256 soldBefore;
        int256 soldAfter;
        uint256 shortBefore;
        uint256 shortAfter;
    }

    /// @dev Where a maker stands: its equity, what it must hold, and how far it is above its own buffer; may be negative.
    struct Standing {
        int256 equity;
        int256 cushion;
        uint256 initial;
        uint256 maintenance;
        uint256 buffered;
    }

    /// @notice Least trade, and least position that a taker may keep, wad: settling a position costs whoever does it the
    ///         same whatever its size.
    uint256 public constant MIN_SIZE = 0.01e18;
    /// @notice |delta| that the least spread is charged on at least, wad.
    uint256 public constant MIN_SPREAD_DELTA = 0.1e18;
    /// @notice Greatest margin buffer of a maker, wad.
    uint256 public constant MAX_MARGIN_BUFFER = 10e18;

    IVolatilityFeed public immutable volatilityFeed;
    /// @notice Volatility points around mid at which closing is costed and margin reserved, wad.
    uint256 public immutable closingSpread;

    mapping(address maker => Quoting) private _quoting;

    constructor(IClearinghouse clearinghouse_, IVolatilityFeed volatilityFeed_, uint256 closingSpread_, address admin)
        OptionBook(clearinghouse_, admin)
    {
        volatilityFeed = volatilityFeed_;
        closingSpread = closingSpread_;
    }

    // ---------------------------------------------------------------- series and quotes

    /// @inheritdoc IOptionMarket
    function setQuoting(Quoting calldata quoting_) external {
        uint256 buffer = quoting_.marginBuffer;
        if (buffer < 1e18 || buffer > MAX_MARGIN_BUFFER) revert BadQuoting(buffer);
        _quoting[msg.sender] = quoting_;
        emit QuotingSet(msg.sender, quoting_);
    }

    /// @inheritdoc IOptionMarket
    function quote(address maker, uint256 id, int256 size)
        external
        view
        returns (int256 premium, int256 mid, uint256 vol)
    {
        (uint256 price,) = priceFeed.price();
        Terms memory terms = _terms(maker, id, size, price);
        return (terms.premium, terms.mid, terms.vol);
    }

    /// @inheritdoc IOptionMarket
    function trade(address maker, uint256 id, int256 size, int256 premiumLimit)
        external
        locking
        returns (int256 premium)
    {
        (uint256 price,) = priceFeed.price();
        Terms memory terms = _terms(maker, id, size, price);
        premium = terms.premium;
        if (premium > premiumLimit) revert PremiumLimit(premium, premiumLimit);
        if (volatilityFeed.storedAt(id.expiryOf()) == block.timestamp) revert SurfaceJustMoved(id.expiryOf());
        _checkSize(positionOf[msg.sender][id], size);
        _checkLimits(maker, terms);
        clearinghouse.requireUndecided(maker);
        Standing memory before = _standing(maker, price);
        _change(msg.sender, id, size);
        _change(maker, id, -size);
        if (premium > 0) _pay(msg.sender, maker, uint256(premium));
        else _pay(maker, msg.sender, uint256(-premium));
        clearinghouse.requireInitialMargin(msg.sender, price);
        _checkMaker(maker, price, before);
        emit Traded(msg.sender, maker, id, size, premium, terms.mid, terms.vol);
    }

    /// @dev The maker's volatility is the surface's, plus its spread when it sells or minus it when it buys, plus its
    ///      skew at the mean of the vega it has sold before and after, so that splitting a trade changes nothing and a
    ///      round trip costs the spread twice.
    function _terms(address maker, uint256 id, int256 size, uint256 price) private view returns (Terms memory terms) {
        if (size == 0) revert ZeroSize();
        if (!isListed[id]) revert UnknownSeries(id);
        if (block.timestamp >= id.expiryOf()) revert SeriesExpired(id);
        Quoting memory quoting_ = _quoting[maker];
        if (!quoting_.active || maker == msg.sender) revert MakerInactive(maker);

        IVolatilityFeed.State state = volatilityFeed.state(id.expiryOf());
        if (state > IVolatilityFeed.State.DEGRADED) revert SurfaceNotTradable(uint8(state));
        int256 spread = _widened(quoting_.halfSpread, state).toInt256();

        OptionPricing.Memo memory memo;
        (Greeks memory unit, uint256 midVol) = memo.unit(priceFeed, volatilityFeed, id, price, 1e18);
        if (memo.outlook.time <= BlackScholes.MIN_TIME) revert TradingClosed(id);
        int256 vega = size.sMulWad(unit.vega);
        _sold(terms, maker, id, size, price);
        terms.soldAfter = terms.soldBefore + vega;
        int256 skew = quoting_.vegaSkew.toInt256().sMulWad(terms.soldAfter - vega / 2);
        terms.vol = OptionPricing.clamp(_positive(midVol.toInt256() + skew + (size > 0 ? spread : -spread)));

        terms.mid = -OptionPricing.floorMul(-size, unit.value);
        terms.premium = -OptionPricing.floorMul(-size, memo.valueAt(id.isCallOf(), terms.vol))
            + _addedSpread(quoting_.minSpread, unit, size, price, uint256(spread)).toInt256();
    }

    /// @dev By how much the volatility spread falls short of the least spread: an option without vega has none of its own.
    function _addedSpread(uint256 minSpread, Greeks memory unit, int256 size, uint256 price, uint256 volSpread)
        private
        pure
        returns (uint256)
    {
        uint256 least = price.mulWadUp(minSpread).mulWadUp(unit.delta.abs().max(MIN_SPREAD_DELTA));
        return size.abs().mulWadUp(least.zeroFloorSub(uint256(unit.vega).mulWad(volSpread)));
    }

    /// @dev What the maker has sold, in vega and in units, before and after.
    function _sold(Terms memory terms, address maker, uint256 id, int256 size, uint256 price) private view {
        (Holding[] memory holdings, Greeks memory held) = _holdings(maker, price, 1e18);
        terms.soldBefore = -held.vega;
        for (uint256 i; i < holdings.length; ++i) {
            terms.shortBefore += _positive(-holdings[i].size);
        }
        int256 position = positionOf[maker][id];
        terms.shortAfter = terms.shortBefore + _positive(size - position) - _positive(-position);
    }

    /// @dev What a deficit will take is taken of cash, so while withdrawals are closed nobody turns cash into options:
    ///      positions only shrink.
    function _checkSize(int256 held, int256 size) private view {
        int256 position = held + size;
        uint256 least = size.abs().min(position.abs());
        if (position != 0 && least < MIN_SIZE) revert SizeTooSmall(least, MIN_SIZE);
        bool closes = (held > 0) != (size > 0) && size.abs() <= held.abs();
        if (!closes && !clearinghouse.withdrawalsOpen()) revert ClosingOnly(held, size);
    }

    /// @dev Who owes the insurance fund repays it from the premium that it receives.
    function _pay(address from, address to, uint256 premium) private {
        _move(from, to, premium, "premium");
        _repay(to, to, premium);
    }

    function _checkLimits(address maker, Terms memory terms) private view {
        Quoting storage quoting_ = _quoting[maker];
        uint256 sold = terms.soldAfter.abs();
        if (sold > quoting_.maxVega && sold > terms.soldBefore.abs()) {
            revert MakerLimit(terms.soldAfter, quoting_.maxVega);
        }
        if (terms.shortAfter > quoting_.maxShort && terms.shortAfter > terms.shortBefore) {
            revert MakerShortLimit(terms.shortAfter, quoting_.maxShort);
        }
    }

    function _standing(address maker, uint256 price) private view returns (Standing memory now_) {
        (now_.equity, now_.initial, now_.maintenance) = clearinghouse.margin(maker, price);
        now_.buffered = now_.initial.mulWadUp(_quoting[maker].marginBuffer);
        now_.cushion = now_.equity - now_.buffered.toInt256();
    }

    /// @dev A maker may always trade back towards its buffer; but below initial margin not at a price that costs it equity,
    ///      below maintenance not at all, and in debt to the fund only as a taker may: it sets its own terms, and what it
    ///      gives away then may be somebody else's.
    function _checkMaker(address maker, uint256 price, Standing memory before) private view {
        Standing memory now_ = _standing(maker, price);
        bool isWorse = now_.cushion < 0 && now_.cushion < before.cushion;
        bool isBelow = now_.equity < now_.initial.toInt256() && (now_.equity < before.equity || debtOf[maker] != 0);
        if (isWorse || isBelow || now_.equity < now_.maintenance.toInt256()) {
            revert MakerMargin(now_.equity, now_.buffered);
        }
    }

    function _widened(uint256 spread, IVolatilityFeed.State state) private pure returns (uint256) {
        return state == IVolatilityFeed.State.FRESH ? spread : 2 * spread;
    }

    // ---------------------------------------------------------------- value and margin

    /// @inheritdoc IProduct
    /// @dev Longs count for nothing; a short is a liability at mid, and after the fix what it will pay. What the account owes
    ///      the insurance fund it must hold as initial margin.
    function assess(address account, uint256 price)
        external
        view
        returns (int256 value, uint256 initial, uint256 maintenance)
    {
        uint256[] memory ids = _ids(account);
        OptionPricing.Memo memory memo;
        initial = debtOf[account];
        for (uint256 i; i < ids.length; ++i) {
            int256 size = positionOf[account][ids[i]];
            if (size > 0) continue;
            (Greeks memory unit,) = _unit(memo, ids[i], price, 1e18);
            value += OptionPricing.floorMul(size, unit.value);
            if (settlementPrice[ids[i].expiryOf()] != 0) continue;
            (uint256 initialUnit, uint256 maintenanceUnit) =
                OptionMargin.ofShort(price, ids[i].strikeOf(), ids[i].isCallOf(), uint256(unit.vega), closingSpread);
            initial += size.abs().mulWadUp(initialUnit);
            maintenance += size.abs().mulWadUp(maintenanceUnit);
        }
    }

    /// @inheritdoc IOptionMarket
    function unitGreeks(uint256 id, uint256 price) external view returns (Greeks memory greeks, uint256 vol) {
        OptionPricing.Memo memory memo;
        return _unit(memo, id, price, 1e18);
    }

    /// @inheritdoc IOptionMarket
    function greeksOf(address account, uint256 price) external view returns (Greeks memory total) {
        (, total) = _holdings(account, price, 1e18);
    }

    /// @inheritdoc IOptionMarket
    function closingCost(address account, uint256 price) external view returns (uint256) {
        (Holding[] memory holdings,) = _holdings(account, price, 1e18);
        return _closingCost(holdings);
    }

    /// @inheritdoc IOptionMarket
    function book(address account, uint256 price)
        external
        view
        returns (Holding[] memory holdings, Greeks memory total, uint256 closing)
    {
        (holdings, total) = _holdings(account, price, 1e18);
        closing = _closingCost(holdings);
    }

    /// @inheritdoc IOptionMarket
    function greeksAt(address account, uint256 price, uint256 volScale) external view returns (Greeks memory total) {
        (, total) = _holdings(account, price, volScale);
    }

    /// @inheritdoc IOptionMarket
    function surfaceOf(address account) external view returns (IVolatilityFeed.State worst, bool expired) {
        uint256[] memory ids = _ids(account);
        uint64 seen;
        for (uint256 i; i < ids.length; ++i) {
            uint64 expiry = ids[i].expiryOf();
            if (expiry <= block.timestamp) {
                expired = true;
            } else if (expiry != seen) {
                IVolatilityFeed.State state = volatilityFeed.state(expiry);
                if (state > worst) worst = state;
                seen = expiry;
            }
        }
    }

    function _holdings(address account, uint256 price, uint256 volScale)
        private
        view
        returns (Holding[] memory holdings, Greeks memory total)
    {
        uint256[] memory ids = _ids(account);
        holdings = new Holding[](ids.length);
        OptionPricing.Memo memory memo;
        for (uint256 i; i < ids.length; ++i) {
            Holding memory holding = holdings[i];
            holding.seriesId = ids[i];
            holding.size = positionOf[account][ids[i]];
            (holding.unit, holding.vol) = _unit(memo, ids[i], price, volScale);
            (holding.forward, holding.varianceTime) = _settlement(memo, ids[i].expiryOf());
            total.add(holding.unit, holding.size);
        }
    }

    function _closingCost(Holding[] memory holdings) private view returns (uint256 cost) {
        uint64 expiry;
        uint256 spread;
        for (uint256 i; i < holdings.length; ++i) {
            Holding memory holding = holdings[i];
            if (holding.vol == 0) continue;
            if (holding.seriesId.expiryOf() != expiry) {
                expiry = holding.seriesId.expiryOf();
                spread = _widened(closingSpread, volatilityFeed.state(expiry));
            }
            cost += holding.size.abs().mulWadUp(uint256(holding.unit.vega).mulWadUp(spread));
        }
    }

    /// @dev Once the price is fixed a unit is worth its payoff; once no short is left, its share of the pot at most.
    function _unit(OptionPricing.Memo memory memo, uint256 id, uint256 price, uint256 volScale)
        private
        view
        returns (Greeks memory greeks, uint256 vol)
    {
        uint64 expiry = id.expiryOf();
        if (block.timestamp < expiry || settlementPrice[expiry] == 0) {
            return memo.unit(priceFeed, volatilityFeed, id, price, volScale);
        }
        greeks.value = _scaled(expiry, _payoff(id)).toInt256();
    }

    /// @dev Expected settlement price of the series that `memo` valued last, and the variance time until then.
    function _settlement(OptionPricing.Memo memory memo, uint64 expiry)
        private
        view
        returns (uint256 forward, uint256 time)
    {
        uint256 fixed_ = block.timestamp < expiry ? 0 : settlementPrice[expiry];
        return fixed_ == 0 ? (memo.outlook.forward, memo.outlook.time) : (fixed_, 0);
    }

    /// @inheritdoc IOptionMarket
    function quoting(address maker) external view returns (Quoting memory) {
        return _quoting[maker];
    }
}

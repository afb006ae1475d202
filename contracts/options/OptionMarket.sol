// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {BlackScholes} from "../math/BlackScholes.sol";
import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {IInsuranceFund} from "../interfaces/IInsuranceFund.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {OptionMargin} from "./OptionMargin.sol";
import {OptionPricing} from "./OptionPricing.sol";
import {SeriesId} from "./SeriesId.sol";

/// @title OptionMarket
/// @notice Every trade moves a position from one account to another, so each series sums to zero over all accounts. The
///         market's own clearinghouse account holds only the pots of series that are being settled.
contract OptionMarket is IOptionMarket, AccessControl {
    using EnumerableSet for EnumerableSet.UintSet;
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using OptionPricing for Greeks;
    using OptionPricing for OptionPricing.Memo;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    /// @dev Both sides of a series and what its shorts have paid in; `shorts` and `longs` differ only while settling.
    struct Interest {
        uint128 shorts;
        uint128 longs;
        uint256 pot;
    }

    /// @dev A quote, and the maker's vega sold (USD per 1.00 of volatility) before and after it.
    struct Terms {
        int256 premium;
        int256 mid;
        uint256 vol;
        int256 soldBefore;
        int256 soldAfter;
    }

    bytes32 public constant LISTER = keccak256("LISTER");
    uint256 public constant MAX_SERIES = 64;
    uint256 public constant SETTLEMENT_WINDOW = 30 minutes;
    /// @dev A series is listed only where its strike is at most this factor away from the index.
    uint256 public constant MAX_STRIKE_RATIO = 5;

    IClearinghouse public immutable clearinghouse;
    IPriceFeed public immutable priceFeed;
    IVolatilityFeed public immutable volatilityFeed;
    /// @notice Volatility points around mid at which closing is costed and margin reserved, wad.
    uint256 public immutable closingSpread;

    mapping(uint256 seriesId => bool) public isListed;
    mapping(uint256 seriesId => Interest) public interest;
    mapping(uint64 expiry => uint256) public settlementPrice;
    mapping(address account => mapping(uint256 seriesId => int256)) public positionOf;
    mapping(address account => EnumerableSet.UintSet) private _seriesOf;
    mapping(address maker => Quoting) private _quoting;

    constructor(IClearinghouse clearinghouse_, IVolatilityFeed volatilityFeed_, uint256 closingSpread_, address admin) {
        clearinghouse = clearinghouse_;
        priceFeed = IPriceFeed(clearinghouse_.priceFeed());
        volatilityFeed = volatilityFeed_;
        closingSpread = closingSpread_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    modifier locking() {
        clearinghouse.lock();
        _;
        clearinghouse.unlock();
    }

    // ---------------------------------------------------------------- series and quotes

    /// @inheritdoc IOptionMarket
    /// @dev An expiry closer than the settlement window might have no price at the window's start, and never be fixed.
    function list(uint64 expiry, uint256 strike, bool isCall) external onlyRole(LISTER) returns (uint256 id) {
        (uint256 price,,) = priceFeed.peek();
        if (
            expiry < block.timestamp + SETTLEMENT_WINDOW || expiry > block.timestamp + BlackScholes.MAX_TIME || strike == 0
                || strike > price * MAX_STRIKE_RATIO || price > strike * MAX_STRIKE_RATIO
        ) revert BadSeries(expiry, strike);
        id = SeriesId.pack(expiry, strike, isCall);
        if (isListed[id]) return id;
        isListed[id] = true;
        emit SeriesListed(id, expiry, strike, isCall);
    }

    /// @inheritdoc IOptionMarket
    function setQuoting(Quoting calldata quoting_) external {
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
        _checkMaker(maker, terms);
        _change(msg.sender, id, size);
        _change(maker, id, -size);
        if (premium > 0) _move(msg.sender, maker, uint256(premium), "premium");
        else _move(maker, msg.sender, uint256(-premium), "premium");
        clearinghouse.requireInitialMargin(msg.sender, price);
        clearinghouse.requireInitialMargin(maker, price);
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
        (, Greeks memory held) = _holdings(maker, price);
        (Greeks memory unit, uint256 midVol) = memo.unit(volatilityFeed, id, price, 1e18);
        int256 vega = size.sMulWad(unit.vega);
        terms.soldBefore = -held.vega;
        terms.soldAfter = terms.soldBefore + vega;
        int256 skew = quoting_.vegaSkew.toInt256().sMulWad(terms.soldAfter - vega / 2);
        terms.vol = (midVol.toInt256() + skew + (size > 0 ? spread : -spread)).toUint256();

        Greeks memory quoted =
            OptionPricing.pick(OptionPricing.evaluate(price, id.strikeOf(), id.expiryOf(), terms.vol), id.isCallOf());
        terms.premium = -OptionPricing.floorMul(-size, quoted.value);
        terms.mid = -OptionPricing.floorMul(-size, unit.value);
    }

    function _checkMaker(address maker, Terms memory terms) private view {
        uint256 max = _quoting[maker].maxVega;
        uint256 sold = terms.soldAfter.abs();
        if (sold > max && sold > terms.soldBefore.abs()) revert MakerLimit(terms.soldAfter, max);
    }

    function _widened(uint256 spread, IVolatilityFeed.State state) private pure returns (uint256) {
        return state == IVolatilityFeed.State.FRESH ? spread : 2 * spread;
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IOptionMarket
    function fix(uint64 expiry, uint80 startRound, uint80 endRound) external returns (uint256 price) {
        if (block.timestamp < expiry) revert NotExpired(expiry);
        if (settlementPrice[expiry] != 0) revert AlreadyFixed(expiry);
        price = priceFeed.twap(expiry - SETTLEMENT_WINDOW, expiry, startRound, endRound);
        settlementPrice[expiry] = price;
        emit ExpiryFixed(expiry, price);
    }

    /// @inheritdoc IOptionMarket
    function settle(address account, uint256 id) external locking returns (int256 amount) {
        if (settlementPrice[id.expiryOf()] == 0) revert NotFixed(id.expiryOf());
        int256 size = positionOf[account][id];
        if (size == 0) revert NothingToSettle(account, id);
        amount = size < 0 ? -_settleShort(account, id, size).toInt256() : _settleLong(account, id, size).toInt256();
        emit SeriesSettled(account, id, size, amount);
    }

    /// @dev The short pays what it owes, at most its equity; the insurance fund adds what it may of the rest.
    function _settleShort(address account, uint256 id, int256 size) private returns (uint256 paid) {
        uint256 owed = size.abs().mulWadUp(_payoff(id));
        _change(account, id, -size);
        (uint256 price,,) = priceFeed.peek();
        (int256 equity,,) = clearinghouse.margin(account, price);
        paid = owed.min(_positive(equity));
        uint256 insured = owed > paid ? _insure(owed - paid) : 0;
        interest[id].pot += paid + insured;
        _move(account, address(this), paid, "option settlement");
    }

    function _insure(uint256 deficit) private returns (uint256 insured) {
        address fund = clearinghouse.insuranceFund();
        insured = deficit.min(_positive(clearinghouse.cash(fund))).min(IInsuranceFund(fund).maxPerEvent());
        _move(fund, address(this), insured, "insurance");
    }

    /// @dev Longs share a pot that is too small in proportion to their sizes, whatever the order of their claims.
    function _settleLong(address account, uint256 id, int256 size) private returns (uint256 paid) {
        Interest storage sides = interest[id];
        if (sides.shorts != 0) revert ShortsOpen(id, sides.shorts);
        paid = uint256(size).mulWad(_payoff(id)).min(sides.pot.fullMulDiv(uint256(size), sides.longs));
        sides.pot -= paid;
        _change(account, id, -size);
        _move(address(this), account, paid, "option settlement");
    }

    // ---------------------------------------------------------------- value and margin

    /// @inheritdoc IProduct
    /// @dev Longs count for nothing; a short is a liability at mid, and after the fix what it will pay.
    function assess(address account, uint256 price)
        external
        view
        returns (int256 value, uint256 initial, uint256 maintenance)
    {
        uint256[] memory ids = _seriesOf[account].values();
        OptionPricing.Memo memory memo;
        for (uint256 i; i < ids.length; ++i) {
            int256 size = positionOf[account][ids[i]];
            if (size > 0) continue;
            (Greeks memory unit,) = _unit(memo, ids[i], price);
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
        return _unit(memo, id, price);
    }

    /// @inheritdoc IOptionMarket
    function greeksOf(address account, uint256 price) external view returns (Greeks memory total) {
        (, total) = _holdings(account, price);
    }

    /// @inheritdoc IOptionMarket
    function closingCost(address account, uint256 price) external view returns (uint256) {
        (Holding[] memory holdings,) = _holdings(account, price);
        return _closingCost(holdings);
    }

    /// @inheritdoc IOptionMarket
    function book(address account, uint256 price)
        external
        view
        returns (Holding[] memory holdings, Greeks memory total, uint256 closing)
    {
        (holdings, total) = _holdings(account, price);
        closing = _closingCost(holdings);
    }

    /// @inheritdoc IOptionMarket
    function deltaAt(address account, uint256 price, uint256 volScale) external view returns (int256 delta) {
        uint256[] memory ids = _seriesOf[account].values();
        OptionPricing.Memo memory memo;
        for (uint256 i; i < ids.length; ++i) {
            (Greeks memory unit,) = memo.unit(volatilityFeed, ids[i], price, volScale);
            delta += positionOf[account][ids[i]].sMulWad(unit.delta);
        }
    }

    /// @inheritdoc IOptionMarket
    function surfaceOf(address account) external view returns (IVolatilityFeed.State worst, bool expired) {
        uint256[] memory ids = _seriesOf[account].values();
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

    function _holdings(address account, uint256 price)
        private
        view
        returns (Holding[] memory holdings, Greeks memory total)
    {
        uint256[] memory ids = _seriesOf[account].values();
        holdings = new Holding[](ids.length);
        OptionPricing.Memo memory memo;
        for (uint256 i; i < ids.length; ++i) {
            Holding memory holding = holdings[i];
            holding.seriesId = ids[i];
            holding.size = positionOf[account][ids[i]];
            (holding.unit, holding.vol) = _unit(memo, ids[i], price);
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
    function _unit(OptionPricing.Memo memory memo, uint256 id, uint256 price)
        private
        view
        returns (Greeks memory greeks, uint256 vol)
    {
        if (settlementPrice[id.expiryOf()] == 0) return memo.unit(volatilityFeed, id, price, 1e18);
        uint256 value = _payoff(id);
        Interest storage sides = interest[id];
        if (sides.shorts == 0 && sides.longs != 0) value = value.min(sides.pot.fullMulDiv(1e18, sides.longs));
        greeks.value = value.toInt256();
    }

    function _payoff(uint256 id) private view returns (uint256) {
        return OptionPricing.intrinsic(settlementPrice[id.expiryOf()], id.strikeOf(), id.isCallOf());
    }

    // ---------------------------------------------------------------- views of terms and positions

    /// @inheritdoc IOptionMarket
    function series(uint256 id) external view returns (Series memory) {
        if (!isListed[id]) revert UnknownSeries(id);
        return Series(id.expiryOf(), id.strikeOf(), id.isCallOf());
    }

    /// @inheritdoc IOptionMarket
    function seriesId(uint64 expiry, uint256 strike, bool isCall) external pure returns (uint256) {
        return SeriesId.pack(expiry, strike, isCall);
    }

    /// @inheritdoc IOptionMarket
    function seriesOf(address account) external view returns (uint256[] memory) {
        return _seriesOf[account].values();
    }

    /// @inheritdoc IOptionMarket
    function quoting(address maker) external view returns (Quoting memory) {
        return _quoting[maker];
    }

    // ---------------------------------------------------------------- internals

    /// @dev Changes a position and both sides of its series' interest.
    function _change(address account, uint256 id, int256 delta) private {
        int256 before = positionOf[account][id];
        int256 afterwards = before + delta;
        positionOf[account][id] = afterwards;
        Interest storage sides = interest[id];
        sides.shorts = (sides.shorts + _positive(-afterwards) - _positive(-before)).toUint128();
        sides.longs = (sides.longs + _positive(afterwards) - _positive(before)).toUint128();
        if (afterwards == 0) _seriesOf[account].remove(id);
        else if (_seriesOf[account].add(id) && _seriesOf[account].length() > MAX_SERIES) {
            revert TooManySeries(_seriesOf[account].length(), MAX_SERIES);
        }
    }

    function _move(address from, address to, uint256 amount, bytes32 reason) private {
        if (amount != 0) clearinghouse.move(from, to, amount, reason);
    }

    function _positive(int256 x) private pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {IHedgeVenue, IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {PerpMath} from "../math/PerpMath.sol";
import {PerpParameters} from "./PerpParameters.sol";

/// @title PerpBook
/// @notice The positions of a perpetual market: parameters, funding, margin, and what the pool owes. Orders are PerpMarket's.
/// @dev Reads the oracle only to judge parameters. Everything else is told its prices: one price context per call.
abstract contract PerpBook is IPerpMarket, Ownable {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    /// @notice Seconds between the announcement of new parameters and their coming into force.
    uint256 public constant PARAMETER_DELAY = 1 days;

    /// @notice Seconds from then on after which an announcement lapses.
    uint256 public constant PROPOSAL_LIFETIME = 7 days;

    /// @notice Seconds after new parameters in which maintenance margin, and the cost of a liquidation
    ///         that it holds, is the lower of old and new.
    uint256 public constant GRACE = 1 hours;

    /// @dev A position in two slots. The last fill outlives the position, so that the slot is paid for once.
    struct Held {
        int128 size;
        uint128 entryPrice;
        int128 entryFunding;
        uint64 lastFillTime;
    }

    /// @dev What all positions come to, and what changes with every commit, in one slot.
    struct Totals {
        uint96 long;
        uint96 short;
        uint56 lastOrderId;
        bool reduceOnly;
    }

    struct Funding {
        int64 rate; // per day at `accruedAt`
        int128 perCoin; // at `accruedAt`
        uint40 accruedAt;
    }

    IClearinghouse public immutable clearinghouse;
    IPriceFeed public immutable priceFeed;

    PerpParameters.Packed internal _parameters;
    Totals internal _totals;
    mapping(address account => Held) internal _positions;

    Funding private _funding;
    PerpParameters.Packed private _former; // the parameters before the last change

    bytes32 private _proposal; // hash of the announced parameters
    uint256 private _applicableAt;

    /// @dev Sum over positions of size x (entry price + entry funding), at 1e36: exact, so the market debt is too.
    int256 private _entryValue;

    constructor(address clearinghouse_, address admin, Parameters memory parameters_) Ownable(admin) {
        clearinghouse = IClearinghouse(clearinghouse_);
        priceFeed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        _funding.accruedAt = uint40(block.timestamp);
        (uint256 price,,) = priceFeed.peek();
        PerpParameters.validate(parameters_, price, 0);
        _parameters = PerpParameters.pack(parameters_, 0);
        emit ParametersSet(parameters_);
    }

    /// @inheritdoc IPerpMarket
    function proposeParameters(Parameters calldata parameters_) external onlyOwner {
        (uint256 price,,) = priceFeed.peek();
        PerpParameters.validate(parameters_, price, _largestSide());
        _proposal = keccak256(abi.encode(parameters_));
        _applicableAt = block.timestamp + PARAMETER_DELAY;
        emit ParametersProposed(parameters_, _applicableAt);
    }

    /// @inheritdoc IPerpMarket
    /// @dev Checked once more, at the price of now. Funding is accrued first under the old parameters; a rate above a
    ///      lowered cap is cut to it. Orders in flight keep their benchmark and window.
    function applyParameters(Parameters calldata parameters_) external onlyOwner {
        if (keccak256(abi.encode(parameters_)) != _proposal) revert NotProposed();
        if (block.timestamp < _applicableAt) revert NotApplicableYet(block.timestamp, _applicableAt);
        uint256 lapsesAt = _applicableAt + PROPOSAL_LIFETIME;
        if (block.timestamp > lapsesAt) revert ProposalLapsed(block.timestamp, lapsesAt);
        delete _proposal;
        (uint256 price,,) = priceFeed.peek();
        PerpParameters.validate(parameters_, price, _largestSide());
        _accrue(price);
        int256 cap = int256(parameters_.fundingRateCap);
        _funding.rate = int256(_funding.rate).clamp(-cap, cap).toInt64();
        _former = _parameters;
        _parameters = PerpParameters.pack(parameters_, block.timestamp + GRACE);
        emit ParametersSet(parameters_);
    }

    /// @inheritdoc IPerpMarket
    function setReduceOnly(bool reduceOnly_) external onlyOwner {
        _totals.reduceOnly = reduceOnly_;
        emit ReduceOnlySet(reduceOnly_);
    }

    /// @inheritdoc IProduct
    /// @dev An order in flight counts at its worse side: initial margin of the larger of the position with and without
    ///      it, plus what its fill may cost. Maintenance is that of the position held.
    function assess(address account, uint256 price)
        external
        view
        returns (int256 value, uint256 initial, uint256 maintenance)
    {
        int256 size = _positions[account].size;
        int256 pending = pendingSize(account);
        if (size == 0 && pending == 0) return (0, 0, 0);
        (int256 pnl, int256 fundingPnl) = accrued(account, price);
        value = pnl + fundingPnl;
        (initial, maintenance) = requirements(size, price);
        if (pending != 0) {
            (uint256 afterwards,) = requirements(size + pending, price);
            initial = initial.max(afterwards) + orderCost(pending, price);
        }
    }

    /// @inheritdoc IProduct
    function isFlat(address account) external view returns (bool) {
        return _positions[account].size == 0 && pendingSize(account) == 0;
    }

    /// @inheritdoc IProduct
    function isAuctioned() external pure returns (bool) {
        return false;
    }

    /// @inheritdoc IHedgeVenue
    function netSize(address account) external view returns (int256) {
        return _positions[account].size;
    }

    /// @inheritdoc IHedgeVenue
    function lastFillTime(address account) external view returns (uint64) {
        return _positions[account].lastFillTime;
    }

    /// @inheritdoc IHedgeVenue
    function pendingSize(address account) public view virtual returns (int256);

    /// @inheritdoc IPerpMarket
    function position(address account) external view returns (Position memory) {
        Held storage held = _positions[account];
        return Position(held.size, held.entryPrice, held.entryFunding);
    }

    /// @inheritdoc IPerpMarket
    function parameters() external view returns (Parameters memory) {
        return PerpParameters.unpack(_parameters);
    }

    /// @inheritdoc IPerpMarket
    function reduceOnly() external view returns (bool) {
        return _totals.reduceOnly;
    }

    /// @inheritdoc IPerpMarket
    function skew() public view returns (int256) {
        return int256(uint256(_totals.long)) - int256(uint256(_totals.short));
    }

    /// @inheritdoc IPerpMarket
    function openInterest() external view returns (uint256 long, uint256 short) {
        return (_totals.long, _totals.short);
    }

    /// @inheritdoc IPerpMarket
    function fillPrice(int256 sizeDelta, uint256 price) public view returns (uint256) {
        return PerpMath.fillPrice(sizeDelta, skew(), _parameters.skewScale, price);
    }

    /// @inheritdoc IPerpMarket
    function orderFee(int256 sizeDelta, uint256 fill) public view returns (uint256) {
        return PerpMath.orderFee(sizeDelta, skew(), fill, _parameters.makerFee, _parameters.takerFee);
    }

    /// @inheritdoc IPerpMarket
    function orderCost(int256 sizeDelta, uint256 price) public view returns (uint256) {
        uint256 fill = fillPrice(sizeDelta, price);
        return orderFee(sizeDelta, fill) + PerpMath.adverseImpact(sizeDelta, fill, price)
            + PerpMath.gasReward(_parameters.settlementGas, _parameters.maxBaseFee, price);
    }

    /// @inheritdoc IPerpMarket
    function settlementReward(uint256 price) public view returns (uint256) {
        return PerpMath.gasReward(_parameters.settlementGas, block.basefee.min(_parameters.maxBaseFee), price);
    }

    /// @inheritdoc IPerpMarket
    function liquidationReward(int256 sizeDelta, uint256 price) external view returns (uint256) {
        return PerpMath.notional(sizeDelta, price).mulWad(_parameters.liquidationFee)
            + PerpMath.gasReward(_parameters.liquidationGas, block.basefee.min(_parameters.maxBaseFee), price);
    }

    /// @inheritdoc IPerpMarket
    function liquidationCost(int256 size, uint256 price) external view returns (uint256 cost) {
        if (size == 0) return 0;
        uint256 value = PerpMath.notional(size, price);
        cost = _liquidationCost(_parameters, value, price);
        if (block.timestamp < _parameters.graceUntil) cost = cost.min(_liquidationCost(_former, value, price));
    }

    /// @inheritdoc IPerpMarket
    function requirements(int256 size, uint256 price) public view returns (uint256 initial, uint256 maintenance) {
        if (size == 0) return (0, 0);
        (initial, maintenance) = _requirements(_parameters, size, price);
        if (block.timestamp < _parameters.graceUntil) {
            (, uint256 former) = _requirements(_former, size, price);
            maintenance = maintenance.min(former);
        }
    }

    /// @inheritdoc IPerpMarket
    function funding(uint256 price) public view returns (int256 ratePerDay, int256 perCoin) {
        Funding memory last = _funding;
        (ratePerDay, perCoin) = (last.rate, last.perCoin);
        if (last.accruedAt == block.timestamp) return (ratePerDay, perCoin);
        int256 velocity = PerpMath.fundingVelocity(
            skew(), _parameters.skewScale, _parameters.maxFundingVelocity, _parameters.fundingDeadBand
        );
        int256 integral;
        (ratePerDay, integral) =
            PerpMath.accrueRate(ratePerDay, velocity, block.timestamp - last.accruedAt, _parameters.fundingRateCap);
        perCoin = PerpMath.accrueFunding(perCoin, integral, price);
    }

    /// @inheritdoc IPerpMarket
    function accrued(address account, uint256 price) public view returns (int256 pnl, int256 fundingPnl) {
        Held memory held = _positions[account];
        if (held.size == 0) return (0, 0);
        (, int256 perCoin) = funding(price);
        return _profits(held, price, perCoin);
    }

    /// @inheritdoc IPerpMarket
    /// @dev skew (P + F) - sum of size x (entry price + entry funding); rounded up, against the pool.
    function marketDebt(uint256 price) external view returns (int256) {
        (, int256 perCoin) = funding(price);
        return PerpMath.ceilDiv(skew() * (int256(price) + perCoin) - _entryValue, PerpMath.WAD);
    }

    /// @dev Changes a position at `fill` and charges the order's fee. Funding accrues at `latest`, the feed's newest price,
    ///      whichever price fills the order: a late settlement must not charge everybody at an old one.
    function _trade(address account, int256 sizeDelta, uint256 fill, uint256 latest)
        internal
        returns (uint256 fee, int256 pnl, int256 fundingPnl)
    {
        fee = orderFee(sizeDelta, fill);
        (pnl, fundingPnl) = _exchange(account, sizeDelta, fill, latest);
        uint256 insured = fee.mulWad(_parameters.insuranceShare);
        clearinghouse.move(account, clearinghouse.liquidityPool(), fee - insured, "fee");
        clearinghouse.move(account, clearinghouse.insuranceFund(), insured, "fee");
    }

    /// @dev Changes a position at `fill`, realising the old one against the pool.
    function _exchange(address account, int256 sizeDelta, uint256 fill, uint256 latest)
        internal
        returns (int256 pnl, int256 fundingPnl)
    {
        int256 perCoin = _accrue(latest);
        Held memory held = _positions[account];
        (pnl, fundingPnl) = _profits(held, fill, perCoin);
        _write(account, held, sizeDelta, fill, perCoin);
        _settleProfits(account, pnl, fundingPnl);
    }

    /// @dev Closes part of a position at index `price` and realises that part only: what is left keeps its entry.
    function _closePart(address account, int256 sizeDelta, uint256 price)
        internal
        returns (int256 pnl, int256 fundingPnl)
    {
        int256 perCoin = _accrue(price);
        Held memory held = _positions[account];
        Held memory part = Held((-sizeDelta).toInt128(), held.entryPrice, held.entryFunding, 0);
        (pnl, fundingPnl) = _profits(part, price, perCoin);
        _write(account, held, sizeDelta, held.entryPrice, held.entryFunding);
        _settleProfits(account, pnl, fundingPnl);
    }

    function _settleProfits(address account, int256 pnl, int256 fundingPnl) private {
        address pool = clearinghouse.liquidityPool();
        _pay(account, pool, -pnl, "perp pnl");
        _pay(account, pool, -fundingPnl, "funding");
    }

    /// @dev Open interest of the side that an order would make larger, with the order; 0 when it makes none larger.
    function _openInterestWith(int256 size, int256 sizeDelta) internal view returns (uint256) {
        (uint256 longBefore, uint256 shortBefore) = (_totals.long, _totals.short);
        uint256 long = longBefore - _positive(size) + _positive(size + sizeDelta);
        if (long > longBefore) return long;
        uint256 short = shortBefore - _positive(-size) + _positive(-size - sizeDelta);
        return short > shortBefore ? short : 0;
    }

    /// @dev Requirements of a position of `size` alone, rounded up. Both include what a liquidation would charge.
    function _requirements(PerpParameters.Packed storage p, int256 size, uint256 price)
        private
        view
        returns (uint256 initial, uint256 maintenance)
    {
        uint256 value = PerpMath.notional(size, price);
        uint256 ratio = PerpMath.initialMarginRatio(
            size, p.skewScale, p.initialMarginScalar, p.minInitialMarginRatio, p.maxInitialMarginRatio
        );
        uint256 fixedPart = _liquidationCost(p, value, price);
        initial = value.mulWadUp(ratio) + fixedPart;
        maintenance = value.mulWadUp(ratio.mulWadUp(p.maintenanceScalar)) + fixedPart;
    }

    /// @dev Least margin, liquidation fee and taker fee on the notional, gas at the highest base fee paid back; rounded up.
    function _liquidationCost(PerpParameters.Packed storage p, uint256 value, uint256 price) private view returns (uint256) {
        uint256 feeRatio = uint256(p.liquidationFee) + p.takerFee;
        return p.minMargin + value.mulWadUp(feeRatio) + PerpMath.gasReward(p.liquidationGas, p.maxBaseFee, price);
    }

    /// @dev Brings funding to now at index `price`; to be called before anything that it depends on changes.
    function _accrue(uint256 price) private returns (int256 perCoin) {
        if (_funding.accruedAt == block.timestamp) return _funding.perCoin;
        int256 rate;
        (rate, perCoin) = funding(price);
        _funding = Funding(rate.toInt64(), perCoin.toInt128(), uint40(block.timestamp));
        emit FundingUpdated(rate, perCoin, price);
    }

    function _write(address account, Held memory held, int256 sizeDelta, uint256 fill, int256 perCoin) private {
        int256 size = held.size + sizeDelta;
        int256 entry = int256(uint256(held.entryPrice)) + held.entryFunding;
        _entryValue += size * (int256(fill) + perCoin) - held.size * entry;
        _totals.long = (_totals.long - _positive(held.size) + _positive(size)).toUint96();
        _totals.short = (_totals.short - _positive(-int256(held.size)) + _positive(-size)).toUint96();
        if (size == 0) (fill, perCoin) = (0, 0);
        _positions[account] = Held(size.toInt128(), fill.toUint128(), perCoin.toInt128(), held.lastFillTime);
    }

    /// @dev Price profit and funding of a position at `price` and funding per coin `perCoin`, each rounded down.
    function _profits(Held memory held, uint256 price, int256 perCoin) private pure returns (int256 pnl, int256 funded) {
        pnl = PerpMath.profit(held.size, int256(uint256(held.entryPrice)), int256(price));
        funded = PerpMath.profit(held.size, held.entryFunding, perCoin);
    }

    /// @dev Moves `amount` from the first to the second account, or back when it is negative.
    function _pay(address from, address to, int256 amount, bytes32 reason) private {
        if (amount > 0) clearinghouse.move(from, to, uint256(amount), reason);
        else if (amount < 0) clearinghouse.move(to, from, uint256(-amount), reason);
    }

    function _largestSide() private view returns (uint256) {
        return uint256(_totals.long).max(_totals.short);
    }

    function _positive(int256 x) private pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}

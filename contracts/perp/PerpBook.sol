// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {IHedgeVenue, IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {PerpMath} from "../math/PerpMath.sol";

/// @title PerpBook
/// @notice The positions of a perpetual market: parameters, funding, margin, and what the pool owes. Orders are PerpMarket's.
abstract contract PerpBook is IPerpMarket, Ownable {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;

    uint256 private constant ONE = 1e18;
    uint64 private constant LONGEST_DELAY = 1 hours;

    /// @notice Seconds between the announcement of new parameters and their coming into force.
    uint256 public constant PARAMETER_DELAY = 1 days;

    /// @notice Seconds from then on after which an announcement lapses.
    uint256 public constant PROPOSAL_LIFETIME = 7 days;

    IClearinghouse public immutable clearinghouse;
    IPriceFeed public immutable priceFeed;

    /// @inheritdoc IPerpMarket
    int256 public skew;

    Parameters internal _parameters;
    mapping(address account => Position) internal _positions;

    uint256 private _long;
    uint256 private _short;
    int256 private _fundingRate; // per day at `_accruedAt`
    int256 private _fundingPerCoin; // at `_accruedAt`
    uint64 private _accruedAt;

    bytes32 private _proposal; // hash of the announced parameters
    uint256 private _applicableAt;

    /// @dev Sum over positions of size x (entry price + entry funding), at 1e36: exact, so the market debt is too.
    int256 private _entryValue;

    constructor(address clearinghouse_, address admin, Parameters memory parameters_) Ownable(admin) {
        clearinghouse = IClearinghouse(clearinghouse_);
        priceFeed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        _accruedAt = uint64(block.timestamp);
        (uint256 price,,) = priceFeed.peek();
        _validate(parameters_, price);
        _parameters = parameters_;
        emit ParametersSet(parameters_);
    }

    /// @inheritdoc IPerpMarket
    function proposeParameters(Parameters calldata parameters_) external onlyOwner {
        (uint256 price,,) = priceFeed.peek();
        _validate(parameters_, price);
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
        _validate(parameters_, price);
        _accrue(price);
        int256 cap = int256(parameters_.fundingRateCap);
        _fundingRate = _fundingRate.clamp(-cap, cap);
        _parameters = parameters_;
        emit ParametersSet(parameters_);
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
        (initial, maintenance) = _margins(size, price);
        if (pending != 0) {
            (uint256 afterwards,) = _margins(size + pending, price);
            initial = initial.max(afterwards) + _orderCost(pending, price);
        }
    }

    /// @inheritdoc IProduct
    function isFlat(address account) external view returns (bool) {
        return _positions[account].size == 0 && pendingSize(account) == 0;
    }

    /// @inheritdoc IHedgeVenue
    function netSize(address account) external view returns (int256) {
        return _positions[account].size;
    }

    /// @inheritdoc IHedgeVenue
    function pendingSize(address account) public view virtual returns (int256);

    /// @inheritdoc IPerpMarket
    function position(address account) external view returns (Position memory) {
        return _positions[account];
    }

    /// @inheritdoc IPerpMarket
    function parameters() external view returns (Parameters memory) {
        return _parameters;
    }

    /// @inheritdoc IPerpMarket
    function openInterest() external view returns (uint256 long, uint256 short) {
        return (_long, _short);
    }

    /// @inheritdoc IPerpMarket
    function fillPrice(int256 sizeDelta, uint256 price) public view returns (uint256) {
        return PerpMath.fillPrice(sizeDelta, skew, _parameters.skewScale, price);
    }

    /// @inheritdoc IPerpMarket
    function orderFee(int256 sizeDelta, uint256 fill) public view returns (uint256) {
        return PerpMath.orderFee(sizeDelta, skew, fill, _parameters.makerFee, _parameters.takerFee);
    }

    /// @inheritdoc IPerpMarket
    function settlementReward(uint256 price) public view returns (uint256) {
        return PerpMath.gasReward(
            _parameters.settlementGas, block.basefee.min(_parameters.maxBaseFee), price
        );
    }

    /// @inheritdoc IPerpMarket
    function liquidationReward(int256 sizeDelta, uint256 price) external view returns (uint256) {
        return PerpMath.notional(sizeDelta, price).mulWad(_parameters.liquidationFee)
            + PerpMath.gasReward(_parameters.liquidationGas, block.basefee.min(_parameters.maxBaseFee), price);
    }

    /// @inheritdoc IPerpMarket
    function funding(uint256 price) public view returns (int256 ratePerDay, int256 perCoin) {
        int256 velocity = PerpMath.fundingVelocity(
            skew, _parameters.skewScale, _parameters.maxFundingVelocity, _parameters.fundingDeadBand
        );
        int256 integral;
        (ratePerDay, integral) =
            PerpMath.accrueRate(_fundingRate, velocity, block.timestamp - _accruedAt, _parameters.fundingRateCap);
        perCoin = PerpMath.accrueFunding(_fundingPerCoin, integral, price);
    }

    /// @inheritdoc IPerpMarket
    function accrued(address account, uint256 price) public view returns (int256 pnl, int256 fundingPnl) {
        Position memory held = _positions[account];
        if (held.size == 0) return (0, 0);
        (, int256 perCoin) = funding(price);
        pnl = PerpMath.profit(held.size, int256(held.entryPrice), int256(price));
        fundingPnl = PerpMath.profit(held.size, held.entryFunding, perCoin);
    }

    /// @inheritdoc IPerpMarket
    /// @dev skew (P + F) - sum of size x (entry price + entry funding); rounded up, against the pool.
    function marketDebt(uint256 price) external view returns (int256) {
        (, int256 perCoin) = funding(price);
        return PerpMath.ceilDiv(skew * (int256(price) + perCoin) - _entryValue, PerpMath.WAD);
    }

    /// @dev Changes a position at `fill`, realising the old one against the pool, and charges the order's fee. Funding
    ///      accrues at the feed's newest price, whichever price fills the order: a late settlement must not charge
    ///      everybody at an old one.
    function _trade(address account, int256 sizeDelta, uint256 fill)
        internal
        returns (uint256 fee, int256 pnl, int256 fundingPnl)
    {
        fee = orderFee(sizeDelta, fill);
        (uint256 latest,,) = priceFeed.peek();
        int256 perCoin = _accrue(latest);
        Position memory held = _positions[account];
        pnl = PerpMath.profit(held.size, int256(held.entryPrice), int256(fill));
        fundingPnl = PerpMath.profit(held.size, held.entryFunding, perCoin);
        _write(account, held, sizeDelta, fill, perCoin);

        address pool = clearinghouse.liquidityPool();
        _pay(account, pool, -pnl, "perp pnl");
        _pay(account, pool, -fundingPnl, "funding");
        uint256 insured = fee.mulWad(_parameters.insuranceShare);
        clearinghouse.move(account, pool, fee - insured, "fee");
        clearinghouse.move(account, clearinghouse.insuranceFund(), insured, "fee");
    }

    /// @dev Open interest of the side that the order would push above the cap; 0 when it pushes none.
    function _openInterestExcess(int256 size, int256 sizeDelta) internal view returns (uint256) {
        uint256 cap = _parameters.maxOpenInterest;
        uint256 long = _long - _positive(size) + _positive(size + sizeDelta);
        if (long > _long && long > cap) return long;
        uint256 short = _short - _positive(-size) + _positive(-size - sizeDelta);
        if (short > _short && short > cap) return short;
        return 0;
    }

    /// @dev Most that filling an order at index `price` takes from the account: fee, adverse impact, and the keeper's
    ///      reward at the highest base fee that is paid back. A favourable impact is not counted.
    function _orderCost(int256 sizeDelta, uint256 price) internal view returns (uint256) {
        uint256 fill = fillPrice(sizeDelta, price);
        return orderFee(sizeDelta, fill) + _adverseImpact(sizeDelta, fill, price)
            + PerpMath.gasReward(_parameters.settlementGas, _parameters.maxBaseFee, price);
    }

    /// @dev max(0, d (fill - P)), rounded up.
    function _adverseImpact(int256 sizeDelta, uint256 fill, uint256 price) internal pure returns (uint256) {
        int256 impact = -PerpMath.profit(sizeDelta, int256(fill), int256(price));
        return impact > 0 ? uint256(impact) : 0;
    }

    /// @dev Requirements of a position of `size` alone, rounded up. Both include what a liquidation would charge.
    function _margins(int256 size, uint256 price) internal view returns (uint256 initial, uint256 maintenance) {
        if (size == 0) return (0, 0);
        Parameters storage p = _parameters;
        uint256 value = PerpMath.notional(size, price);
        uint256 ratio = PerpMath.initialMarginRatio(
            size, p.skewScale, p.initialMarginScalar, p.minInitialMarginRatio, p.maxInitialMarginRatio
        );
        uint256 fixedPart = p.minMargin + value.mulWadUp(p.liquidationFee + p.takerFee)
            + PerpMath.gasReward(p.liquidationGas, p.maxBaseFee, price);
        initial = value.mulWadUp(ratio) + fixedPart;
        maintenance = value.mulWadUp(ratio.mulWadUp(p.maintenanceScalar)) + fixedPart;
    }

    /// @dev Brings funding to now at index `price`; to be called before anything that it depends on changes.
    function _accrue(uint256 price) private returns (int256 perCoin) {
        if (_accruedAt == block.timestamp) return _fundingPerCoin;
        int256 rate;
        (rate, perCoin) = funding(price);
        _fundingRate = rate;
        _fundingPerCoin = perCoin;
        _accruedAt = uint64(block.timestamp);
        emit FundingUpdated(rate, perCoin, price);
    }

    function _write(address account, Position memory held, int256 sizeDelta, uint256 fill, int256 perCoin) private {
        int256 size = held.size + sizeDelta;
        _entryValue += size * (int256(fill) + perCoin) - held.size * (int256(held.entryPrice) + held.entryFunding);
        _long = _long - _positive(held.size) + _positive(size);
        _short = _short - _positive(-held.size) + _positive(-size);
        skew += sizeDelta;
        if (size == 0) delete _positions[account];
        else _positions[account] = Position(size, fill, perCoin);
    }

    /// @dev Moves `amount` from the first to the second account, or back when it is negative.
    function _pay(address from, address to, int256 amount, bytes32 reason) private {
        if (amount > 0) clearinghouse.move(from, to, uint256(amount), reason);
        else if (amount < 0) clearinghouse.move(to, from, uint256(-amount), reason);
    }

    /// @dev A set of parameters that passes cannot divide by zero, price a fill below zero, ask less to open than to
    ///      keep, or pay a liquidator more than half of the smallest margin.
    function _validate(Parameters memory p, uint256 price) private view {
        _require(p.maxOpenInterest > 0 && p.maxOpenInterest <= 1e30, "maxOpenInterest", p.maxOpenInterest);
        uint256 largestSide = p.maxOpenInterest.max(_long).max(_short);
        _require(p.skewScale > largestSide && p.skewScale <= 1e32, "skewScale", p.skewScale);
        _require(p.makerFee <= p.takerFee, "makerFee", p.makerFee);
        _require(p.takerFee <= 0.01e18, "takerFee", p.takerFee);
        _require(p.maxFundingVelocity <= 1000e18, "maxFundingVelocity", p.maxFundingVelocity);
        _require(p.fundingRateCap <= ONE, "fundingRateCap", p.fundingRateCap);
        _require(p.fundingDeadBand < ONE, "fundingDeadBand", p.fundingDeadBand);
        _require(p.initialMarginScalar <= 100e18, "initialMarginScalar", p.initialMarginScalar);
        _require(p.minInitialMarginRatio > 0, "minInitialMarginRatio", p.minInitialMarginRatio);
        _require(
            p.maxInitialMarginRatio >= p.minInitialMarginRatio && p.maxInitialMarginRatio <= ONE,
            "maxInitialMarginRatio",
            p.maxInitialMarginRatio
        );
        _require(p.maintenanceScalar > 0 && p.maintenanceScalar < ONE, "maintenanceScalar", p.maintenanceScalar);
        _require(p.liquidationFee <= 0.05e18, "liquidationFee", p.liquidationFee);
        _require(p.insuranceShare <= ONE, "insuranceShare", p.insuranceShare);
        _require(p.maxOrderSize > 0 && p.maxOrderSize <= 2 * p.maxOpenInterest, "maxOrderSize", p.maxOrderSize);
        _require(p.settlementDelay > 0 && p.settlementDelay <= LONGEST_DELAY, "settlementDelay", p.settlementDelay);
        _require(p.settlementWindow > 0 && p.settlementWindow <= LONGEST_DELAY, "settlementWindow", p.settlementWindow);
        _require(p.settlementGas <= 10_000_000, "settlementGas", p.settlementGas);
        _require(p.liquidationGas <= 10_000_000, "liquidationGas", p.liquidationGas);
        _require(p.maxBaseFee <= 1e15, "maxBaseFee", p.maxBaseFee);
        uint256 reward = PerpMath.gasReward(p.liquidationGas, p.maxBaseFee, price);
        _require(p.minMargin >= 2 * reward && p.minMargin <= 1e30, "minMargin", p.minMargin);
    }

    function _require(bool holds, bytes32 name, uint256 value) private pure {
        if (!holds) revert BadParameter(name, value);
    }

    function _positive(int256 x) private pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {OptionVault} from "./OptionVault.sol";

/// @title ScalperVault
/// @notice A vault that buys straddles and scalps their gamma with its hedge. What a roller's key may spend is bounded by
///         a share of NAV, which refills linearly within a period, by the edge it may give away over mid, and by the margin
///         buffer of the mandate.
contract ScalperVault is OptionVault {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;

    bytes32 public constant ROLLER = keccak256("ROLLER");
    uint256 public constant MIN_BUDGET_PERIOD = 15 minutes;

    address public maker;
    uint256 public budgetPerRoll; // share of NAV, wad
    uint256 public budgetPeriod; // seconds in which the budget refills
    uint256 public maxEdge; // premium over mid, share of mid, wad
    uint256 private _spent; // share of NAV, wad, as it was at `_spentAt`
    uint256 private _spentAt;

    event RollLimitsSet(address maker, uint256 budgetPerRoll, uint256 budgetPeriod, uint256 maxEdge);

    error LimitTooHigh(uint256 limit, uint256 max);
    error PeriodTooShort(uint256 period, uint256 min);

    constructor(
        address clearinghouse_,
        address optionMarket_,
        address[] memory venues_,
        string memory name_,
        string memory symbol_,
        address admin,
        address maker_,
        uint256 budgetPerRoll_,
        uint256 budgetPeriod_,
        uint256 maxEdge_
    ) OptionVault(clearinghouse_, optionMarket_, venues_, name_, symbol_, admin) {
        _setRollLimits(maker_, budgetPerRoll_, budgetPeriod_, maxEdge_);
    }

    /// @notice Buys `size` calls and `size` puts of one strike (wad) from the maker. Role ROLLER.
    /// @param maxPremium most to pay for both, USD wad
    /// @return premium what was paid, USD wad
    function roll(uint64 expiry, uint256 strike, uint256 size, uint256 maxPremium) external returns (int256 premium) {
        if (!hasRole(ROLLER, msg.sender)) revert NotRoller(msg.sender);
        int256 netAssets = _nav().mid;
        (uint256 price,) = priceFeed.price();

        (int256 callPremium, int256 callMid) = _buy(expiry, strike, true, size, price);
        (int256 putPremium, int256 putMid) = _buy(expiry, strike, false, size, price);
        premium = callPremium + putPremium;
        int256 mid = callMid + putMid;

        if (premium - mid > int256(mid.abs().mulWad(maxEdge))) revert EdgeExceeded(premium, mid, maxEdge);
        _spend(premium.abs(), netAssets > 0 ? uint256(netAssets) : 0, maxPremium);
        (int256 equity, uint256 required) = _buffered(price);
        if (equity < required.toInt256()) revert VaultMargin(equity, required);
        emit Rolled(expiry, strike, size, premium);
    }

    /// @notice Share of NAV that the roller may still spend now, wad.
    function budgetLeft() public view returns (uint256) {
        uint256 refilled = budgetPerRoll.fullMulDiv(block.timestamp - _spentAt, budgetPeriod);
        return budgetPerRoll.zeroFloorSub(_spent.zeroFloorSub(refilled));
    }

    /// @notice From whom, and within what limits, the roller buys. Admin only.
    function setRollLimits(address maker_, uint256 budgetPerRoll_, uint256 budgetPeriod_, uint256 maxEdge_)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _setRollLimits(maker_, budgetPerRoll_, budgetPeriod_, maxEdge_);
    }

    function _setRollLimits(address maker_, uint256 budgetPerRoll_, uint256 budgetPeriod_, uint256 maxEdge_) private {
        if (budgetPerRoll_ > 1e18) revert LimitTooHigh(budgetPerRoll_, 1e18);
        if (budgetPeriod_ < MIN_BUDGET_PERIOD) revert PeriodTooShort(budgetPeriod_, MIN_BUDGET_PERIOD);
        if (maxEdge_ > 1e18) revert LimitTooHigh(maxEdge_, 1e18);
        (maker, budgetPerRoll, budgetPeriod, maxEdge) = (maker_, budgetPerRoll_, budgetPeriod_, maxEdge_);
        _spent = _spent.min(budgetPerRoll_);
        emit RollLimitsSet(maker_, budgetPerRoll_, budgetPeriod_, maxEdge_);
    }

    /// @dev Takes a premium off the budget, as a share of NAV, rounded up.
    function _spend(uint256 premium, uint256 netAssets, uint256 maxPremium) private {
        uint256 left = budgetLeft();
        uint256 budget = netAssets.mulWad(left).min(maxPremium);
        if (premium > budget) revert BudgetExceeded(premium, budget);
        _spent = budgetPerRoll - left + premium.divWadUp(netAssets);
        _spentAt = block.timestamp;
    }

    function _buy(uint64 expiry, uint256 strike, bool isCall, uint256 size, uint256 price)
        private
        returns (int256 premium, int256 mid)
    {
        IOptionMarket market = IOptionMarket(optionMarket);
        uint256 id = market.seriesId(expiry, strike, isCall);
        (IOptionMarket.Greeks memory unit,) = market.unitGreeks(id, price);
        int256 signed = size.toInt256();
        mid = signed.sMulWad(unit.value);
        premium = market.trade(maker, id, signed, type(int256).max);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {OptionVault} from "./OptionVault.sol";

/// @title ScalperVault
/// @notice A vault that buys straddles and scalps their gamma with its hedge. What a roller's key may spend is bounded by
///         a share of NAV a roll and by the edge it may give away over mid.
contract ScalperVault is OptionVault {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;

    bytes32 public constant ROLLER = keccak256("ROLLER");

    address public maker;
    uint256 public budgetPerRoll; // share of NAV, wad
    uint256 public maxEdge; // premium over mid, share of mid, wad

    event RollLimitsSet(address maker, uint256 budgetPerRoll, uint256 maxEdge);

    error LimitTooHigh(uint256 limit, uint256 max);

    constructor(
        address clearinghouse_,
        address optionMarket_,
        address[] memory venues_,
        string memory name_,
        string memory symbol_,
        address admin,
        address maker_,
        uint256 budgetPerRoll_,
        uint256 maxEdge_
    ) OptionVault(clearinghouse_, optionMarket_, venues_, name_, symbol_, admin) {
        _setRollLimits(maker_, budgetPerRoll_, maxEdge_);
    }

    /// @notice Buys `size` calls and `size` puts of one strike (wad) from the maker. Role ROLLER.
    /// @param maxPremium most to pay for both, USD wad
    /// @return premium what was paid, USD wad
    function roll(uint64 expiry, uint256 strike, uint256 size, uint256 maxPremium) external returns (int256 premium) {
        if (!hasRole(ROLLER, msg.sender)) revert NotRoller(msg.sender);
        int256 netAssets = _nav().mid;
        uint256 budget = (netAssets > 0 ? uint256(netAssets) : 0).mulWad(budgetPerRoll).min(maxPremium);
        (uint256 price,) = priceFeed.price();

        (int256 callPremium, int256 callMid) = _buy(expiry, strike, true, size, price);
        (int256 putPremium, int256 putMid) = _buy(expiry, strike, false, size, price);
        premium = callPremium + putPremium;
        int256 mid = callMid + putMid;

        if (premium > int256(budget)) revert BudgetExceeded(uint256(premium), budget);
        if (premium - mid > int256(mid.abs().mulWad(maxEdge))) revert EdgeExceeded(premium, mid, maxEdge);
        emit Rolled(expiry, strike, size, premium);
    }

    /// @notice From whom, and within what limits, the roller buys. Admin only.
    function setRollLimits(address maker_, uint256 budgetPerRoll_, uint256 maxEdge_)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _setRollLimits(maker_, budgetPerRoll_, maxEdge_);
    }

    function _setRollLimits(address maker_, uint256 budgetPerRoll_, uint256 maxEdge_) private {
        if (budgetPerRoll_ > 1e18) revert LimitTooHigh(budgetPerRoll_, 1e18);
        if (maxEdge_ > 1e18) revert LimitTooHigh(maxEdge_, 1e18);
        (maker, budgetPerRoll, maxEdge) = (maker_, budgetPerRoll_, maxEdge_);
        emit RollLimitsSet(maker_, budgetPerRoll_, maxEdge_);
    }

    function _buy(uint64 expiry, uint256 strike, bool isCall, uint256 size, uint256 price)
        private
        returns (int256 premium, int256 mid)
    {
        IOptionMarket market = IOptionMarket(optionMarket);
        uint256 id = market.seriesId(expiry, strike, isCall);
        (IOptionMarket.Greeks memory unit,) = market.unitGreeks(id, price);
        mid = int256(size).sMulWad(unit.value);
        premium = market.trade(maker, id, int256(size), type(int256).max);
    }
}

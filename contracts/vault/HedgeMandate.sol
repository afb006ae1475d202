// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IHedgeVenue} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IHedgeMandate, IOptionVault} from "../interfaces/IVault.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {VaultNav} from "./VaultNav.sol";

/// @title HedgeMandate
/// @notice Between a hedger's key and its vault. Net delta is computed afresh at the feed's price, options, hedges and
///         orders in flight together; with b the delta before, a = b + order after and t the tolerance,
///
///         |b| <= t:  |a| <= t                                   |b| > t:  |a| < |b|, and |a| <= t where the sign turns
///
///         While the surface is DEGRADED or STALE a hedge must also lower |net delta| with all volatilities a quarter
///         lower and a quarter higher; while it is FROZEN it may only shrink the venue's position.
/// @dev The margin buffer does not bind an order that only shrinks the venue's position: reducing must stay possible.
contract HedgeMandate is IHedgeMandate, AccessControl {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;

    /// @dev A linearly refilling budget: `spent` fades by one day's budget a day.
    struct Budget {
        uint256 spent;
        uint64 at;
    }

    bytes32 public constant HEDGER = keccak256("HEDGER");
    uint256 public constant MAX_SLIPPAGE = 0.1e18;
    /// @notice How far volatility may be from an old surface, as a fraction of it, wad.
    uint256 public constant VOL_DOUBT = VaultNav.VOL_DOUBT;

    address public immutable vault;
    IClearinghouse public immutable clearinghouse;
    IPriceFeed public immutable priceFeed;
    IOptionMarket public immutable optionMarket;

    Limits private _limits;
    mapping(address keeper => Budget) private _budget;
    mapping(address venue => uint256) private _lastOrder;

    error BadLimit(bytes32 name, uint256 value);
    error SurfaceFrozen();

    constructor(address vault_, address admin, Limits memory limits_) {
        vault = vault_;
        clearinghouse = IClearinghouse(IOptionVault(vault_).clearinghouse());
        priceFeed = IPriceFeed(clearinghouse.priceFeed());
        optionMarket = IOptionMarket(IOptionVault(vault_).optionMarket());
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _setLimits(limits_);
    }

    /// @inheritdoc IHedgeMandate
    function hedge(address venue, int256 sizeDelta, uint256 acceptablePrice, uint64 deadline)
        external
        onlyRole(HEDGER)
        returns (uint64 orderId)
    {
        if (block.timestamp > deadline) revert DeadlinePassed(block.timestamp, deadline);
        _checkVenue(venue);
        (uint256 price,) = priceFeed.price();
        _checkSlippage(sizeDelta, acceptablePrice, price);
        (int256 before,) = IOptionVault(vault).netDelta(price);
        int256 afterwards = before + sizeDelta;
        _checkDelta(before, afterwards);
        int256 position = IHedgeVenue(venue).netSize(vault);
        bool shrinks = _shrinks(position, sizeDelta);
        _checkSurface(before, sizeDelta, price, shrinks);
        _spend(sizeDelta.abs(), position + sizeDelta == 0);
        if (_limits.cooldown != 0) _lastOrder[venue] = block.timestamp;

        orderId = IOptionVault(vault).executeHedge(venue, sizeDelta, acceptablePrice);
        if (!shrinks) _checkMargin(price);
        emit Hedged(msg.sender, venue, sizeDelta, before, afterwards, price);
    }

    /// @notice Changes what hedgers may do. Admin only.
    function setLimits(Limits calldata limits_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setLimits(limits_);
    }

    /// @inheritdoc IHedgeMandate
    function limits() external view returns (Limits memory) {
        return _limits;
    }

    /// @inheritdoc IHedgeMandate
    function budgetLeft(address keeper) public view returns (uint256) {
        return hasRole(HEDGER, keeper) ? _limits.budgetPerDay.zeroFloorSub(_spent(keeper)) : 0;
    }

    // ---------------------------------------------------------------- the checks

    function _checkVenue(address venue) private view {
        address[] memory venues = IOptionVault(vault).venues();
        bool known;
        for (uint256 i; i < venues.length && !known; ++i) {
            known = venues[i] == venue;
        }
        if (!known) revert VenueNotAllowed(venue);
        if (IHedgeVenue(venue).pendingSize(vault) != 0) revert OrderInFlight(venue);
        uint256 cooldown = _limits.cooldown;
        if (cooldown == 0) return;
        uint256 last = _lastOrder[venue].max(IHedgeVenue(venue).lastFillTime(vault));
        uint256 readyAt = last == 0 ? 0 : last + cooldown;
        if (block.timestamp < readyAt) revert CoolingDown(block.timestamp, readyAt);
    }

    function _checkSlippage(int256 sizeDelta, uint256 acceptablePrice, uint256 price) private view {
        uint256 slippage = _limits.maxSlippage;
        bool kept = sizeDelta > 0
            ? acceptablePrice <= price.mulWad(1e18 + slippage)
            : acceptablePrice >= price.mulWadUp(1e18 - slippage);
        if (!kept) revert SlippageExceeded(acceptablePrice, price, slippage);
    }

    function _checkDelta(int256 before, int256 afterwards) private view {
        uint256 tolerance = _limits.deltaTolerance;
        bool inside = afterwards.abs() <= tolerance;
        bool turns = (before > 0) != (afterwards > 0);
        bool allowed =
            before.abs() <= tolerance ? inside : afterwards.abs() < before.abs() && (inside || !turns);
        if (!allowed) revert DoesNotReduce(before, afterwards, tolerance);
    }

    /// @dev Where the surface is old, the hedge must help whichever way volatility has gone since.
    function _checkSurface(int256 before, int256 sizeDelta, uint256 price, bool shrinks) private view {
        (IVolatilityFeed.State state,) = optionMarket.surfaceOf(vault);
        if (state == IVolatilityFeed.State.FRESH) return;
        if (state == IVolatilityFeed.State.FROZEN) {
            if (!shrinks) revert SurfaceFrozen();
            return;
        }
        int256 others = before - optionMarket.greeksAt(vault, price, 1e18).delta;
        _checkStressed(others + optionMarket.greeksAt(vault, price, 1e18 - VOL_DOUBT).delta, sizeDelta);
        _checkStressed(others + optionMarket.greeksAt(vault, price, 1e18 + VOL_DOUBT).delta, sizeDelta);
    }

    function _checkStressed(int256 before, int256 sizeDelta) private pure {
        int256 afterwards = before + sizeDelta;
        if (afterwards.abs() >= before.abs()) revert DoesNotReduce(before, afterwards, 0);
    }

    /// @dev Once the order is in: it counts in margin like a position.
    function _checkMargin(uint256 price) private view {
        (int256 equity, uint256 initial,) = clearinghouse.margin(vault, price);
        uint256 required = initial.mulWadUp(_limits.marginBuffer);
        if (equity < int256(required)) revert MarginBufferBroken(equity, required);
    }

    function _shrinks(int256 position, int256 sizeDelta) private pure returns (bool) {
        return (position > 0) != (sizeDelta > 0) && sizeDelta.abs() <= position.abs();
    }

    // ---------------------------------------------------------------- size and budget

    /// @dev An order costs the vault its settlement whatever its size, so a small one spends as much as the least.
    function _spend(uint256 size, bool flattens) private {
        if (size == 0 || size > _limits.maxOrderSize) revert SizeExceeded(size, _limits.maxOrderSize);
        uint256 least = _limits.minOrderSize;
        if (size < least && !flattens) revert SizeTooSmall(size, least);
        uint256 spent = _spent(msg.sender);
        uint256 left = _limits.budgetPerDay.zeroFloorSub(spent);
        size = size.max(least);
        if (size > left) revert KeeperBudgetExceeded(size, left);
        _budget[msg.sender] = Budget(spent + size, uint64(block.timestamp));
    }

    /// @dev What is still spent of a keeper's budget, rounded up.
    function _spent(address keeper) private view returns (uint256) {
        Budget memory budget = _budget[keeper];
        return budget.spent.zeroFloorSub(_limits.budgetPerDay.fullMulDiv(block.timestamp - budget.at, 1 days));
    }

    function _setLimits(Limits memory limits_) private {
        if (limits_.maxSlippage > MAX_SLIPPAGE) revert BadLimit("maxSlippage", limits_.maxSlippage);
        if (limits_.marginBuffer < 1e18) revert BadLimit("marginBuffer", limits_.marginBuffer);
        if (limits_.maxOrderSize == 0) revert BadLimit("maxOrderSize", limits_.maxOrderSize);
        if (limits_.minOrderSize > limits_.maxOrderSize) revert BadLimit("minOrderSize", limits_.minOrderSize);
        _limits = limits_;
        emit LimitsSet(limits_);
    }
}

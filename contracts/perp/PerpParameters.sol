// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {PerpMath} from "../math/PerpMath.sol";

/// @title PerpParameters
/// @notice Which parameters a market accepts, and how it keeps them. A set that passes `validate` cannot divide by zero,
///         price a fill at nothing, ask less to open than to keep, pay a liquidator more than half of the margin it finds,
///         or leave a number that does not fit its slot; so `pack` and `unpack` are each other's inverse.
library PerpParameters {
    using FixedPointMathLib for uint256;
    using SafeCastLib for uint256;

    /// @notice Longest settlement delay and longest window, each; liquidity providers wait for longer than both together.
    uint256 internal constant LONGEST_DELAY = 1 hours;

    uint256 private constant ONE = 1e18;
    uint256 private constant MOST_COINS = 1e28;
    uint256 private constant LEAST_GAS = 21_000;
    uint256 private constant MOST_GAS = 10_000_000;

    /// @dev Six slots, by who reads them together: fills and fees; margins (two); caps and times; funding; the rest.
    struct Packed {
        uint112 skewScale;
        uint56 makerFee;
        uint56 takerFee;
        uint32 graceUntil; // until then, maintenance is the lower of these and the former parameters
        uint96 minMargin;
        uint72 initialMarginScalar;
        uint64 minInitialMarginRatio;
        uint24 liquidationGas;
        uint64 maxInitialMarginRatio;
        uint64 maintenanceScalar;
        uint56 liquidationFee;
        uint56 maxBaseFee;
        uint96 maxOpenInterest;
        uint96 maxOrderSize;
        uint16 settlementDelay;
        uint16 settlementWindow;
        uint24 settlementGas;
        uint72 maxFundingVelocity;
        uint64 fundingRateCap;
        uint64 fundingDeadBand;
        uint128 maxOpenInterestValue;
        uint64 insuranceShare;
    }

    /// @notice Refuses, by name and value, what could break an invariant. `price` is the index, wad; `largestSide` the open
    ///         interest of the larger side as it is, coins, wad.
    function validate(IPerpMarket.Parameters memory p, uint256 price, uint256 largestSide) internal pure {
        _require(price > 0, "price", price); // or no minimum margin could be too small
        _validateMarket(p, largestSide);
        _validateFunding(p);
        _validateMargin(p);
        _validateRewards(p, price);
    }

    function pack(IPerpMarket.Parameters memory p, uint256 graceUntil) internal pure returns (Packed memory packed) {
        packed.skewScale = p.skewScale.toUint112();
        packed.makerFee = p.makerFee.toUint56();
        packed.takerFee = p.takerFee.toUint56();
        packed.graceUntil = graceUntil.toUint32();
        packed.minMargin = p.minMargin.toUint96();
        packed.initialMarginScalar = p.initialMarginScalar.toUint72();
        packed.minInitialMarginRatio = p.minInitialMarginRatio.toUint64();
        packed.liquidationGas = uint256(p.liquidationGas).toUint24();
        packed.maxInitialMarginRatio = p.maxInitialMarginRatio.toUint64();
        packed.maintenanceScalar = p.maintenanceScalar.toUint64();
        packed.liquidationFee = p.liquidationFee.toUint56();
        packed.maxBaseFee = p.maxBaseFee.toUint56();
        packed.maxOpenInterest = p.maxOpenInterest.toUint96();
        packed.maxOrderSize = p.maxOrderSize.toUint96();
        packed.settlementDelay = uint256(p.settlementDelay).toUint16();
        packed.settlementWindow = uint256(p.settlementWindow).toUint16();
        packed.settlementGas = uint256(p.settlementGas).toUint24();
        packed.maxFundingVelocity = p.maxFundingVelocity.toUint72();
        packed.fundingRateCap = p.fundingRateCap.toUint64();
        packed.fundingDeadBand = p.fundingDeadBand.toUint64();
        packed.maxOpenInterestValue = p.maxOpenInterestValue.toUint128();
        packed.insuranceShare = p.insuranceShare.toUint64();
    }

    function unpack(Packed memory packed) internal pure returns (IPerpMarket.Parameters memory p) {
        p.skewScale = packed.skewScale;
        p.makerFee = packed.makerFee;
        p.takerFee = packed.takerFee;
        p.maxFundingVelocity = packed.maxFundingVelocity;
        p.fundingRateCap = packed.fundingRateCap;
        p.fundingDeadBand = packed.fundingDeadBand;
        p.initialMarginScalar = packed.initialMarginScalar;
        p.minInitialMarginRatio = packed.minInitialMarginRatio;
        p.maxInitialMarginRatio = packed.maxInitialMarginRatio;
        p.maintenanceScalar = packed.maintenanceScalar;
        p.minMargin = packed.minMargin;
        p.liquidationFee = packed.liquidationFee;
        p.insuranceShare = packed.insuranceShare;
        p.maxOpenInterest = packed.maxOpenInterest;
        p.maxOpenInterestValue = packed.maxOpenInterestValue;
        p.maxOrderSize = packed.maxOrderSize;
        p.settlementDelay = packed.settlementDelay;
        p.settlementWindow = packed.settlementWindow;
        p.settlementGas = packed.settlementGas;
        p.liquidationGas = packed.liquidationGas;
        p.maxBaseFee = packed.maxBaseFee;
    }

    /// @dev Fees: maker above taker would pay to cross a flat market; above 1% they are a mistake of units.
    ///      Caps: zero would close the market for good by mistake (`setReduceOnly` does it on purpose), and an order
    ///      larger than both sides together can never fill. With K at least twice a side, no fill is further than half of
    ///      the index away from it, so none is zero.
    ///      Times: without a delay the committer knows the price; a longer wait outlasts the pool's cooldown.
    function _validateMarket(IPerpMarket.Parameters memory p, uint256 largestSide) private pure {
        _require(p.makerFee <= p.takerFee, "makerFee", p.makerFee);
        _require(p.takerFee <= 0.01e18, "takerFee", p.takerFee);
        _require(p.insuranceShare <= ONE, "insuranceShare", p.insuranceShare);
        _require(p.maxOpenInterest > 0 && p.maxOpenInterest <= MOST_COINS, "maxOpenInterest", p.maxOpenInterest);
        _require(
            p.maxOpenInterestValue > 0 && p.maxOpenInterestValue <= 1e36, "maxOpenInterestValue", p.maxOpenInterestValue
        );
        _require(p.maxOrderSize > 0 && p.maxOrderSize <= 2 * p.maxOpenInterest, "maxOrderSize", p.maxOrderSize);
        uint256 side = p.maxOpenInterest.max(largestSide);
        _require(p.skewScale >= 2 * side && p.skewScale <= 1e32, "skewScale", p.skewScale);
        _require(p.settlementDelay > 0 && p.settlementDelay <= LONGEST_DELAY, "settlementDelay", p.settlementDelay);
        _require(p.settlementWindow > 0 && p.settlementWindow <= LONGEST_DELAY, "settlementWindow", p.settlementWindow);
    }

    /// @dev A rate above 100% a day, or one that runs through its cap within minutes, takes margins faster than anybody
    ///      liquidates; a dead band of the whole scale switches funding off, which the velocity says better.
    function _validateFunding(IPerpMarket.Parameters memory p) private pure {
        _require(p.maxFundingVelocity <= 1000e18, "maxFundingVelocity", p.maxFundingVelocity);
        _require(p.fundingRateCap <= ONE, "fundingRateCap", p.fundingRateCap);
        _require(p.fundingDeadBand < ONE, "fundingDeadBand", p.fundingDeadBand);
    }

    /// @dev Some margin at every size, never more than the notional by ratio; and strictly less to keep a position than to
    ///      open it, or the trade that opens one could be liquidated at once.
    function _validateMargin(IPerpMarket.Parameters memory p) private pure {
        _require(p.initialMarginScalar <= 100e18, "initialMarginScalar", p.initialMarginScalar);
        _require(p.minInitialMarginRatio > 0, "minInitialMarginRatio", p.minInitialMarginRatio);
        _require(
            p.maxInitialMarginRatio >= p.minInitialMarginRatio && p.maxInitialMarginRatio <= ONE,
            "maxInitialMarginRatio",
            p.maxInitialMarginRatio
        );
        _require(p.maintenanceScalar > 0 && p.maintenanceScalar < ONE, "maintenanceScalar", p.maintenanceScalar);
    }

    /// @dev Nobody settles or liquidates for less gas than any transaction takes, or for none at all; ten million is a mistake
    ///      of units. The margin found by a liquidator is at least twice what it earns: the gas part out of `minMargin` (at
    ///      the index of now), the part on the notional out of the least maintenance ratio.
    function _validateRewards(IPerpMarket.Parameters memory p, uint256 price) private pure {
        _require(p.settlementGas >= LEAST_GAS && p.settlementGas <= MOST_GAS, "settlementGas", p.settlementGas);
        _require(p.liquidationGas >= LEAST_GAS && p.liquidationGas <= MOST_GAS, "liquidationGas", p.liquidationGas);
        _require(p.maxBaseFee > 0 && p.maxBaseFee <= 1e15, "maxBaseFee", p.maxBaseFee);
        uint256 leastRatio = p.minInitialMarginRatio.mulWad(p.maintenanceScalar);
        _require(p.liquidationFee <= leastRatio.min(0.05e18), "liquidationFee", p.liquidationFee);
        uint256 reward = PerpMath.gasReward(p.liquidationGas, p.maxBaseFee, price);
        _require(p.minMargin >= 2 * reward && p.minMargin <= MOST_COINS, "minMargin", p.minMargin);
    }

    function _require(bool holds, bytes32 name, uint256 value) private pure {
        if (!holds) revert IPerpMarket.BadParameter(name, value);
    }
}

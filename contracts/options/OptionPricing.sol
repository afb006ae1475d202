// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {BlackScholes} from "../math/BlackScholes.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {SeriesId} from "./SeriesId.sol";

/// @title Value of one series at the surface's volatility
/// @notice Black-76 at rate 0 with the index as forward. Time is never less than a minute before expiry; from expiry
///         until the settlement price is fixed a series is worth its intrinsic value at the index and has no delta,
///         because the average that settles it is already complete.
library OptionPricing {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    /// @dev The last call and put that were valued: both sides of a straddle cost one evaluation.
    struct Memo {
        uint64 expiry;
        uint256 strike;
        uint256 vol;
        BlackScholes.Quote quote;
    }

    /// @notice Value and Greeks of one unit before the settlement price is fixed, and the volatility: mid times `volScale`,
    ///         held within the range of Black-Scholes (near expiry the wings of a surface leave it, where the price no
    ///         longer cares).
    function unit(Memo memory memo, IVolatilityFeed feed, uint256 id, uint256 price, uint256 volScale)
        internal
        view
        returns (IOptionMarket.Greeks memory greeks, uint256 vol)
    {
        (uint64 expiry, uint256 strike, bool isCall) = (id.expiryOf(), id.strikeOf(), id.isCallOf());
        if (block.timestamp >= expiry) {
            greeks.value = intrinsic(price, strike, isCall).toInt256();
            return (greeks, 0);
        }
        if (memo.expiry != expiry || memo.strike != strike) {
            uint256 vol_ = feed.volatility(expiry, strike, price).mulWad(volScale);
            memo.vol = vol_.clamp(BlackScholes.MIN_VOL, BlackScholes.MAX_VOL);
            memo.quote = evaluate(price, strike, expiry, memo.vol);
            (memo.expiry, memo.strike) = (expiry, strike);
        }
        return (pick(memo.quote, isCall), memo.vol);
    }

    /// @notice Call and put at a given volatility.
    function evaluate(uint256 price, uint256 strike, uint64 expiry, uint256 vol)
        internal
        view
        returns (BlackScholes.Quote memory)
    {
        uint256 time = (expiry - block.timestamp).max(BlackScholes.MIN_TIME);
        return BlackScholes.evaluate(price, strike, time, vol, 0);
    }

    /// @notice One side of a call-and-put quote.
    function pick(BlackScholes.Quote memory quote, bool isCall) internal pure returns (IOptionMarket.Greeks memory) {
        return IOptionMarket.Greeks({
            value: int256(isCall ? quote.call : quote.put),
            delta: isCall ? int256(quote.callDelta) : quote.putDelta,
            gamma: int256(quote.gamma),
            vega: int256(quote.vega),
            theta: isCall ? quote.callTheta : quote.putTheta
        });
    }

    /// @notice What one unit pays at a settlement price.
    function intrinsic(uint256 price, uint256 strike, bool isCall) internal pure returns (uint256) {
        return isCall ? price.zeroFloorSub(strike) : strike.zeroFloorSub(price);
    }

    /// @notice `total` grows by `size` units; the value rounds down, a liability therefore up.
    function add(IOptionMarket.Greeks memory total, IOptionMarket.Greeks memory greeks, int256 size) internal pure {
        total.value += floorMul(size, greeks.value);
        total.delta += size.sMulWad(greeks.delta);
        total.gamma += size.sMulWad(greeks.gamma);
        total.vega += size.sMulWad(greeks.vega);
        total.theta += size.sMulWad(greeks.theta);
    }

    /// @notice size * value in wad, rounded toward minus infinity; `value` is not negative.
    function floorMul(int256 size, int256 value) internal pure returns (int256) {
        return size >= 0
            ? uint256(size).mulWad(uint256(value)).toInt256()
            : -size.abs().mulWadUp(uint256(value)).toInt256();
    }
}

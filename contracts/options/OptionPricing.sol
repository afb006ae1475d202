// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {BlackScholes} from "../math/BlackScholes.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {SeriesId} from "./SeriesId.sol";
import {SettlementAverage} from "./SettlementAverage.sol";

/// @title Value of one series at the surface's volatility
/// @notice Black-76 at rate 0 on the average that settles the series: forward and variance time are those of
///         `SettlementAverage`, the volatility is the surface's at the index. From expiry until the settlement price is
///         fixed a series is worth its intrinsic value at the complete average and has no delta. So far from its strike
///         that the volatility no longer matters it is worth its intrinsic value too; valuing never reverts.
library OptionPricing {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    /// @dev The last expiry, and the last call and put, that were valued: both sides of a straddle cost one evaluation.
    struct Memo {
        uint64 expiry;
        uint256 strike;
        uint256 vol; // 0 where the series has only intrinsic value
        SettlementAverage.Outlook outlook;
        BlackScholes.Quote quote;
    }

    /// @notice Value and Greeks of one unit before the settlement price is fixed, and the volatility: mid times `volScale`,
    ///         held within the range of Black-Scholes (near expiry the wings of a surface leave it, where the price no
    ///         longer cares); 0 where the series has only intrinsic value.
    function unit(
        Memo memory memo,
        IPriceFeed prices,
        IVolatilityFeed vols,
        uint256 id,
        uint256 price,
        uint256 volScale
    ) internal view returns (IOptionMarket.Greeks memory greeks, uint256 vol) {
        (uint64 expiry, uint256 strike, bool isCall) = (id.expiryOf(), id.strikeOf(), id.isCallOf());
        if (memo.expiry != expiry || memo.strike != strike) {
            if (memo.expiry != expiry) memo.outlook = SettlementAverage.look(prices, expiry, price);
            (memo.expiry, memo.strike, memo.vol) = (expiry, strike, 0);
            if (memo.outlook.time != 0 && !_isFar(memo.outlook.forward, strike) && !_isFar(price, strike)) {
                memo.vol = clamp(vols.volatility(expiry, strike, price).mulWad(volScale));
                memo.quote = _evaluate(memo, memo.vol);
            }
        }
        return (memo.vol == 0 ? _certain(memo, isCall) : _pick(memo, isCall), memo.vol);
    }

    /// @notice Value of one unit of the series valued last, at another volatility.
    function valueAt(Memo memory memo, bool isCall, uint256 vol) internal pure returns (int256) {
        if (memo.vol == 0) return _certain(memo, isCall).value;
        BlackScholes.Quote memory quote = _evaluate(memo, vol);
        return (isCall ? quote.call : quote.put).toInt256();
    }

    /// @notice A volatility held within the range of Black-Scholes.
    function clamp(uint256 vol) internal pure returns (uint256) {
        return vol.clamp(BlackScholes.MIN_VOL, BlackScholes.MAX_VOL);
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

    function _evaluate(Memo memory memo, uint256 vol) private pure returns (BlackScholes.Quote memory) {
        return BlackScholes.evaluate(memo.outlook.forward, memo.strike, memo.outlook.time, vol, 0);
    }

    function _isFar(uint256 price, uint256 strike) private pure returns (bool) {
        return price > strike * BlackScholes.MAX_RATIO || strike > price * BlackScholes.MAX_RATIO;
    }

    /// @dev Intrinsic value at the forward; only what is open of the average still moves with the index.
    function _certain(Memo memory memo, bool isCall) private pure returns (IOptionMarket.Greeks memory greeks) {
        uint256 value = intrinsic(memo.outlook.forward, memo.strike, isCall);
        greeks.value = value.toInt256();
        if (value != 0) greeks.delta = isCall ? int256(memo.outlook.open) : -int256(memo.outlook.open);
    }

    /// @dev One side of the call-and-put quote, its Greeks taken from the forward to the index and from variance time to
    ///      calendar time.
    function _pick(Memo memory memo, bool isCall) private pure returns (IOptionMarket.Greeks memory greeks) {
        BlackScholes.Quote memory quote = memo.quote;
        greeks = IOptionMarket.Greeks({
            value: int256(isCall ? quote.call : quote.put),
            delta: isCall ? int256(quote.callDelta) : quote.putDelta,
            gamma: int256(quote.gamma),
            vega: int256(quote.vega),
            theta: isCall ? quote.callTheta : quote.putTheta
        });
        int256 open = int256(memo.outlook.open);
        if (open == 1e18) return greeks;
        greeks.delta = greeks.delta.sMulWad(open);
        greeks.gamma = greeks.gamma.sMulWad(open).sMulWad(open);
        greeks.theta = greeks.theta.sMulWad(int256(memo.outlook.decay));
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";

/// @title Net asset value of a vault
/// @notice All wad, at one index price P:
///
///     mid  = cash + options at mid + hedge P&L at P + funding + order in flight
///     low  = mid - reserve,  high = mid + reserve + exit gain,  reserve = closing cost of options + exit cost of the hedge
///
/// An order in flight of size d is worth d (P - expected fill) - fee - reward. The exit of a hedge sends it back to flat:
/// its price impact where that is a cost, and the fee; where the impact is a gain, that is the exit gain.
library VaultNav {
    using FixedPointMathLib for int256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    /// @notice How far volatility may be from an old surface, as a fraction of it, wad.
    uint256 internal constant VOL_DOUBT = 0.25e18;

    struct Nav {
        int256 mid;
        int256 low;
        int256 high;
    }

    /// @dev What a vault has at one venue.
    struct Hedge {
        int256 size; // coins
        int256 pending; // coins in flight
        int256 pnl; // USD at index
        int256 funding; // USD accrued
        int256 inFlight; // expected cost of the pending order, USD, negative when it costs
        uint256 exitCost; // USD
        uint256 exitGain; // USD
    }

    /// @notice Everything the account has at a venue, valued at index `price`.
    function hedgeAt(IPerpMarket venue, address account, uint256 price) internal view returns (Hedge memory hedge) {
        hedge.size = venue.netSize(account);
        hedge.pending = venue.pendingSize(account);
        (hedge.pnl, hedge.funding) = venue.accrued(account, price);
        if (hedge.pending != 0) {
            (int256 gain, uint256 fee) = _execution(venue, hedge.pending, price);
            hedge.inFlight = gain - (fee + venue.settlementReward(price)).toInt256();
        }
        int256 exit = -(hedge.size + hedge.pending);
        if (exit != 0) {
            (int256 gain, uint256 fee) = _execution(venue, exit, price);
            hedge.exitCost = fee + (gain < 0 ? uint256(-gain) : 0);
            hedge.exitGain = gain > 0 ? uint256(gain) : 0;
        }
    }

    /// @dev Gain of a fill against the index, and its fee.
    function _execution(IPerpMarket venue, int256 size, uint256 price) private view returns (int256 gain, uint256 fee) {
        uint256 fill = venue.fillPrice(size, price);
        gain = size.sMulWad(price.toInt256() - fill.toInt256());
        fee = venue.orderFee(size, fill);
    }

    function valueOf(Hedge memory hedge) internal pure returns (int256) {
        return hedge.pnl + hedge.funding + hedge.inFlight;
    }

    /// @param value cash plus options at mid plus the value of every hedge
    /// @param reserve closing cost of the options plus exit cost of every hedge
    /// @param gain exit gain of every hedge
    function around(int256 value, uint256 reserve, uint256 gain) internal pure returns (Nav memory) {
        return Nav(value, value - reserve.toInt256(), value + (reserve + gain).toInt256());
    }

    /// @notice USD wad per whole share, with the virtual share and asset of `OptionVault`.
    function sharePrice(int256 nav, uint256 supply) internal pure returns (uint256) {
        return FixedPointMathLib.fullMulDiv((nav > 0 ? uint256(nav) : 0) + 1e12, 1e18, supply + 1e12);
    }
}

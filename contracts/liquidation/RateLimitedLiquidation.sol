// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {PerpMath} from "../math/PerpMath.sol";
import {LiquidationEngine} from "./LiquidationEngine.sol";
import {RollingWindow} from "./RollingWindow.sol";

/// @title RateLimitedLiquidation
/// @notice Closes no more of an account than brings it back to `buffer` above maintenance margin, and in each market no
///         more than `cap` coins in any `window` seconds, so that liquidations cannot run the price away from themselves.
///
///         x = y shortage / freed(y)                  coins to close, from any y >= x: all of the position, then x itself
///         shortage = (1 + buffer) maintenance + gas - equity
///         freed(y) = (1 + buffer) (maintenance - maintenance after closing y) - fees - impact
///
///         Maintenance per coin and cost per coin fall, or stay, as a position gets smaller, so closing a share of y frees at
///         least that share of `freed(y)`: the account is never left below the buffer.
/// @dev Where capacity is short of what is needed, a call closes at least a quarter of the cap or waits for it: the gas
///      that an account pays back cannot be multiplied by closing it in crumbs.
contract RateLimitedLiquidation is LiquidationEngine {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using RollingWindow for RollingWindow.Window;
    using SafeCastLib for uint256;
    using SafeCastLib for int256;

    uint256 public constant LONGEST_WINDOW = 60;

    /// @notice The cap is at most this part of each market's skew scale, so that one window moves the skew price by at most
    ///         that much: 5%.
    uint256 public constant MAX_IMPACT = 0.05e18;

    /// @notice A cap is used in at most this many pieces by accounts that need more than there is.
    uint256 public constant CHUNKS = 4;

    error BadSetting(bytes32 name, uint256 value);

    /// @notice Seconds over which the cap holds.
    uint256 public immutable window;

    /// @notice Most that may be closed in one market within any window, coins, wad.
    uint256 public immutable cap;

    /// @notice How far above maintenance margin an account is brought, wad fraction of it.
    uint256 public immutable buffer;

    mapping(address market => RollingWindow.Window) private _closed;

    constructor(address clearinghouse_, address[] memory markets_, uint256 window_, uint256 cap_, uint256 buffer_)
        LiquidationEngine(clearinghouse_, markets_)
    {
        if (window_ == 0 || window_ > LONGEST_WINDOW) revert BadSetting("window", window_);
        if (buffer_ == 0 || buffer_ > 1e18) revert BadSetting("buffer", buffer_);
        if (cap_ < CHUNKS) revert BadSetting("cap", cap_);
        for (uint256 i = 0; i < markets_.length; ++i) {
            uint256 skewScale = IPerpMarket(markets_[i]).parameters().skewScale;
            if (cap_ > skewScale.mulWad(MAX_IMPACT)) revert BadSetting("cap", cap_);
        }
        (window, cap, buffer) = (window_, cap_, buffer_);
    }

    /// @notice Coins that may be closed in `market` now, wad.
    function capacity(address market) public view returns (uint256) {
        return cap - _closed[market].sum(window);
    }

    /// @notice Coins to close where closing `closed` frees `freed`, so that `shortage` is freed: in proportion, rounded up;
    ///         all of `closed` where that is not enough. Sizes unsigned, all wad.
    function partialSize(uint256 closed, int256 shortage, int256 freed) public pure returns (uint256) {
        if (shortage <= 0) return 0;
        if (freed <= shortage) return closed;
        return closed.fullMulDivUp(uint256(shortage), uint256(freed));
    }

    /// @inheritdoc LiquidationEngine
    /// @dev Market by market until the account is at the buffer. What is hedged across markets is so closed one side first.
    function _liquidate(address account, uint256 price, int256 equity, uint256 maintenance)
        internal
        override
        returns (uint256 reward, uint256 nextAt)
    {
        if (equity >= maintenance.toInt256()) {
            _observe(account, false);
            return (0, 0);
        }
        _dropOrders(account);
        Closing memory closing;
        bool restored;
        for (uint256 i = 0; i < _markets.length && !restored; ++i) {
            if (closing.most != 0) (equity,, maintenance) = clearinghouse.margin(account, price);
            uint256 roomAt;
            (restored, roomAt) = _reduce(closing, _markets[i], account, price, equity, maintenance);
            if (nextAt == 0 || (roomAt != 0 && roomAt < nextAt)) nextAt = roomAt;
        }
        _finish(closing, account, price);
        _observe(account, _owes(account, price));
        if (nextAt != 0 && closing.most != 0) restored = restored || !clearinghouse.isLiquidatable(account, price);
        return (closing.reward, restored ? 0 : nextAt);
    }

    /// @dev Closes what is needed and allowed of the position in one market.
    /// @return restored the account is at the buffer
    /// @return roomAt when there is room for more of what it needs; 0 when all of that was closed
    function _reduce(
        Closing memory closing,
        IPerpMarket market,
        address account,
        uint256 price,
        int256 equity,
        uint256 maintenance
    ) private returns (bool restored, uint256 roomAt) {
        int256 size = market.netSize(account);
        if (size == 0) return (false, 0);
        uint256 wanted = _wanted(market, account, size, price, equity, maintenance);
        uint256 granted;
        (granted, roomAt) = _grant(address(market), wanted);
        if (granted > 0) _close(closing, market, account, size > 0 ? -granted.toInt256() : granted.toInt256(), price);
        restored = granted == wanted && wanted < size.abs();
    }

    /// @dev What of `wanted` may be closed now, booked in the window; and where that is less, when there is room for more.
    function _grant(address market, uint256 wanted) private returns (uint256 granted, uint256 nextAt) {
        uint256 free = capacity(market);
        granted = wanted.min(free);
        if (granted < wanted && granted < cap / CHUNKS) granted = 0;
        if (granted > 0) _closed[market].add(window, granted);
        if (granted < wanted) nextAt = _closed[market].fallsTo(window, cap - (wanted - granted).min(cap / CHUNKS));
    }

    /// @dev The line from nothing to all of the position gives a first answer, the line to that a closer one: what is freed
    ///      is concave in what is closed, so neither falls short. Who has no equity keeps nothing.
    function _wanted(
        IPerpMarket market,
        address account,
        int256 size,
        uint256 price,
        int256 equity,
        uint256 maintenance
    ) private view returns (uint256 wanted) {
        uint256 all = size.abs();
        if (equity <= 0) return all;
        uint256 gas = market.liquidationReward(0, price);
        int256 target = _buffered(maintenance).toInt256();
        int256 shortage = target - equity + gas.toInt256();
        uint256 always = market.liquidationCost(size > 0 ? int256(1) : -1, price);
        wanted = partialSize(all, shortage, target - _left(market, account, -size, price, gas, always));
        if (wanted == all || wanted == 0) return wanted;
        int256 sizeDelta = size > 0 ? -wanted.toInt256() : wanted.toInt256();
        wanted = partialSize(wanted, shortage, target - _left(market, account, sizeDelta, price, gas, 0));
    }

    /// @dev The buffered maintenance left after closing `sizeDelta`, what even the smallest position needs included
    ///      (`always` where that one is gone), and what closing costs besides the gas.
    function _left(
        IPerpMarket market,
        address account,
        int256 sizeDelta,
        uint256 price,
        uint256 gas,
        uint256 always
    ) private view returns (int256) {
        (, uint256 maintenance) = clearinghouse.marginIfFilled(account, address(market), sizeDelta, price);
        uint256 fill = market.fillPrice(sizeDelta, price);
        uint256 fees = market.orderFee(sizeDelta, fill) + market.liquidationReward(sizeDelta, price) - gas;
        int256 gain = PerpMath.profit(sizeDelta, fill.toInt256(), price.toInt256());
        return (_buffered(maintenance + always) + fees).toInt256() - gain;
    }

    function _buffered(uint256 maintenance) private view returns (uint256) {
        return maintenance + maintenance.mulWadUp(buffer);
    }
}

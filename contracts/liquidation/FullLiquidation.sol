// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse, ILiquidationEngine, IProduct} from "../interfaces/IClearinghouse.sol";
import {IInsuranceFund} from "../interfaces/IInsuranceFund.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title FullLiquidation
/// @notice The simplest engine: closes every perpetual position of an account at once, at the skew fill. An account that is
///         still below maintenance is handed to the liquidator whole, options and cash. With
///
///         equity = cash + options at mid - the cost of closing them
///
///         the account keeps 90% of it in cash, and the liquidator the rest for taking the risk over, for which it must
///         have initial margin. Where equity is negative the liquidator is made whole. What an account without positions
///         cannot pay becomes bad debt, which the insurance fund and then the liquidity pool's equity cover; the rest
///         stays on record and blocks withdrawals until somebody pays it.
/// @dev An order in flight that has its benchmark is settled first, so that being liquidated is no way out of a bad trade;
///      one that has none is dropped without charge. A deficit of options alone is the insurance fund's, within its cap
///      per event, and never the pool's: an account with a larger one keeps its options, and who is long against it shares
///      in what it has at expiry.
contract FullLiquidation is ILiquidationEngine {
    using FixedPointMathLib for uint256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    /// @notice What an account keeps of its equity when its options are handed over, wad.
    uint256 public constant KEPT = 0.9e18;

    error OnlySelf(address caller);
    error DeficitTooLarge(uint256 deficit, uint256 payable_);
    error SettlementDue(address account);
    error PaysTooMuch(uint256 amount, uint256 max);

    IClearinghouse public immutable clearinghouse;

    /// @notice The options that can be handed over; zero where the venue has none.
    IOptionMarket public immutable optionMarket;

    IPriceFeed private immutable _feed;
    IPerpMarket[] private _markets;

    constructor(address clearinghouse_, address[] memory markets_, address optionMarket_) {
        clearinghouse = IClearinghouse(clearinghouse_);
        optionMarket = IOptionMarket(optionMarket_);
        _feed = IPriceFeed(IClearinghouse(clearinghouse_).priceFeed());
        for (uint256 i = 0; i < markets_.length; ++i) _markets.push(IPerpMarket(markets_[i]));
    }

    /// @inheritdoc ILiquidationEngine
    /// @dev The event's `price` is the index; each fill is in the market's `PositionClosed`. Nothing is closed, and nothing
    ///      earned but settlement rewards, where settling the orders in flight has made the account healthy.
    function liquidate(address account, uint256 maxPaid) external returns (uint256 reward) {
        (uint256 price,) = _feed.price();
        (int256 equity,, uint256 maintenance) = clearinghouse.margin(account, price);
        if (equity >= maintenance.toInt256() || _isOurs(account)) revert NotLiquidatable(account, equity, maintenance);

        for (uint256 i = 0; i < _markets.length; ++i) _settleOrder(_markets[i], account);
        clearinghouse.lock();
        if (clearinghouse.isLiquidatable(account, price)) reward = _wind(account, price, maxPaid);
        uint256 settlementRewards = uint256(clearinghouse.cash(address(this)));
        clearinghouse.move(address(this), msg.sender, settlementRewards, "keeper reward");
        clearinghouse.unlock();
    }

    /// @notice Pays bad debt left from earlier liquidations: the insurance fund up to its cap, then the pool out of the
    ///         equity that it has now. Anyone.
    function coverBadDebt() external returns (uint256 covered) {
        clearinghouse.lock();
        (uint256 price,) = _feed.price();
        covered = _cover(clearinghouse.badDebt(), price);
        clearinghouse.unlock();
    }

    /// @notice Hands an account's options and cash to `liquidator`; by this contract only, which calls it so that all of
    ///         it happens or nothing. The liquidator pays at most `maxPaid`. Not while a series has expired: what its longs
    ///         will be paid depends on shorts that have yet to pay.
    function handOver(address account, address liquidator, uint256 price, uint256 maxPaid) external {
        if (msg.sender != address(this)) revert OnlySelf(msg.sender);
        (, bool expired) = optionMarket.surfaceOf(account);
        if (expired) revert SettlementDue(account);
        int256 equity = _equity(account, price);
        uint256 kept = equity > 0 ? uint256(equity).mulWad(KEPT) : 0;
        if (equity < 0) _checkDeficit(account, uint256(-equity));
        int256 paid = clearinghouse.cash(account) - (equity > 0 ? kept.toInt256() : equity);
        if (paid < 0 && uint256(-paid) > maxPaid) revert PaysTooMuch(uint256(-paid), maxPaid);
        _pay(account, liquidator, paid);
        optionMarket.takeOver(account, liquidator);
        clearinghouse.requireInitialMargin(liquidator, price);
        emit HandedOver(account, liquidator, equity, kept);
    }

    /// @dev Settles an order whose benchmark exists; the reward goes to this contract's account for the moment. What cannot
    ///      be settled (it never should) must not stop the liquidation.
    function _settleOrder(IPerpMarket market, address account) private {
        if (market.pendingSize(account) == 0) return;
        uint256 time = market.benchmarkTime(account);
        (, uint256 updatedAt,) = _feed.peek();
        if (updatedAt < time) return;
        try market.settle(account, _feed.roundAt(time - 1) + 1) {} catch {}
    }

    /// @dev Perpetuals first, then options where that was not enough, then what is left unpaid.
    function _wind(address account, uint256 price, uint256 maxPaid) private returns (uint256 reward) {
        int256 closed;
        for (uint256 i = 0; i < _markets.length; ++i) {
            (int256 size, uint256 earned) = _close(_markets[i], account, price);
            closed += size;
            reward += earned;
        }
        clearinghouse.move(account, msg.sender, reward, "liquidation reward");
        if (_mustHandOver(account, price)) try this.handOver(account, msg.sender, price, maxPaid) {} catch {}
        uint256 deficit = _isFlat(account) ? clearinghouse.recordBadDebt(account) : 0;
        if (deficit > 0) _cover(deficit, price);
        emit Liquidated(account, msg.sender, closed, price, reward, deficit);
    }

    /// @dev Drops the account's order and closes its position; returns the signed size closed and what that earns.
    function _close(IPerpMarket market, address account, uint256 price) private returns (int256 closed, uint256 reward) {
        if (market.pendingSize(account) != 0) market.dropOrder(account);
        closed = -market.netSize(account);
        if (closed == 0) return (0, 0);
        market.closePosition(account, closed);
        reward = market.liquidationReward(closed, price);
    }

    /// @dev The waterfall: insurance fund up to its cap per event, then the pool's equity.
    function _cover(uint256 deficit, uint256 price) private returns (uint256 covered) {
        covered = IBackstop(clearinghouse.insuranceFund()).cover(deficit, price);
        covered += IBackstop(clearinghouse.liquidityPool()).cover(deficit - covered, price);
    }

    function _mustHandOver(address account, uint256 price) private view returns (bool) {
        if (address(optionMarket) == address(0) || msg.sender == account || optionMarket.isFlat(account)) return false;
        return clearinghouse.isLiquidatable(account, price);
    }

    /// @dev Unlike in margin, longs count: whoever takes them over gets their value.
    function _equity(address account, uint256 price) private view returns (int256) {
        (, IOptionMarket.Greeks memory options, uint256 closing) = optionMarket.book(account, price);
        return clearinghouse.cash(account) + options.value - closing.toInt256();
    }

    /// @dev Losses already realised (negative cash) have the whole waterfall behind them; what the options would still cost
    ///      only has the insurance fund.
    function _checkDeficit(address account, uint256 deficit) private view {
        address fund = clearinghouse.insuranceFund();
        uint256 insurable = _positive(clearinghouse.cash(fund)).min(IInsuranceFund(fund).maxPerEvent());
        uint256 covered = insurable + _positive(-clearinghouse.cash(account));
        if (deficit > covered) revert DeficitTooLarge(deficit, covered);
    }

    function _pay(address from, address to, int256 amount) private {
        if (amount > 0) clearinghouse.move(from, to, uint256(amount), "takeover");
        else clearinghouse.move(to, from, uint256(-amount), "takeover");
    }

    /// @dev The venue's own accounts: bad debt itself, the pool, the fund, the products. Their deficits are not a trader's.
    function _isOurs(address account) private view returns (bool) {
        return account == address(clearinghouse) || clearinghouse.isModule(account);
    }

    function _isFlat(address account) private view returns (bool flat) {
        IProduct[] memory products = clearinghouse.products();
        flat = true;
        for (uint256 i = 0; i < products.length && flat; ++i) flat = products[i].isFlat(account);
    }

    function _positive(int256 x) private pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}

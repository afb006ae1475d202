// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {IClearinghouse, IMarginModel} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {ScenarioGrid} from "../math/ScenarioGrid.sol";
import {OptionPricing} from "../options/OptionPricing.sol";
import {SeriesId} from "../options/SeriesId.sol";
import {SettlementAverage} from "../options/SettlementAverage.sol";

/// @title PortfolioMargin
/// @notice Risk-based margin: perpetuals and options of an account are revalued together in the scenarios of
///         `ScenarioGrid`, so a hedge is worth what it saves.
///
///         equity      = cash + perp profit and funding + options at mid
///         maintenance = worst loss + reserves
///         initial     = max(initialFactor * worst loss, surplus) + reserves + orders in flight + debt to the fund
///         reserves    = liquidation cost of every perp + closing cost of the options + 1% of the index per short option
///
///         Longs count towards equity, with two exceptions. What an expired one will be paid depends on shorts that have
///         yet to pay, so it only counts against the account's own shorts of that expiry, with which it is set off. And the
///         surplus, by which the live longs of an expiry exceed the account's shorts of it, is asked for again as initial
///         margin: it stands behind positions but can neither be withdrawn nor spent.
///         An order in flight counts at its worse side in initial margin: with or without it, plus what its fill may cost.
///         One that shrinks its position, which the market takes without initial margin and always fills, does so in
///         maintenance as well: it may be a hedge that leaves.
contract PortfolioMargin is IMarginModel {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using ScenarioGrid for ScenarioGrid.Grid;
    using SeriesId for uint256;

    /// @dev Least and most coins there can be once the orders in flight that shrink their position have settled, and once
    ///      all have.
    struct Perps {
        int256 value;
        int256 coins;
        int256 sureLeast;
        int256 sureMost;
        int256 least;
        int256 most;
        uint256 reserve;
        uint256 initialReserve;
    }

    struct Options {
        int256 value;
        uint256 surplus;
        uint256 reserve;
        uint256 debt;
        ScenarioGrid.Grid grid;
    }

    /// @notice Reserve of a short option, whatever its value, fraction of the index, wad.
    uint256 public constant SHORT_RESERVE = 0.01e18;
    uint256 public constant MAX_PERPS = 8;

    IClearinghouse public immutable clearinghouse;
    /// @notice Zero where the deployment has no options.
    IOptionMarket public immutable optionMarket;

    uint256 private immutable _spotRange;
    uint256 private immutable _spotTail;
    uint256 private immutable _tailWeight;
    uint256 private immutable _volUp;
    uint256 private immutable _volDown;
    uint256 private immutable _initialFactor;

    IPerpMarket[] private _perps;

    error TooManyPerps(uint256 count, uint256 max);

    constructor(
        address clearinghouse_,
        address[] memory perps_,
        address optionMarket_,
        ScenarioGrid.Shocks memory shocks_
    ) {
        ScenarioGrid.validate(shocks_);
        if (perps_.length > MAX_PERPS) revert TooManyPerps(perps_.length, MAX_PERPS);
        clearinghouse = IClearinghouse(clearinghouse_);
        optionMarket = IOptionMarket(optionMarket_);
        for (uint256 i; i < perps_.length; ++i) _perps.push(IPerpMarket(perps_[i]));
        (_spotRange, _spotTail, _tailWeight) = (shocks_.spotRange, shocks_.spotTail, shocks_.tailWeight);
        (_volUp, _volDown, _initialFactor) = (shocks_.volUp, shocks_.volDown, shocks_.initialFactor);
    }

    /// @inheritdoc IMarginModel
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance)
    {
        Perps memory held = _perpsOf(account, price, address(0), 0);
        Options memory options = _optionsOf(account, price);
        equity = clearinghouse.cash(account) + held.value + options.value;
        (uint256 loss, uint256 initialLoss) = _worst(options.grid, held.sureLeast, held.sureMost, price);
        maintenance = loss + held.reserve + options.reserve;
        if (held.least < held.sureLeast || held.most > held.sureMost) {
            (, initialLoss) = _worst(options.grid, held.least, held.most, price);
        }
        initial = (initialLoss.max(options.surplus) + held.initialReserve + options.reserve).max(maintenance);
        initial += options.debt;
    }

    /// @inheritdoc IMarginModel
    function marginIfFilled(address account, address market, int256 sizeDelta, uint256 price)
        external
        view
        returns (int256 equity, uint256 maintenance)
    {
        Perps memory held = _perpsOf(account, price, market, sizeDelta);
        Options memory options = _optionsOf(account, price);
        equity = clearinghouse.cash(account) + held.value + options.value;
        (uint256 loss,) = _worst(options.grid, held.sureLeast, held.sureMost, price);
        maintenance = loss + held.reserve + options.reserve;
    }

    /// @notice Profit of the account's perpetuals and options in each scenario, before the tails are weighted, wad, rounded
    ///         down. In order: the moves -r, -r/2, 0, r/2, r, each with the vols down, held and up; then the tails -t and t.
    function profits(address account, uint256 price) external view returns (int256[] memory profit) {
        int256 coins = _perpsOf(account, price, address(0), 0).coins;
        ScenarioGrid.Grid memory grid = _optionsOf(account, price).grid;
        profit = new int256[](ScenarioGrid.SCENARIOS);
        for (uint256 i; i < profit.length; ++i) {
            profit[i] = grid.profit[i] + ScenarioGrid.coinProfit(shocks(), i, coins, price);
            profit[i] = profit[i] >= 0 ? profit[i] / 1e18 : -int256(uint256(-profit[i]).divUp(1e18));
        }
    }

    /// @notice The scenarios' sizes, as deployed.
    function shocks() public view returns (ScenarioGrid.Shocks memory) {
        return ScenarioGrid.Shocks(_spotRange, _spotTail, _tailWeight, _volUp, _volDown, _initialFactor);
    }

    function perps() external view returns (IPerpMarket[] memory) {
        return _perps;
    }

    /// @dev Everything in the perpetual markets, as it would be with `sizeDelta` coins more and no order in `market`.
    function _perpsOf(address account, uint256 price, address market, int256 sizeDelta)
        private
        view
        returns (Perps memory held)
    {
        for (uint256 i; i < _perps.length; ++i) {
            IPerpMarket perp = _perps[i];
            int256 size = perp.netSize(account);
            int256 pending = perp.pendingSize(account);
            if (size != 0) {
                (int256 pnl, int256 funding) = perp.accrued(account, price);
                held.value += pnl + funding;
            }
            if (address(perp) == market) (size, pending) = (size + sizeDelta, 0);
            held.coins += size;
            held.least += size + pending.min(0);
            held.most += size + pending.max(0);
            int256 sure = _shrinks(size, pending) ? pending : int256(0);
            held.sureLeast += size + sure.min(0);
            held.sureMost += size + sure.max(0);
            uint256 reserve = size == 0 ? 0 : perp.liquidationCost(size, price);
            held.reserve += reserve;
            if (pending != 0) {
                if (size + pending != 0) reserve = reserve.max(perp.liquidationCost(size + pending, price));
                reserve += perp.orderCost(pending, price);
            }
            held.initialReserve += reserve;
        }
    }

    function _shrinks(int256 size, int256 pending) private pure returns (bool) {
        return (size > 0) != (pending > 0) && pending.abs() <= size.abs();
    }

    /// @dev Losses with anything from `least` to `most` coins: they are convex in the coins, so the worst is at an end.
    function _worst(ScenarioGrid.Grid memory grid, int256 least, int256 most, uint256 price)
        private
        view
        returns (uint256 maintenance, uint256 initial)
    {
        ScenarioGrid.Shocks memory shocks_ = shocks();
        (maintenance, initial) = grid.worst(shocks_, least, price);
        if (least == most) return (maintenance, initial);
        (uint256 otherMaintenance, uint256 otherInitial) = grid.worst(shocks_, most, price);
        return (maintenance.max(otherMaintenance), initial.max(otherInitial));
    }

    function _optionsOf(address account, uint256 price) private view returns (Options memory options) {
        if (address(optionMarket) == address(0)) return options;
        (IOptionMarket.Holding[] memory holdings,, uint256 closing) = optionMarket.book(account, price);
        (options.value, options.surplus) = _worth(holdings);
        options.reserve = closing;
        options.debt = optionMarket.debtOf(account);
        ScenarioGrid.Shocks memory shocks_ = shocks();
        uint256 shortReserve = price.mulWadUp(SHORT_RESERVE);
        for (uint256 i; i < holdings.length; ++i) {
            IOptionMarket.Holding memory holding = holdings[i];
            if (holding.varianceTime == 0) continue;
            if (holding.size < 0) options.reserve += holding.size.abs().mulWadUp(shortReserve);
            options.grid.add(_asOption(holding), shocks_, price);
        }
    }

    /// @dev Value that counts, and surplus: expiry by expiry, because only there longs are set off against shorts.
    function _worth(IOptionMarket.Holding[] memory holdings) private view returns (int256 value, uint256 surplus) {
        uint64[] memory expiries = new uint64[](holdings.length);
        int256[] memory nets = new int256[](holdings.length);
        uint256 count;
        for (uint256 i; i < holdings.length; ++i) {
            uint64 expiry = holdings[i].seriesId.expiryOf();
            uint256 at;
            unchecked {
                while (at < count && expiries[at] != expiry) ++at;
                if (at == count) expiries[count++] = expiry;
            }
            nets[at] += OptionPricing.floorMul(holdings[i].size, holdings[i].unit.value);
        }
        for (uint256 i; i < count; ++i) {
            bool live = expiries[i] > block.timestamp;
            value += live ? nets[i] : nets[i].min(0);
            if (live && nets[i] > 0) surplus += uint256(nets[i]);
        }
    }

    /// @dev Within the settlement window only what is open of the average moves with the index.
    function _asOption(IOptionMarket.Holding memory holding) private view returns (ScenarioGrid.Option memory) {
        uint256 left = uint256(holding.seriesId.expiryOf()).zeroFloorSub(block.timestamp);
        return ScenarioGrid.Option({
            size: holding.size,
            value: uint256(holding.unit.value),
            forward: holding.forward,
            strike: holding.seriesId.strikeOf(),
            time: holding.varianceTime,
            vol: holding.vol,
            open: left.divWad(SettlementAverage.WINDOW).min(1e18),
            isCall: holding.seriesId.isCallOf()
        });
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC4626} from "solady/tokens/ERC4626.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {IHedgeMandate, IOptionVault} from "../interfaces/IVault.sol";
import {IVaultLens} from "../interfaces/IVaultLens.sol";
import {IVolatilityFeed} from "../interfaces/IVolatilityFeed.sol";
import {SeriesId} from "../options/SeriesId.sol";
import {VaultNav} from "../vault/VaultNav.sol";

/// @title VaultLens
/// @notice Stateless. Each option is valued once; NAV comes from the same library as the vault's. It answers at the newest
///         price even past its heartbeat, so that a keeper sees how old the price is instead of a revert.
contract VaultLens is IVaultLens {
    using SeriesId for uint256;

    /// @inheritdoc IVaultLens
    function snapshot(address vault, address keeper) external view returns (Snapshot memory seen) {
        IClearinghouse house = IClearinghouse(IOptionVault(vault).clearinghouse());
        if (house.locked()) revert IClearinghouse.Locked();
        IOptionMarket market = IOptionMarket(IOptionVault(vault).optionMarket());

        seen.blockInfo =
            Block(block.number, block.timestamp, block.basefee, blockhash(block.number - 1), block.chainid);
        seen.price = _price(IPriceFeed(house.priceFeed()));
        seen.slices = _slices(market.volatilityFeed());
        seen.account = _account(house, vault, seen.price.price);
        _book(seen, market, vault);

        IHedgeMandate mandate = IHedgeMandate(IOptionVault(vault).mandate());
        if (address(mandate) != address(0)) {
            seen.limits = mandate.limits();
            seen.budgetLeft = mandate.budgetLeft(keeper);
        }
    }

    function _price(IPriceFeed feed) private view returns (Price memory price) {
        (price.price, price.updatedAt, price.roundId) = feed.peek();
        price.heartbeat = feed.heartbeat();
    }

    function _slices(IVolatilityFeed feed) private view returns (Slice[] memory slices) {
        uint64[] memory expiries = feed.expiries();
        slices = new Slice[](expiries.length);
        for (uint256 i; i < expiries.length; ++i) {
            uint64 expiry = expiries[i];
            IVolatilityFeed.Slice memory slice = feed.slice(expiry);
            slices[i] =
                Slice(expiry, slice.theta, slice.rhoPsi, slice.psi, slice.reportedAt, uint8(feed.state(expiry)));
        }
    }

    function _account(IClearinghouse house, address vault, uint256 price) private view returns (Account memory account) {
        account.cash = house.cash(vault);
        (account.equity, account.initialMargin, account.maintenanceMargin) = house.margin(vault, price);
        account.badDebt = house.badDebt();
    }

    /// @dev Options, venues, and from them NAV and net delta.
    function _book(Snapshot memory seen, IOptionMarket market, address vault) private view {
        uint256 price = seen.price.price;
        (IOptionMarket.Holding[] memory held, IOptionMarket.Greeks memory total, uint256 reserve) =
            market.book(vault, price);
        seen.holdings = new Holding[](held.length);
        for (uint256 i; i < held.length; ++i) {
            seen.holdings[i] = _holding(market, held[i]);
        }
        seen.vault.closingCost = reserve;
        seen.vault.netDelta = total.delta;
        seen.vault.netGamma = total.gamma;

        int256 value = seen.account.cash + total.value;
        uint256 gain;
        address[] memory venues = IOptionVault(vault).venues();
        seen.venues = new Venue[](venues.length);
        for (uint256 i; i < venues.length; ++i) {
            VaultNav.Hedge memory hedge = VaultNav.hedgeAt(IPerpMarket(venues[i]), vault, price);
            seen.venues[i] = _venue(IPerpMarket(venues[i]), vault, price, hedge);
            seen.vault.netDelta += hedge.size + hedge.pending;
            value += VaultNav.valueOf(hedge);
            reserve += hedge.exitCost;
            gain += hedge.exitGain;
        }

        VaultNav.Nav memory nav = VaultNav.around(value, reserve, gain);
        (seen.vault.navMid, seen.vault.navLow, seen.vault.navHigh) = (nav.mid, nav.low, nav.high);
        seen.vault.totalSupply = ERC4626(vault).totalSupply();
        seen.vault.sharePrice = VaultNav.sharePrice(nav.mid, IOptionVault(vault).supplyAt(nav.mid));
    }

    function _holding(IOptionMarket market, IOptionMarket.Holding memory held) private view returns (Holding memory) {
        uint64 expiry = held.seriesId.expiryOf();
        return Holding({
            seriesId: held.seriesId,
            expiry: expiry,
            strike: held.seriesId.strikeOf(),
            isCall: held.seriesId.isCallOf(),
            size: held.size,
            vol: held.vol,
            forward: held.forward,
            varianceTime: held.varianceTime,
            value: held.unit.value,
            delta: held.unit.delta,
            gamma: held.unit.gamma,
            vega: held.unit.vega,
            theta: held.unit.theta,
            settlementPrice: block.timestamp < expiry ? 0 : market.settlementPrice(expiry)
        });
    }

    function _venue(IPerpMarket venue, address vault, uint256 price, VaultNav.Hedge memory hedge)
        private
        view
        returns (Venue memory seen)
    {
        seen.venue = address(venue);
        seen.parameters = venue.parameters();
        seen.position = venue.position(vault);
        seen.pending = venue.order(vault);
        seen.skew = venue.skew();
        (seen.longOpenInterest, seen.shortOpenInterest) = venue.openInterest();
        (seen.fundingRatePerDay,) = venue.funding(price);
        (seen.unrealisedPnl, seen.accruedFunding) = (hedge.pnl, hedge.funding);
        seen.lastFillTime = venue.lastFillTime(vault);
        seen.settlementReward = venue.settlementReward(price);
    }
}

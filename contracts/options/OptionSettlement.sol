// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {IProduct} from "../interfaces/IClearinghouse.sol";
import {IInsuranceFund} from "../interfaces/IInsuranceFund.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {InsuranceDebt} from "./InsuranceDebt.sol";
import {OptionPricing} from "./OptionPricing.sol";
import {SeriesId} from "./SeriesId.sol";

/// @title From expiry to cash
/// @notice One price, one pot and one scale per expiry: first every short of the expiry pays in, then its longs are paid
///
///     claim * min(1, paid / owed)
///
///         whatever the series and whatever the order. A short is first set off against the account's own longs of the
///         expiry, at their full claim: who holds a spread does not default on one leg of it, and settling one leg takes
///         nothing from the margin of the rest. The market's own clearinghouse account holds only these pots.
abstract contract OptionSettlement is InsuranceDebt {
    using FixedPointMathLib for uint256;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    /// @dev What the settled shorts of an expiry owed, and what they and the insurance fund paid, wad.
    struct Pot {
        uint128 owed;
        uint128 paid;
    }

    /// @notice From then on an expiry may be fixed although the feed was silent before it.
    uint256 public constant SILENCE_DELAY = 1 days;

    mapping(uint64 expiry => uint256) public settlementPrice;
    mapping(uint64 expiry => Pot) public pot;
    /// @notice What the insurance fund has paid for an expiry, wad.
    mapping(uint64 expiry => uint256) public insured;

    /// @inheritdoc IOptionMarket
    function fix(uint64 expiry, uint80 startRound, uint80 endRound) external returns (uint256 price) {
        if (block.timestamp < expiry) revert NotExpired(expiry);
        if (settlementPrice[expiry] != 0) revert AlreadyFixed(expiry);
        (,,, uint256 updatedAt,) = priceFeed.getRoundData(endRound);
        if (updatedAt + priceFeed.heartbeat() < expiry && block.timestamp < expiry + SILENCE_DELAY) {
            revert PriceSilent(expiry, updatedAt);
        }
        price = priceFeed.twap(expiry - SETTLEMENT_WINDOW, expiry, startRound, endRound);
        settlementPrice[expiry] = price;
        emit ExpiryFixed(expiry, price);
    }

    /// @inheritdoc IOptionMarket
    function settle(address account, uint256 id) external locking returns (int256 amount) {
        uint64 expiry = id.expiryOf();
        if (settlementPrice[expiry] == 0) revert NotFixed(expiry);
        int256 size = positionOf[account][id];
        if (size == 0) revert NothingToSettle(account, id);
        _change(account, id, -size);
        amount = size < 0
            ? -_settleShort(account, expiry, size.abs().mulWadUp(_payoff(id))).toInt256()
            : _settleLong(account, expiry, uint256(size).mulWad(_payoff(id))).toInt256();
        emit SeriesSettled(account, id, size, amount);
    }

    /// @dev What the account's own longs of the expiry leave of its debt it pays as far as it has means; the insurance fund
    ///      adds what it may, which the account goes on owing it. Returns what was set off and what the account paid.
    function _settleShort(address account, uint64 expiry, uint256 owed) private returns (uint256) {
        uint256 netted = _net(account, expiry, owed);
        uint256 paid = (owed - netted).min(_means(account));
        uint256 missing = owed - netted - paid;
        uint256 added = missing == 0 ? 0 : _insure(expiry, missing);
        Pot storage pot_ = pot[expiry];
        pot_.owed = (pot_.owed + owed - netted).toUint128();
        pot_.paid = (pot_.paid + paid + added).toUint128();
        _owe(account, added);
        _move(account, address(this), paid, "option settlement");
        return paid + netted;
    }

    /// @dev What an account can pay: cash and what the products count, longs for nothing; where the margin model lends on
    ///      longs, also what that leaves of equity above maintenance.
    function _means(address account) private view returns (uint256) {
        (uint256 price,,) = priceFeed.peek();
        (int256 equity,, uint256 maintenance) = clearinghouse.margin(account, price);
        int256 means = clearinghouse.cash(account);
        IProduct[] memory products = clearinghouse.products();
        for (uint256 i; i < products.length; ++i) {
            (int256 value,,) = products[i].assess(account, price);
            means += value;
        }
        return _positive(means.max(equity - maintenance.toInt256()));
    }

    /// @dev Settles as much of the account's longs of the expiry as is needed against `missing`. Claim and debt of the same
    ///      amount never reach the pot, whose scale stays exact; no long of the expiry has been paid yet, because a short
    ///      was open until now.
    function _net(address account, uint64 expiry, uint256 missing) private returns (uint256 netted) {
        uint256[] memory ids = _ids(account);
        for (uint256 i; i < ids.length && netted < missing; ++i) {
            int256 size = positionOf[account][ids[i]];
            if (size <= 0 || ids[i].expiryOf() != expiry) continue;
            uint256 claim = uint256(size).mulWad(_payoff(ids[i]));
            if (claim == 0) continue;
            uint256 used = claim.min(missing - netted);
            int256 closed = uint256(size).fullMulDivUp(used, claim).toInt256();
            _change(account, ids[i], -closed);
            netted += used;
            emit SeriesSettled(account, ids[i], closed, used.toInt256());
        }
    }

    function _insure(uint64 expiry, uint256 deficit) private returns (uint256 added) {
        address fund = clearinghouse.insuranceFund();
        uint256 left = IInsuranceFund(fund).maxPerEvent().zeroFloorSub(insured[expiry]);
        added = deficit.min(_positive(clearinghouse.cash(fund))).min(left);
        insured[expiry] += added;
        _move(fund, address(this), added, "insurance");
    }

    /// @dev An account for which the insurance fund once paid first repays it.
    function _settleLong(address account, uint64 expiry, uint256 claim) private returns (uint256 paid) {
        uint256 shorts = openShorts[expiry];
        if (shorts != 0) revert ShortsOpen(expiry, shorts);
        paid = _scaled(expiry, claim);
        paid -= _repay(account, address(this), paid);
        _move(address(this), account, paid, "option settlement");
    }

    /// @dev A claim on a fixed expiry; in full as long as a short may still pay.
    function _scaled(uint64 expiry, uint256 claim) internal view returns (uint256) {
        Pot memory pot_ = pot[expiry];
        return openShorts[expiry] != 0 || pot_.paid >= pot_.owed ? claim : claim.fullMulDiv(pot_.paid, pot_.owed);
    }

    function _payoff(uint256 id) internal view returns (uint256) {
        return OptionPricing.intrinsic(settlementPrice[id.expiryOf()], id.strikeOf(), id.isCallOf());
    }
}

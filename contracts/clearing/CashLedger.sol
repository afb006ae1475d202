// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";

/// @title CashLedger
/// @notice Whose the clearinghouse's cash is, and the haircut index.
/// @dev Bad debt is the negative cash of the clearinghouse's own account, so the sum over all accounts still equals what
///      was deposited less what was withdrawn, and a deposit for the clearinghouse itself pays bad debt down.
///
///      A haircut touches no account: it lowers one index, and an account's cash is what was written, times the index of
///      now over the index of then, rounded down. What there is to take from is known without a list of accounts:
///
///      positive cash = deposited less withdrawn + what accounts owe - cash of those that no haircut reaches
///
///      What accounts owe is written only where cash is or becomes negative; the rest lies in slots that are written
///      anyway. Rounding leaves at most a wei an account and haircut in custody that is nobody's.
abstract contract CashLedger is IClearinghouse {
    using FixedPointMathLib for uint256;
    using SafeCastLib for int256;
    using SafeCastLib for uint256;

    /// @dev Cash as of a haircut index. `packed` is the cash in wad (low half, signed) and the index in ray (high half),
    ///      EXEMPT where no haircut reaches: both are always read and written together.
    struct Cash {
        uint256 packed;
    }

    /// @dev What nearly every transaction touches, in the slot of the lock.
    struct Books {
        uint8 lockedBy; // number of the module inside; 0 when the lock is open
        uint96 haircutIndex; // ray
        uint152 held; // deposited less withdrawn, wad; tokens sent here by other ways do not count
    }

    /// @dev Bad debt ever recorded, and what of it was taken by the index, wad.
    struct Totals {
        uint128 recorded;
        uint128 socialised;
    }

    /// @dev Least part of everybody's cash that one haircut leaves, wad, and least index that any leaves, ray: below it the
    ///      index would be too coarse.
    uint256 private constant LEAST_KEPT = 0.01e18;
    uint256 private constant LEAST_INDEX = 1e18;
    uint256 private constant EXEMPT = type(uint128).max;

    Books internal _books = Books(0, 1e27, 0);
    Totals internal _totals;
    mapping(address account => Cash) private _cash;
    uint256 private _owed; // negative cash of accounts that are not exempt, wad
    address[] private _exempt; // a few: the modules and the clearinghouse

    constructor() {
        _spare(address(this));
    }

    /// @inheritdoc IClearinghouse
    function cash(address account) public view returns (int256) {
        return _current(_cash[account].packed, _books.haircutIndex);
    }

    /// @inheritdoc IClearinghouse
    function recordedBadDebt() public view returns (uint256) {
        return _deficit(address(this));
    }

    /// @inheritdoc IClearinghouse
    function totalBadDebt() external view returns (uint256 recorded, uint256 socialised) {
        return (_totals.recorded, _totals.socialised);
    }

    /// @inheritdoc IClearinghouse
    function haircutIndex() external view returns (uint256) {
        return _books.haircutIndex;
    }

    /// @dev Cash that comes in or goes out with tokens; returns what the account has then.
    function _deposit(address account, int256 change) internal returns (int256 afterwards) {
        Books memory books = _books;
        _books.held = uint256(uint256(books.held).toInt256() + change).toUint152();
        return _add(account, change, books.haircutIndex);
    }

    function _transfer(address from, address to, uint256 amount) internal {
        int256 signed = amount.toInt256();
        uint256 index = _books.haircutIndex;
        _add(from, -signed, index);
        _add(to, signed, index);
    }

    /// @dev Lowers the index so that bad debt falls by `taken`, at most `amount`. The index is rounded down: accounts give a
    ///      little more than the debt falls by, never less.
    function _haircut(uint256 amount) internal returns (uint256 taken) {
        uint256 present = _positiveCash();
        uint256 index = _books.haircutIndex;
        uint256 kept = present.mulWadUp(LEAST_KEPT).max(present.mulDivUp(LEAST_INDEX, index));
        taken = amount.min(recordedBadDebt()).min(present - kept);
        if (taken == 0) return 0;
        index = index.mulDiv(present - taken, present);
        _books.haircutIndex = index.toUint96();
        _totals.socialised += taken.toUint128();
        _add(address(this), taken.toInt256(), index);
    }

    /// @dev From now on no haircut reaches this account.
    function _spare(address account) internal {
        _exempt.push(account);
        _cash[account].packed = _pack(cash(account), EXEMPT);
    }

    function _deficit(address account) internal view returns (uint256) {
        return _negative(cash(account));
    }

    /// @dev max(0, -x).
    function _negative(int256 x) internal pure returns (uint256) {
        return x < 0 ? uint256(-x) : 0;
    }

    /// @dev Brings an account up to date with `index`, the haircut index, and changes its cash; returns what it has then.
    function _add(address account, int256 change, uint256 index) private returns (int256 afterwards) {
        Cash storage slot = _cash[account];
        uint256 stored = slot.packed;
        int256 before = _current(stored, index);
        afterwards = before + change;
        if (stored >> 128 == EXEMPT) index = EXEMPT;
        else if (before < 0 || afterwards < 0) _owed = _owed + _negative(afterwards) - _negative(before);
        slot.packed = _pack(afterwards, index);
    }

    /// @dev Of all accounts that a haircut reaches; too high by what rounding has left behind.
    function _positiveCash() private view returns (uint256) {
        int256 others;
        for (uint256 i = 0; i < _exempt.length; ++i) others += cash(_exempt[i]);
        return uint256((uint256(_books.held) + _owed).toInt256() - others);
    }

    /// @dev Cash at haircut index `index`, rounded down; what is negative is owed in full.
    function _current(uint256 stored, uint256 index) private pure returns (int256 amount) {
        amount = int128(uint128(stored));
        uint256 indexAt = stored >> 128;
        if (indexAt == index || indexAt == EXEMPT || amount <= 0) return amount;
        return int256(uint256(amount) * index / indexAt);
    }

    function _pack(int256 amount, uint256 indexAt) private pure returns (uint256) {
        return uint256(uint128(amount.toInt128())) | indexAt << 128;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {BlackScholes} from "../math/BlackScholes.sol";
import {IClearinghouse, IProduct} from "../interfaces/IClearinghouse.sol";
import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";
import {SeriesId} from "./SeriesId.sol";
import {SettlementAverage} from "./SettlementAverage.sol";

/// @title Who holds what
/// @notice Series and positions of the option market. Every change moves a position from one account to another, so each
///         series sums to zero over all accounts.
abstract contract OptionBook is IOptionMarket, AccessControl {
    using EnumerableSet for EnumerableSet.UintSet;
    using FixedPointMathLib for int256;
    using SafeCastLib for uint256;
    using SeriesId for uint256;

    bytes32 public constant LISTER = keccak256("LISTER");
    uint256 public constant MAX_SERIES = 64;
    uint256 public constant SETTLEMENT_WINDOW = SettlementAverage.WINDOW;
    /// @dev A series is listed only where its strike is at most this factor away from the index.
    uint256 public constant MAX_STRIKE_RATIO = 5;

    IClearinghouse public immutable clearinghouse;
    IPriceFeed public immutable priceFeed;

    mapping(uint256 seriesId => bool) public isListed;
    /// @notice Units short in all series of an expiry, wad; as many are long until settlement begins.
    mapping(uint64 expiry => uint256) public openShorts;
    mapping(address account => mapping(uint256 seriesId => int256)) public positionOf;
    mapping(address account => EnumerableSet.UintSet) private _seriesOf;

    constructor(IClearinghouse clearinghouse_, address admin) {
        clearinghouse = clearinghouse_;
        priceFeed = IPriceFeed(clearinghouse_.priceFeed());
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    modifier locking() {
        clearinghouse.lock();
        _;
        clearinghouse.unlock();
    }

    /// @inheritdoc IOptionMarket
    /// @dev An expiry closer than the settlement window might have no price at the window's start, and never be fixed.
    function list(uint64 expiry, uint256 strike, bool isCall) external onlyRole(LISTER) returns (uint256 id) {
        (uint256 price,,) = priceFeed.peek();
        if (
            expiry < block.timestamp + SETTLEMENT_WINDOW || expiry > block.timestamp + BlackScholes.MAX_TIME || strike == 0
                || strike > price * MAX_STRIKE_RATIO || price > strike * MAX_STRIKE_RATIO
        ) revert BadSeries(expiry, strike);
        id = SeriesId.pack(expiry, strike, isCall);
        if (isListed[id]) return id;
        isListed[id] = true;
        emit SeriesListed(id, expiry, strike, isCall);
    }

    /// @inheritdoc IOptionMarket
    function takeOver(address from, address to, uint256 fraction) external {
        if (!clearinghouse.isEngine(msg.sender)) revert NotEngine(msg.sender);
        if (fraction > 1e18) revert BadFraction(fraction);
        uint256[] memory ids = _ids(from);
        for (uint256 i; i < ids.length; ++i) {
            int256 size = positionOf[from][ids[i]].sMulWad(fraction.toInt256());
            _change(from, ids[i], -size);
            _change(to, ids[i], size);
        }
        emit TakenOver(from, to, fraction);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IProduct
    function isFlat(address account) external view returns (bool) {
        return _seriesOf[account].length() == 0;
    }

    /// @inheritdoc IProduct
    function isAuctioned() external pure returns (bool) {
        return true;
    }

    /// @inheritdoc IProduct
    function isDecided(address) external pure returns (bool) {
        return false;
    }

    /// @inheritdoc IOptionMarket
    function series(uint256 id) external view returns (Series memory) {
        if (!isListed[id]) revert UnknownSeries(id);
        return Series(id.expiryOf(), id.strikeOf(), id.isCallOf());
    }

    /// @inheritdoc IOptionMarket
    function seriesId(uint64 expiry, uint256 strike, bool isCall) external pure returns (uint256) {
        return SeriesId.pack(expiry, strike, isCall);
    }

    /// @inheritdoc IOptionMarket
    function seriesOf(address account) external view returns (uint256[] memory) {
        return _ids(account);
    }

    function _ids(address account) internal view returns (uint256[] memory) {
        return _seriesOf[account].values();
    }

    // ---------------------------------------------------------------- internals

    /// @dev Changes a position and with it how many units are short.
    function _change(address account, uint256 id, int256 delta) internal {
        int256 before = positionOf[account][id];
        int256 afterwards = before + delta;
        positionOf[account][id] = afterwards;
        if (before < 0 || afterwards < 0) {
            uint64 expiry = id.expiryOf();
            openShorts[expiry] = openShorts[expiry] + _positive(-afterwards) - _positive(-before);
        }
        if (afterwards == 0) _seriesOf[account].remove(id);
        else if (_seriesOf[account].add(id) && _seriesOf[account].length() > MAX_SERIES) {
            revert TooManySeries(_seriesOf[account].length(), MAX_SERIES);
        }
    }

    function _move(address from, address to, uint256 amount, bytes32 reason) internal {
        if (amount != 0) clearinghouse.move(from, to, amount, reason);
    }

    function _positive(int256 x) internal pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}

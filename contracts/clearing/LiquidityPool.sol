// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC4626} from "solady/tokens/ERC4626.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IBackstop} from "../interfaces/IBackstop.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IPerpMarket} from "../interfaces/IPerpMarket.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title LiquidityPool
/// @notice The counterparty of every perpetual trade. Its shares (ERC-4626) are worth its cash less what its markets owe
///         their traders. A share of the open interest's value is its reserve: without it no market opens more, and
///         providers leave only with what lies above it, after a cooldown.
/// @dev The cooldown is the holder's: shares that are cooling do not move, and nobody deposits for another, so nobody can
///      prolong another's. Prices shares at the feed's price and so reverts while that is too old or while the
///      clearinghouse is locked.
contract LiquidityPool is ERC4626, IBackstop, ILiquidityPool {
    using FixedPointMathLib for uint256;
    using SafeTransferLib for address;

    uint256 private constant TOKEN_UNIT = 1e12;

    /// @notice Seconds from a holder's latest deposit in which its shares do not move. Longer than any order can wait for
    ///         its price, so nobody comes for a price that is known already.
    uint256 public constant COOLDOWN = 3 hours;

    error CoolingDown(address holder, uint256 unlockAt);
    error DepositForAnother(address payer, address receiver);

    IClearinghouse public immutable clearinghouse;

    /// @notice Fraction of the open interest's value that must stay in the pool, wad.
    uint256 public immutable lockedRatio;

    /// @notice When a holder's shares may move again, unix seconds.
    mapping(address holder => uint256) public unlockAt;

    address private immutable _token;
    IPerpMarket[] private _markets;

    constructor(address clearinghouse_, address[] memory markets_, uint256 lockedRatio_) {
        clearinghouse = IClearinghouse(clearinghouse_);
        lockedRatio = lockedRatio_;
        _token = IClearinghouse(clearinghouse_).token();
        for (uint256 i = 0; i < markets_.length; ++i) _markets.push(IPerpMarket(markets_[i]));
        _token.safeApprove(clearinghouse_, type(uint256).max);
    }

    /// @inheritdoc IBackstop
    /// @dev Pays from equity only: cash that backs traders' open profits is not the pool's to give.
    function cover(uint256 amount, uint256 price) external returns (uint256 covered) {
        if (msg.sender != clearinghouse.liquidationEngine()) revert NotEngine(msg.sender);
        int256 own = equity(price);
        if (own <= 0) return 0;
        return clearinghouse.coverBadDebt(address(this), amount.min(uint256(own)));
    }

    /// @inheritdoc ILiquidityPool
    function equity(uint256 price) public view returns (int256 own) {
        own = clearinghouse.cash(address(this));
        for (uint256 i = 0; i < _markets.length; ++i) own -= _markets[i].marketDebt(price);
    }

    /// @inheritdoc ILiquidityPool
    function backs(uint256 added, uint256 price) external view returns (bool) {
        return equity(price) >= int256(reserve(price) + added.mulWadUp(price).mulWadUp(lockedRatio));
    }

    /// @notice What must stay in the pool at index `price`: lockedRatio of the open interest's value, wad, rounded up.
    function reserve(uint256 price) public view returns (uint256 locked) {
        for (uint256 i = 0; i < _markets.length; ++i) {
            (uint256 long, uint256 short) = _markets[i].openInterest();
            locked += (long + short).mulWadUp(price).mulWadUp(lockedRatio);
        }
    }

    function markets() external view returns (IPerpMarket[] memory) {
        return _markets;
    }

    function name() public pure override returns (string memory) {
        return "Liquidity Pool";
    }

    function symbol() public pure override returns (string memory) {
        return "LP";
    }

    function asset() public view override returns (address) {
        return _token;
    }

    /// @notice Equity at the feed's price in USDC, rounded down; zero when negative.
    function totalAssets() public view override returns (uint256) {
        return _floorToToken(equity(_price()));
    }

    /// @notice What `owner` can take out now: its shares' worth, less what the reserve holds back; none while cooling.
    function maxWithdraw(address owner) public view override returns (uint256) {
        if (block.timestamp < unlockAt[owner]) return 0;
        return super.maxWithdraw(owner).min(_free());
    }

    /// @notice The same in shares.
    function maxRedeem(address owner) public view override returns (uint256 shares) {
        if (block.timestamp < unlockAt[owner]) return 0;
        shares = super.maxRedeem(owner);
        uint256 free = _free();
        if (convertToAssets(shares) > free) shares = convertToShares(free);
    }

    /// @dev Shares have 18 decimals, which with virtual shares makes inflating them a loss for whoever tries.
    function _decimalsOffset() internal pure override returns (uint8) {
        return 12;
    }

    function _underlyingDecimals() internal pure override returns (uint8) {
        return 6;
    }

    function _deposit(address by, address to, uint256 assets, uint256 shares) internal override {
        if (by != to) revert DepositForAnother(by, to);
        unlockAt[to] = block.timestamp + COOLDOWN;
        _token.safeTransferFrom(by, address(this), assets);
        _mint(to, shares);
        emit Deposit(by, to, assets, shares);
        clearinghouse.deposit(address(this), assets);
    }

    function _withdraw(address by, address to, address owner, uint256 assets, uint256 shares) internal override {
        if (by != owner) _spendAllowance(owner, by, shares);
        _burn(owner, shares);
        emit Withdraw(by, to, owner, assets, shares);
        clearinghouse.withdraw(assets, to);
    }

    /// @dev Every way out of an account, transfer and redemption, passes here.
    function _beforeTokenTransfer(address from, address, uint256) internal view override {
        if (block.timestamp < unlockAt[from]) revert CoolingDown(from, unlockAt[from]);
    }

    function _free() private view returns (uint256) {
        uint256 price = _price();
        return _floorToToken(equity(price) - int256(reserve(price)));
    }

    function _floorToToken(int256 amount) private pure returns (uint256) {
        return amount <= 0 ? 0 : uint256(amount) / TOKEN_UNIT;
    }

    function _price() private view returns (uint256 price) {
        if (clearinghouse.locked()) revert IClearinghouse.Locked();
        (price,) = IPriceFeed(clearinghouse.priceFeed()).price();
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {SafeCastLib} from "solady/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";

import {IClearinghouse, IMarginModel, IProduct} from "../interfaces/IClearinghouse.sol";
import {ILiquidityPool} from "../interfaces/ILiquidityPool.sol";
import {IPriceFeed} from "../interfaces/IPriceFeed.sol";

/// @title Clearinghouse
/// @notice Accounts, cash, margin checks and the one lock. Knows nothing of any product's formulas.
/// @dev Bad debt is the negative cash of the clearinghouse's own account, so the sum over all accounts still equals the
///      tokens held, and a deposit for the clearinghouse itself pays bad debt down.
contract Clearinghouse is IClearinghouse, Ownable {
    using SafeCastLib for uint256;
    using SafeTransferLib for address;

    /// @notice Products are asked one by one in every margin check, so their number is bounded.
    uint256 public constant MAX_PRODUCTS = 8;

    /// @dev USDC has 6 decimals, cash has 18.
    uint256 private constant TOKEN_UNIT = 1e12;

    /// @dev Owner of the open lock; not zero, because writing to a zero slot costs four times as much.
    address private constant NOBODY = address(1);

    error AlreadySetUp();

    address public immutable token;
    address public immutable priceFeed;

    IMarginModel public marginModel;
    address public liquidationEngine;
    address public liquidityPool;
    address public insuranceFund;

    mapping(address account => int256) public cash;
    mapping(address module => bool) public isModule;

    IProduct[] private _products;
    address private _lockOwner = NOBODY;

    modifier onlyModule() {
        if (!isModule[msg.sender]) revert NotModule(msg.sender);
        _;
    }

    modifier nonReentrant() {
        _lock(msg.sender);
        _;
        _lockOwner = NOBODY;
    }

    constructor(address token_, address priceFeed_, address admin) Ownable(admin) {
        token = token_;
        priceFeed = priceFeed_;
    }

    /// @notice Wires the clearinghouse to its parts. Once, by the owner; final, so that no module can be slipped in
    ///         later. The products, the engine, the pool and the fund become modules.
    function setUp(
        address marginModel_,
        address liquidationEngine_,
        address liquidityPool_,
        address insuranceFund_,
        address[] calldata products_
    ) external onlyOwner {
        if (address(marginModel) != address(0)) revert AlreadySetUp();
        if (products_.length > MAX_PRODUCTS) revert TooManyProducts(products_.length);
        marginModel = IMarginModel(marginModel_);
        liquidationEngine = liquidationEngine_;
        liquidityPool = liquidityPool_;
        insuranceFund = insuranceFund_;
        isModule[liquidationEngine_] = true;
        isModule[liquidityPool_] = true;
        isModule[insuranceFund_] = true;
        for (uint256 i = 0; i < products_.length; ++i) {
            _products.push(IProduct(products_[i]));
            isModule[products_[i]] = true;
        }
    }

    /// @inheritdoc IClearinghouse
    function deposit(address account, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        cash[account] += (amount * TOKEN_UNIT).toInt256();
        emit Deposited(account, msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IClearinghouse
    /// @dev An account without positions may leave at any time; one with positions needs a price that is not too old.
    function withdraw(uint256 amount, address to) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        if (badDebt() > 0) revert WithdrawalsBlocked(badDebt());
        int256 debit = (amount * TOKEN_UNIT).toInt256();
        if (cash[msg.sender] < debit) revert InsufficientCash(msg.sender, cash[msg.sender], uint256(debit));
        cash[msg.sender] -= debit;

        (uint256 price,,) = IPriceFeed(priceFeed).peek();
        (int256 equity, uint256 initial,) = marginModel.margin(msg.sender, price);
        if (initial > 0 || equity != cash[msg.sender]) IPriceFeed(priceFeed).price(); // reverts when too old
        if (equity < initial.toInt256()) revert InsufficientMargin(msg.sender, equity, initial);

        emit Withdrawn(msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IClearinghouse
    function move(address from, address to, uint256 amount, bytes32 reason) external onlyModule {
        if (amount == 0) return;
        _transfer(from, to, amount);
        emit CashMoved(from, to, amount, reason);
    }

    /// @inheritdoc IClearinghouse
    function lock() external onlyModule {
        _lock(msg.sender);
    }

    /// @inheritdoc IClearinghouse
    function unlock() external {
        if (_lockOwner != msg.sender) revert NotLockOwner(msg.sender);
        _lockOwner = NOBODY;
    }

    /// @inheritdoc IClearinghouse
    function recordBadDebt(address account) external returns (uint256 amount) {
        if (msg.sender != liquidationEngine) revert NotModule(msg.sender);
        if (cash[account] >= 0) return 0;
        amount = uint256(-cash[account]);
        _transfer(address(this), account, amount);
        emit BadDebtRecorded(account, amount, badDebt());
    }

    /// @inheritdoc IClearinghouse
    function coverBadDebt(address payer, uint256 amount) external onlyModule returns (uint256 covered) {
        int256 available = cash[payer];
        if (available <= 0) return 0;
        covered = _min(amount, _min(_deficit(address(this)), uint256(available)));
        if (covered == 0) return 0;
        _transfer(payer, address(this), covered);
        emit BadDebtCovered(payer, covered, badDebt());
    }

    /// @inheritdoc IClearinghouse
    function requireInitialMargin(address account, uint256 price) external view {
        (int256 equity, uint256 initial,) = marginModel.margin(account, price);
        if (equity < initial.toInt256()) revert InsufficientMargin(account, equity, initial);
    }

    /// @inheritdoc IClearinghouse
    function margin(address account, uint256 price)
        external
        view
        returns (int256 equity, uint256 initial, uint256 maintenance)
    {
        return marginModel.margin(account, price);
    }

    /// @inheritdoc IClearinghouse
    function isLiquidatable(address account, uint256 price) external view returns (bool) {
        (int256 equity,, uint256 maintenance) = marginModel.margin(account, price);
        return equity < maintenance.toInt256();
    }

    /// @inheritdoc IClearinghouse
    function products() external view returns (IProduct[] memory) {
        return _products;
    }

    /// @inheritdoc IClearinghouse
    function locked() external view returns (bool) {
        return _lockOwner != NOBODY;
    }

    /// @inheritdoc IClearinghouse
    function badDebt() public view returns (uint256) {
        return _deficit(address(this)) + _poolDeficit();
    }

    /// @dev Negative cash of a pool that owns more than it owes is lent to traders whose losses it has yet to collect.
    function _poolDeficit() private view returns (uint256) {
        uint256 short = _deficit(liquidityPool);
        if (short == 0) return 0;
        (uint256 price,,) = IPriceFeed(priceFeed).peek();
        int256 equity = ILiquidityPool(liquidityPool).equity(price);
        return equity < 0 ? _min(short, uint256(-equity)) : 0;
    }

    function _deficit(address account) private view returns (uint256) {
        return cash[account] < 0 ? uint256(-cash[account]) : 0;
    }

    function _lock(address owner_) private {
        if (_lockOwner != NOBODY) revert Locked();
        _lockOwner = owner_;
    }

    function _transfer(address from, address to, uint256 amount) private {
        int256 signed = amount.toInt256();
        cash[from] -= signed;
        cash[to] += signed;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}

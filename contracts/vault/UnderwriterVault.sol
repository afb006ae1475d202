// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IOptionMarket} from "../interfaces/IOptionMarket.sol";
import {OptionVault} from "./OptionVault.sol";

/// @title UnderwriterVault
/// @notice A vault that quotes: it earns the spread and the premium of what it sells, is short gamma, and hedges.
contract UnderwriterVault is OptionVault {
    constructor(
        address clearinghouse_,
        address optionMarket_,
        address[] memory venues_,
        string memory name_,
        string memory symbol_,
        address admin
    ) OptionVault(clearinghouse_, optionMarket_, venues_, name_, symbol_, admin) {}

    /// @notice How the vault quotes as a maker; `active` false stops it. Admin only.
    function setQuoting(IOptionMarket.Quoting calldata quoting) external onlyRole(DEFAULT_ADMIN_ROLE) {
        IOptionMarket(optionMarket).setQuoting(quoting);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title IInsuranceFund
/// @notice The fund's own limit, for modules that draw on its account.
interface IInsuranceFund {
    /// @notice Most that one event may take, wad USD.
    function maxPerEvent() external view returns (uint256);
}

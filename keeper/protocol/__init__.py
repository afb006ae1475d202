"""Pure numbers: the contracts' formulas in floats, one file per contract, with the names of the Solidity."""

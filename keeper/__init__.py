"""gamma-keeper: a laboratory and a working keeper for on-chain, delta-hedged options vaults."""

__version__ = "0.1.0"

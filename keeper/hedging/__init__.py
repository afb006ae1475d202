"""Whether to hedge, how much and where: a pure function of a snapshot, an exposure and a configuration."""

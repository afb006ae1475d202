"""Scenarios, their scripts, the conductor's clock, and the engines that play them."""

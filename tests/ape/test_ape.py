"""ape's own way through the repository: compile, deploy on its Foundry provider, transact, read."""

from __future__ import annotations

import pytest
from ape import reverts

from keeper.chain.deploy_config import price_limits, price_sources

HEARTBEAT = 3_600
PRICE = 2_345 * 10**18


@pytest.fixture
def admin(accounts):
    return accounts[0]


@pytest.fixture
def feed(project, admin):
    feed = admin.deploy(project.PriceFeed, admin, price_sources(), price_limits(HEARTBEAT))
    feed.grantRole(feed.REPORTER(), admin, sender=admin)
    return feed


def test_price_feed_published_price_is_read_back(feed, admin, chain):
    feed.publish(PRICE, sender=admin)
    price, updated_at = feed.price()
    assert price == PRICE
    assert updated_at == chain.blocks.head.timestamp
    assert feed.latestRoundData()[1] * 10 ** (18 - feed.decimals()) == PRICE


def test_price_feed_publish_by_a_stranger_reverts(feed, accounts):
    with reverts(feed.AccessControlUnauthorizedAccount):
        feed.publish(PRICE, sender=accounts[1])

#include <gtest/gtest.h>

#include "tests/proxy/peer_exchanges.h"

namespace iron::proxy::test {
namespace {

const std::vector<Way> kWays = {Way::plain, Way::tunnel};

TEST(SessionPeers, WhatIsSentArrives) { expect_exchanges(kWays); }

TEST(SessionPeers, OneConnectionServesOneRequestAfterTheOther) { expect_keep_alive(kWays); }

TEST(SessionPeers, ABodyThatWaitsForItsContinue) { expect_continue(kWays); }

}  // namespace
}  // namespace iron::proxy::test

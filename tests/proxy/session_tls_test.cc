#include <gtest/gtest.h>

#include "tests/proxy/peer_exchanges.h"

namespace iron::proxy::test {
namespace {

const std::vector<Way> kWays = {Way::tunnel_tls, Way::tls};

TEST(SessionTls, WhatIsSentArrives) { expect_exchanges(kWays); }

TEST(SessionTls, OneConnectionServesOneRequestAfterTheOther) { expect_keep_alive(kWays); }

TEST(SessionTls, ABodyThatWaitsForItsContinue) { expect_continue(kWays); }

}  // namespace
}  // namespace iron::proxy::test

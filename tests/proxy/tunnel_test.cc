#include "proxy/client/tunnel.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::proxy {
namespace {

using std::string_literals::operator""s;

TEST(TunnelProtocol, OfTheFirstBytes) {
  const struct {
    std::string bytes;
    TunnelProtocol protocol;
  } rows[] = {
      {"", TunnelProtocol::undecided},   {"S", TunnelProtocol::undecided},
      {"SS", TunnelProtocol::undecided}, {"SSH", TunnelProtocol::undecided},
      {"SSH-", TunnelProtocol::unknown}, {"SSH-2.0-x\r\n", TunnelProtocol::unknown},
      {"SSH /", TunnelProtocol::http},   {"SSHX", TunnelProtocol::http},
      {"SEARCH", TunnelProtocol::http},  {"S3", TunnelProtocol::http},
      {"A", TunnelProtocol::http},       {"Z", TunnelProtocol::http},
      {"@", TunnelProtocol::unknown},    {"[", TunnelProtocol::unknown},
      {"a", TunnelProtocol::unknown},    {"\r\n", TunnelProtocol::unknown},
      {"\0"s, TunnelProtocol::unknown},  {"\xff", TunnelProtocol::unknown},
      {"\x15", TunnelProtocol::unknown}, {"\x16", TunnelProtocol::tls},
      {"\x16SSH-", TunnelProtocol::tls},
  };
  for (const auto& row : rows) EXPECT_EQ(tunnel_protocol(row.bytes), row.protocol) << row.bytes;
}

}  // namespace
}  // namespace iron::proxy

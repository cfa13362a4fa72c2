#include "proxy/net/hello_gate.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/proxy/client_hello.h"

namespace iron::proxy {
namespace {

using Verdict = FirstBytes::Verdict;

policy::Authority target(const char* text) { return *policy::Authority::parse(text); }

TEST(HelloGate, JudgesTheFirstBytes) {
  const struct {
    const char* target;
    std::string bytes;
    bool ended;
    Verdict verdict;
    const char* refusal;
  } rows[] = {
      {"a.test", "", false, Verdict::wait, ""},
      {"a.test", "", true, Verdict::pass, ""},
      {"a.test", "SSH-2.0-x\r\n", false, Verdict::pass, ""},
      {"a.test", std::string("\0\0\0\x08", 4), false, Verdict::pass, ""},
      {"a.test", "\x15", false, Verdict::wait, ""},
      {"a.test", "\x15\x03", true, Verdict::pass, ""},
      {"a.test", std::string("\x15\x03\x01\0\x02", 5), false, Verdict::refuse,
       "malformed client hello"},
      {"a.test", std::string("\x15\x01\x7f\0\x02\x01\x5a", 7), true, Verdict::refuse,
       "malformed client hello"},
      {"a.test", std::string("\x14\x03\x03\0\x01\x01", 6) + client_hello("b.test"), false,
       Verdict::refuse, "malformed client hello"},
      {"a.test", "\x15\x10", false, Verdict::pass, ""},
      {"a.test", "\x15\xff", false, Verdict::pass, ""},
      {"a.test", std::string("\x15\x03\0\x01", 4), false, Verdict::pass, ""},  // MySQL's client
      {"a.test", std::string("\x15\x03\x01\0\x03", 5), false, Verdict::pass, ""},
      {"a.test", std::string("\x14\x03\x01\0\x02", 5), false, Verdict::pass, ""},
      {"a.test", "\x16", false, Verdict::wait, ""},
      {"a.test", "\x16", true, Verdict::refuse, "malformed client hello"},
      {"a.test", "\x16 no TLS at all", false, Verdict::refuse, "malformed client hello"},
      {"a.test", client_hello("a.test"), false, Verdict::pass, ""},
      {"a.test", client_hello("A.Test."), false, Verdict::pass, ""},
      {"a.test", client_hello("b.test"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"a.test", client_hello("x.a.test"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"a.test", client_hello("a.test:443"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"a.test", client_hello(nullptr), false, Verdict::refuse, "client hello missing sni"},
      {"10.0.0.1", client_hello(nullptr), false, Verdict::pass, ""},
      {"[::1]", client_hello(nullptr), false, Verdict::pass, ""},
      {"10.0.0.1", client_hello("b.test"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"10.0.0.1", client_hello("10.0.0.1"), false, Verdict::pass, ""},
      {"10.0.0.1", client_hello("10.0.0.2"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"10.0.0.1", client_hello("::1"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
      {"[::1]", client_hello("0:0::1"), false, Verdict::pass, ""},
      {"a.test", client_hello("10.0.0.1"), false, Verdict::refuse,
       "SNI is not the host of the tunnel"},
  };
  for (const auto& row : rows) {
    const policy::Authority authority = target(row.target);
    HelloGate gate(authority);
    EXPECT_EQ(gate.judge(row.bytes, row.ended, SteadyTime()), row.verdict)
        << row.target << row.bytes.size();
    EXPECT_EQ(gate.refusal(), row.refusal);
  }
}

TEST(HelloGate, WaitsForTheWholeHelloUpToItsDeadline) {
  const policy::Authority authority = target("a.test");
  const std::string hello = client_hello("a.test");
  HelloGate gate(authority);
  const SteadyTime came(std::chrono::hours(1000));
  EXPECT_EQ(gate.judge("", false, came - std::chrono::hours(1)), Verdict::wait);
  EXPECT_EQ(gate.deadline(), SteadyTime::max());
  for (std::size_t size = 1; size < hello.size(); ++size) {
    ASSERT_EQ(gate.judge(std::string_view(hello).substr(0, size), false,
                         came + std::chrono::seconds(size - 1)),
              Verdict::wait)
        << size;
  }
  EXPECT_EQ(gate.deadline(), came + std::chrono::seconds(5)) << "from the first byte on";
  EXPECT_EQ(gate.judge(hello, false, came), Verdict::pass);
  EXPECT_EQ(gate.server_name(), "a.test");
}

TEST(HelloGate, RefusesAHelloAboveItsLimit) {
  const policy::Authority authority = target("a.test");
  HelloGate gate(authority);
  const std::string endless = std::string("\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9);
  EXPECT_EQ(gate.judge(endless + std::string(17000, '\0'), false, SteadyTime()), Verdict::refuse);
}

TEST(HelloGate, SaysThatItsTimeIsOver) {
  const policy::Authority authority = target("a.test");
  HelloGate gate(authority);
  gate.expire();
  EXPECT_EQ(gate.refusal(), "client hello is not complete after 5s");
}

}  // namespace
}  // namespace iron::proxy

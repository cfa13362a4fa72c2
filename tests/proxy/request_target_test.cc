#include "proxy/exchange/request_target.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace iron::proxy {
namespace {

TEST(RequestTarget, IsTakenApart) {
  constexpr HeadFault kNone = HeadFault::none;
  struct Case {
    const char *method, *target;
    bool tls;
    HeadFault fault;
    const char *host, *path, *query;  ///< `query`: null: no `?`
  };
  const Case cases[] = {
      {"GET", "/", false, kNone, "field.test", "/", nullptr},
      {"GET", "/a/b?c=d?e", true, kNone, "field.test", "/a/b", "c=d?e"},
      {"GET", "/?", false, kNone, "field.test", "/", ""},
      {"GET", "//other.test/", false, kNone, "field.test", "//other.test/", nullptr},
      {"GET", "http://other.test/a?b", false, kNone, "other.test", "/a", "b"},
      {"GET", "HTTP://other.test", false, kNone, "other.test", "", nullptr},
      {"GET", "http://other.test?b/c", false, kNone, "other.test", "", "b/c"},
      {"GET", "http://other.test:81/", false, kNone, "other.test:81", "/", nullptr},
      {"GET", "https://other.test/", true, kNone, "other.test", "/", nullptr},
      {"GET", "https://other.test/", false, HeadFault::malformed, "field.test", "", nullptr},
      {"GET", "ftp://other.test/", true, HeadFault::malformed, "field.test", "", nullptr},
      {"GET", "other.test:80", false, HeadFault::malformed, "field.test", "", nullptr},
      {"GET", "http:///a", false, HeadFault::malformed_host, "", "", nullptr},
      {"GET", "http://user@other.test/", false, HeadFault::malformed_host, "user@other.test", "/",
       nullptr},
      {"OPTIONS", "*", false, kNone, "field.test", "*", nullptr},
      {"OPTIONS", "http://other.test", false, kNone, "other.test", "*", nullptr},
      {"OPTIONS", "http://other.test/", false, kNone, "other.test", "/", nullptr},
      {"GET", "*", false, HeadFault::malformed, "field.test", "", nullptr},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.target);
    transforms::Exchange exchange;
    exchange.request.method = row.method;
    exchange.request.target = row.target;
    exchange.client_tls = row.tls;
    std::string_view host = "field.test";
    EXPECT_EQ(read_target(exchange, host), row.fault);
    EXPECT_EQ(host, row.host);
    EXPECT_EQ(exchange.raw_path, row.path);
    EXPECT_EQ(exchange.has_query, row.query != nullptr);
    EXPECT_EQ(exchange.raw_query, row.query != nullptr ? row.query : "");
  }
}

TEST(RequestTarget, GoesWhereTheAuthoritySays) {
  struct Case {
    const char* authority;
    bool tls;
    const char* tunnel;  ///< null: none
    const char* host;
    std::uint16_t port;
    bool literal;
  };
  const Case cases[] = {
      {"a.test", false, nullptr, "a.test", 80, false},
      {"a.test", true, nullptr, "a.test", 443, false},
      {"A.TEST.:8080", false, nullptr, "a.test", 8080, false},
      {"192.0.2.1", false, nullptr, "192.0.2.1", 80, true},
      {"a.test", true, "a.test:8443", "a.test", 8443, false},
      {"a.test:443", true, "a.test:8443", "a.test", 443, false},
      {"b.test", true, "a.test:8443", "b.test", 443, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.authority << " in " << (row.tunnel ? row.tunnel : "-"));
    const auto authority = policy::Authority::parse(row.authority);
    ASSERT_TRUE(authority);
    std::optional<policy::Authority> tunnel;
    if (row.tunnel != nullptr) tunnel = policy::Authority::parse(row.tunnel);
    ClientFacts client;
    client.over_tls = row.tls;
    client.tunnel = tunnel ? &*tunnel : nullptr;
    UpstreamTarget target;
    fill_target(target, *authority, client);
    EXPECT_EQ(target.host, row.host);
    EXPECT_EQ(target.port, row.port);
    EXPECT_EQ(target.tls, row.tls);
    EXPECT_EQ(target.literal.has_value(), row.literal);
  }
}

}  // namespace
}  // namespace iron::proxy

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "policy/yaml/yaml_reader.h"
#include "tests/proxy/counted_allocations.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {
namespace {

constexpr std::string_view kGet =
    "GET /v1/models?limit=20 HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: a-client/1.0\r\n"
    "Authorization: Bearer rig-token-0123456789\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n";
constexpr std::string_view kPost =
    "POST /v1/messages HTTP/1.1\r\nHost: 10.0.0.1\r\nAuthorization: Bearer "
    "rig-token-0123456789\r\nContent-Length: 11\r\n\r\nhello world";
constexpr std::string_view kOk =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
constexpr std::string_view kInChunks =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    "2\r\n{}\r\n0\r\n\r\n";

/// Keys go to the origin in Authorization.
policy::Config swapping() {
  policy::Config config = SessionRig::usual_config();
  config.transforms.push_back(
      {"secrets", policy::parse_yaml("secrets:\n"
                                     "- source: {type: env, var: RIG_KEY}\n"
                                     "  replace: {proxy_value: rig-token-0123456789, "
                                     "match_headers: [Authorization]}\n"
                                     "  rules: [{host: 10.0.0.1}]\n")});
  return config;
}

/// A client's connection that goes on, an origin's in the pool, and records that go nowhere.
class SteadySession {
 public:
  SteadySession() {
    rig_.services().log.writer().redirect_requests(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  }
  /// One request and its answer; how often the loop allocated for them.
  long serve(std::string_view request, std::string_view answer) {
    client_.send(request);
    long made = 0;
    bool moved = true;
    while (moved) {
      const long before = allocations();
      moved = rig_.site().loop().turn();
      made += allocations() - before;
      moved |= client_.move();
      moved |= origin_.move();
      if (!origin_.take().empty()) origin_.send(answer);
    }
    return made;
  }
  std::string came() { return client_.take(); }
  const std::string& went() const { return origin_.received(); }

 private:
  SessionRig rig_{swapping(), {{"RIG_KEY", "real-key-0123456789abcdef"}}};
  ScriptedPeer& origin_ = rig_.add_origin();
  ScriptedPeer& client_ = rig_.connect();
};

TEST(SessionAllocation, NoneForASteadyRequest) {
  struct Case {
    std::string_view request, answer;
  };
  constexpr Case cases[] = {{kGet, kOk}, {kGet, kInChunks}, {kPost, kOk}};
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << row.request << row.answer);
    SteadySession session;
    EXPECT_GT(session.serve(row.request, row.answer), 0) << "the first one";
    for (int i = 0; i < 20; ++i) session.serve(row.request, row.answer);
    EXPECT_NE(session.went().find("Bearer real-key-0123456789abcdef"), std::string::npos);
    long made = 0;
    for (int i = 0; i < 100; ++i) {
      session.came();
      made += session.serve(row.request, row.answer);
      EXPECT_TRUE(session.came().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    EXPECT_EQ(made, 0);
  }
}

}  // namespace
}  // namespace iron::proxy::test

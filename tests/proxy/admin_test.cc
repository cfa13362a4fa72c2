#include "proxy/admin/admin.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/proxy/dateless.h"
#include "tests/proxy/manual_clock.h"

namespace iron::proxy {
namespace {

constexpr std::string_view kKey = "management-key";

WebRequest asking(std::string_view method, std::string_view target, std::string_view key = {}) {
  WebRequest request;
  request.version(11);
  request.method_string(method);
  request.target(target);
  if (!key.empty()) request.insert("Authorization", key);
  return request;
}

std::string status_and_body(const WebAnswer& answer) {
  return std::to_string(answer.result_int()) + " " + answer.body();
}

struct Row {
  std::string_view method, target, answer;
};

TEST(MetricsPages, Answer) {
  constexpr std::string_view kNone = "404 404 page not found\n";
  const Row rows[] = {
      {"GET", "/healthz", "200 OK"},
      {"PUT", "/healthz?a", "200 OK"},
      {"GET", "/health%7a", "200 OK"},
      {"GET", "http://h/healthz", "200 OK"},
      {"GET", "/", kNone},
      {"GET", "/healthz/", kNone},
      {"GET", "/metrics", kNone},
      {"GET", "/v1/reload", kNone},
      {"GET", "http://h", "307 <a href=\"/\">Temporary Redirect</a>.\n\n"},
      {"POST", "//healthz", "307 "},
      {"GET", "/a/../healthz?b", "307 <a href=\"/healthz?b\">Temporary Redirect</a>.\n\n"},
      {"GET", "/%zz", kNone},
      {"CONNECT", "/healthz", kNone},
      {"CONNECT", "h:1", kNone},
      {"OPTIONS", "*", "200 "},
      {"OPTIONS", "/healthz", "200 OK"},
  };
  MetricsPages pages;
  for (const Row& row : rows) {
    const WebHandler::Reply reply = pages.serve(asking(row.method, row.target), "127.0.0.1:1");
    EXPECT_EQ(status_and_body(reply.answer), row.answer) << row.method << " " << row.target;
    EXPECT_FALSE(reply.later);
  }
}

TEST(MetricsPages, ALocationThatIsTooLongIsNoPage) {
  MetricsPages pages;
  const auto status = [&](std::size_t size, char c) {
    return pages.serve(asking("GET", "//" + std::string(size, c)), "127.0.0.1:1")
        .answer.result_int();
  };
  EXPECT_EQ(status(kLongestWebField - 1, 'a'), 307U);
  EXPECT_EQ(status(kLongestWebField, 'a'), 404U);
  EXPECT_EQ(status(30000, '<'), 404U);
}

class FakeReload final : public Reload {
 public:
  void request(std::function<void(Outcome)> done) override { asked.push_back(std::move(done)); }
  std::vector<std::function<void(Outcome)>> asked;
};

struct Management : testing::Test {
  FakeReload reload;
  Secret key = Secret::copy_of(kKey);
  ManualClock clock;
  std::vector<std::string> refused;
  ManagementPages pages{key, reload,
                        [this](std::string_view remote) { refused.emplace_back(remote); }, clock};
};

TEST_F(Management, AnswersAtOnceUnlessItReloads) {
  constexpr std::string_view kUnknown = "401 {\"error\":\"unauthorized\"}\n";
  const struct {
    std::string_view method, target, key, answer;
  } rows[] = {
      {"POST", "/v1/reload", "", kUnknown},
      {"POST", "/v1/reload", "Bearer", kUnknown},
      {"POST", "/v1/reload", "Bearer ", kUnknown},
      {"POST", "/v1/reload", "Bearer wrong", kUnknown},
      {"POST", "/v1/reload", "Bearer management-key2", kUnknown},
      {"POST", "/v1/reload", "Bearer  management-key", kUnknown},
      {"POST", "/v1/reload", "bearer management-key", kUnknown},
      {"POST", "/v1/reload", "management-key", kUnknown},
      {"GET", "/v1/reload", "", kUnknown},
      {"GET", "/v1/reload", "Bearer management-key", "405 {\"error\":\"method not allowed\"}\n"},
      {"post", "/v1/reload", "Bearer management-key", "405 {\"error\":\"method not allowed\"}\n"},
      {"GET", "/healthz", "", "404 404 page not found\n"},
      {"POST", "/v1/reload/", "Bearer management-key", "404 404 page not found\n"},
      {"OPTIONS", "*", "", "200 "},
  };
  for (const auto& row : rows) {
    const WebHandler::Reply reply = pages.serve(asking(row.method, row.target, row.key), "r");
    EXPECT_EQ(status_and_body(reply.answer), row.answer) << row.method << " " << row.key;
    EXPECT_FALSE(reply.later) << row.key;
  }
  EXPECT_TRUE(reload.asked.empty());
}

TEST_F(Management, OnlyTheFirstAuthorizationCounts) {
  WebRequest request = asking("POST", "/v1/reload", "Bearer wrong");
  request.insert("Authorization", "Bearer management-key");
  EXPECT_EQ(pages.serve(request, "r").answer.result_int(), 401U);
}

TEST_F(Management, TellsHowTheReloadEnded) {
  const std::pair<Reload::Outcome, std::string_view> rows[] = {
      {{200, ""}, "200 {\"status\":\"ok\"}\n"},
      {{422, "a <b>"}, "422 {\"error\":\"a \\u003cb\\u003e\"}\n"},
      {{500, "not told"}, "500 {\"error\":\"internal error\"}\n"},
  };
  for (const auto& [outcome, wanted] : rows) {
    reload.asked.clear();
    const WebHandler::Reply reply =
        pages.serve(asking("POST", "/v1/reload", "Bearer management-key"), "r");
    EXPECT_EQ(status_and_body(reply.answer), "500 {\"error\":\"internal error\"}\n");
    ASSERT_TRUE(reply.later);
    EXPECT_TRUE(reload.asked.empty());
    std::optional<WebAnswer> told;
    reply.later([&told](WebAnswer answer) { told = std::move(answer); });
    ASSERT_EQ(reload.asked.size(), 1U);
    EXPECT_FALSE(told);
    reload.asked.front()(outcome);
    ASSERT_TRUE(told);
    EXPECT_EQ(status_and_body(*told), wanted);
  }
}

TEST_F(Management, RefusalsAreNotedOnceASecond) {
  const auto refuse = [this](std::string_view remote) {
    pages.serve(asking("POST", "/v1/reload", "Bearer wrong"), remote);
  };
  refuse("a:1");
  refuse("a:2");
  clock.advance(std::chrono::milliseconds(999));
  refuse("a:3");
  clock.advance(std::chrono::milliseconds(1));
  refuse("a:4");
  EXPECT_EQ(refused, (std::vector<std::string>{"a:1", "a:4"}));
}

}  // namespace
}  // namespace iron::proxy

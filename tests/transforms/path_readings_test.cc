#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using Progress = Pipeline::Progress;

// An origin may take `.` segments out and may decode separators, or not. `/./v1/a` and `/v1%2Fa`
// are below /v1 for some of them, `/v1/./a` and `/v1/a%2Fb` for all.
constexpr const char* kBelowForSome[] = {"/./v1/a", "/./v1/a%2Fb", "/v1%2Fa", "/./v1%2Fa"};
constexpr const char* kBelowForAll[] = {"/v1/a", "/v1/./a", "/v1/.", "/v1/a%2Fb", "/v1/./a%2Fb/."};

std::string entry(const std::string& more) {
  return "[{source: {type: env, var: KEY}, rules: [{host: api.test, paths: [/v1/*]}], " + more +
         "}]";
}

Rig& request(Rig& rig, const std::string& path, std::vector<std::string> fields = {"X: tok"}) {
  return rig.request("GET " + path, std::move(fields));
}

struct DotRow {
  const char* path;
  bool plain, strict;
};

TEST(PathReadings, LiteralDotsAreNoDotSegments) {
  const DotRow cases[] = {
      {"/a.b/...", false, false},   {"/.", false, true},
      {"/./", false, true},         {"/a/./b", false, true},
      {"/a/././b/.", false, true},  {"/a/./b%2Fc", false, true},
      {"/a/.;x", false, true},      {"/a/./..", true, true},
      {"/./../a", true, true},      {"/../.", true, true},
      {"/a/./%2e/b", true, true},   {"/a/%2E", true, true},
      {"/a/./%252e", true, true},   {"/a/./%2e%2e", true, true},
      {"/a%2F./b", true, true},     {"/a/.%2fb", true, true},
      {"/a%5C./b", true, true},     {"/a/./.%5c", true, true},
      {"/a\\./b", true, true},      {"/a/.\\b", true, true},
      {"/a/./b%255c.", true, true}, {"/a/./b%252f.%252fc", true, true},
  };
  for (const auto& row : cases) {
    Rig rig;
    EXPECT_EQ(request(rig, row.path).refused_path, row.plain) << row.path;
    EXPECT_EQ(rig.exchange.refuses_dot_segments(policy::DotSegments::strict), row.strict)
        << row.path;
    EXPECT_FALSE(rig.exchange.path_reduced) << "strict: " << row.path;
  }
}

TEST(PathReadings, AreFilledWhereTheyDiffer) {
  Rig rig;
  const Exchange& exchange = request(rig, "/%61/./b%2fc/.").exchange;
  EXPECT_EQ(exchange.path, "/a/./b/c/.");
  EXPECT_EQ(exchange.path_kept, "/a/./b%2Fc/.");
  EXPECT_EQ(exchange.path_reduced, "/a/b/c/");
  EXPECT_EQ(exchange.path_kept_reduced, "/a/b%2Fc/");
  EXPECT_EQ(rig.target(), "/%61/./b%2fc/.");
  request(rig, "/a/./b");
  EXPECT_FALSE(exchange.path_kept || exchange.path_kept_reduced);
  EXPECT_EQ(exchange.path_reduced, "/a/b");
  request(rig, "/a%2fb");
  EXPECT_EQ(exchange.path_kept, "/a%2Fb");
  EXPECT_FALSE(exchange.path_reduced || exchange.path_kept_reduced);
}

TEST(PathReadings, AllowlistAndKeysNeedEveryOne) {
  Rig allow, swap(Env{{"KEY", "R"}}), inject(Env{{"KEY", "R"}});
  allow.with("allowlist", "rules: [{host: api.test, paths: [/v1/*]}]");
  swap.secrets(entry("replace: {proxy_value: tok, match_path: true, match_body: true}"));
  inject.secrets(entry("inject: {header: X-I}"));
  for (const char* path : kBelowForAll) {
    EXPECT_EQ(request(allow, path).run(), Progress::done) << path;
    ASSERT_EQ(request(swap, path).run(), Progress::done);
    EXPECT_THAT(swap.fields(), ElementsAre("X: R")) << path;
    ASSERT_EQ(request(inject, path).run(), Progress::done);
    EXPECT_THAT(inject.fields(), ElementsAre("X: tok", "X-I: R")) << path;
  }
  for (const char* path : kBelowForSome) {
    EXPECT_EQ(request(allow, path).run(), Progress::rejected) << path;
    for (Rig* rig : {&swap, &inject}) {
      ASSERT_EQ(request(*rig, path).body("tok").run(), Progress::done);
      EXPECT_THAT(rig->fields(), ElementsAre("X: tok")) << path;
      EXPECT_EQ(rig->annotations(), "") << path;
      EXPECT_FALSE(rig->exchange.holds_secret()) << path;
    }
  }
}

TEST(PathReadings, AnyOneIsEnoughForWhatRefuses) {
  for (const char* use :
       {"replace: {proxy_value: tok, require: true}", "proxy_value: tok, require: true",
        "inject: {header: X-I, require: true}"}) {
    Rig rig(Env{{"KEY", "R"}});
    rig.secrets(entry(use));
    for (const char* path : kBelowForSome) {
      for (const char* field : {"X: own", "X: tok"}) {
        EXPECT_EQ(request(rig, path, {field}).run(), Progress::rejected) << use << path;
        EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
        EXPECT_EQ(rig.exchange.denial_reason,
                  "secrets: not every reading of the path gets the required key");
      }
    }
    for (const char* path : kBelowForAll) {
      EXPECT_EQ(request(rig, path).run(), Progress::done) << use << path;
    }
    EXPECT_EQ(request(rig, "/./v2/a").run(), Progress::done) << use;
  }
}

TEST(PathReadings, AnyOneIsEnoughForACredentialThatIsSent) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets(entry("replace: {proxy_value: tok, match_headers: [X], require: when_sent}"));
  for (const char* path : kBelowForSome) {
    EXPECT_EQ(request(rig, path, {"Y: own"}).run(), Progress::done) << path;
    for (const char* field : {"X: own", "X: tok"}) {
      EXPECT_EQ(request(rig, path, {field}).run(), Progress::rejected) << path;
      EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
    }
  }
}

TEST(PathReadings, AnyOneIsEnoughForRequiredTls) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets(entry("require_tls: true, replace: {proxy_value: tok}"));
  for (const char* path : kBelowForSome) {
    EXPECT_EQ(request(rig, path).run(), Progress::rejected) << path;
    EXPECT_EQ(rig.annotations(), R"({"reject_reason":"tls_required","rejected":"KEY"})");
    request(rig, path).exchange.client_tls = true;
    EXPECT_EQ(rig.run(), Progress::done) << path;
    EXPECT_THAT(rig.fields(), ElementsAre("X: tok")) << path;
  }
}

TEST(PathReadings, RefusedPathsReadNoBody) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets(entry("replace: {proxy_value: tok, match_body: true, require: true}"));
  EXPECT_EQ(request(rig, "/./v1/a").body("tok").run(), Progress::rejected);
  EXPECT_FALSE(rig.last_need.whole);
}

TEST(PathReadings, AnyOneIsEnoughForWhatInspectsAndStrips) {
  const std::string rules = "rules: [{host: api.test, paths: [/v1/*]}]";
  Rig rig;
  rig.with("header_allowlist", "{headers: [Accept], " + rules + "}")
      .with("body_capture", rules)
      .with("annotate", "annotations: [{" + rules + ", headers: [Accept]}]");
  for (const char* path : {"/./v1/a", "/./v1/a%2Fb", "/v1%2Fa", "/v1/./a", "/v1/a"}) {
    ASSERT_EQ(request(rig, path, {"X: x", "Accept: */*"}).body("abc").run(), Progress::done);
    EXPECT_THAT(rig.fields(), ElementsAre("Accept: */*")) << path;
    ASSERT_TRUE(rig.exchange.capture) << path;
    EXPECT_EQ(rig.exchange.capture->text, "abc");
    EXPECT_EQ(rig.annotations(2), R"({"header:Accept":"*/*"})") << path;
  }
  ASSERT_EQ(request(rig, "/./v2/./a", {"X: x"}).body("abc").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: x"));
  EXPECT_FALSE(rig.exchange.capture);
}

struct SwapRow {
  const char* path;
  const char* value;
  const char* target;  // null: refused
};

TEST(PathReadings, KeysInAPathMakeNoDotSegments) {
  const SwapRow cases[] = {
      {"/./tok/./b/.", "K", "/./K/./b/."}, {"/a/./tok", "K", "/a/./K"},
      {"/tok./b", "K", "/K./b"},           {"/./tok", ".", nullptr},
      {"/./tok/b", "..", nullptr},         {"/./tok./b", "x/", nullptr},
      {"/./.tok/b", ".", nullptr},         {"/./.tok", "/b", nullptr},
      {"/./tok/.", "a/.", nullptr},        {"/./tok", "%2e", nullptr},
      {"/a/./tok", "a\\.", nullptr},       {"/./a.tok", "tok/..", nullptr},
      {"/./a.tok", "...", "/./a...."},
  };
  for (const auto& row : cases) {
    Rig rig(Env{{"KEY", row.value}});
    rig.secrets(
        "[{source: {type: env, var: KEY}, rules: [{host: api.test}],"
        " replace: {proxy_value: tok, match_path: true}}]");
    ASSERT_EQ(request(rig, row.path).run(), Progress::done);
    const auto checked = check_target(rig.exchange, policy::DotSegments::plain);
    EXPECT_EQ(checked.has_value(), row.target != nullptr) << row.path << " " << row.value;
    if (row.target != nullptr) EXPECT_EQ(rig.target(), row.target);
  }
}

}  // namespace
}  // namespace iron::transforms

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using Progress = Pipeline::Progress;

std::string injecting(const std::string& what, const std::string& variable = "KEY") {
  return "{source: {type: env, var: " + variable + "}, rules: [{host: api.test}], inject: {" +
         what + "}}";
}

struct FieldCase {
  const char* name;
  const char* inject;
  std::vector<std::string> sent;
  std::vector<std::string> leaves;
  const char* location;
};

class InjectedFields : public ::testing::TestWithParam<FieldCase> {};

TEST_P(InjectedFields, AreTheOnlyOnes) {
  Rig rig(Env{{"KEY", "REAL"}});
  rig.secrets("[" + injecting(GetParam().inject) + "]");
  ASSERT_EQ(rig.request("GET /", GetParam().sent).run(), Progress::done);
  EXPECT_EQ(rig.fields(), GetParam().leaves);
  EXPECT_EQ(rig.annotations(), std::string(R"({"injected":[{"secret":"KEY","locations":[")") +
                                   GetParam().location + "\"]}]}");
}

INSTANTIATE_TEST_SUITE_P(
    All,
    InjectedFields,
    ::testing::Values(
        FieldCase{"appended",
                  "header: x-aPi-KEY",
                  {"A: b"},
                  {"A: b", "x-aPi-KEY: REAL"},
                  "header:x-aPi-KEY"},
        FieldCase{"in_the_place_of_the_first",
                  "header: X-K",
                  {"x-k: 1", "A: b", "X-k: 2"},
                  {"X-K: REAL", "A: b"},
                  "header:X-K"},
        FieldCase{
            "base64",
            R"(header: Authorization, formatter: 'Basic {{ base64 "x-access-token:" .Value }}')",
            {},
            {"Authorization: Basic eC1hY2Nlc3MtdG9rZW46UkVBTA=="},
            "header:Authorization"},
        FieldCase{"literal", "header: X-K, formatter: fixed", {}, {"X-K: fixed"}, "header:X-K"},
        FieldCase{"host_is_the_proxys", "header: host", {"Host: a"}, {"Host: a"}, "header:host"},
        FieldCase{"connection_is_the_proxys", "header: Connection", {}, {}, "header:Connection"},
        FieldCase{"length_is_the_proxys",
                  "header: content-length",
                  {"Content-Length: 3"},
                  {"Content-Length: 3"},
                  "header:content-length"}),
    [](const auto& at) { return at.param.name; });

struct QueryCase {
  const char* name;
  const char* inject;
  const char* target;
  const char* leaves;
};

class InjectedQueries : public ::testing::TestWithParam<QueryCase> {};

TEST_P(InjectedQueries, HaveOneValue) {
  Rig rig(Env{{"KEY", "R E/1"}});
  rig.secrets("[" + injecting(GetParam().inject) + "]");
  ASSERT_EQ(rig.request(std::string("GET ") + GetParam().target).run(), Progress::done);
  EXPECT_EQ(rig.target(), GetParam().leaves);
  EXPECT_LE(rig.target().size(), target_bound(rig.exchange));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    InjectedQueries,
    ::testing::Values(
        QueryCase{"no_query", "query_param: key", "/p", "/p?key=R+E%2F1"},
        QueryCase{"empty_query", "query_param: key", "/p?", "/p?key=R+E%2F1"},
        QueryCase{"appended", "query_param: 'k y', formatter: v", "/p?b=%20&a", "/p?b=%20&a&k+y=v"},
        QueryCase{"in_place", "query_param: key, formatter: v", "/?a=1&key=2&b", "/?a=1&key=v&b"},
        QueryCase{"without_equals", "query_param: key, formatter: v", "/?key&b", "/?key=v&b"},
        QueryCase{"encoded_key_keeps_its_bytes", "query_param: key, formatter: v", "/?k%65y=1",
                  "/?k%65y=v"},
        QueryCase{"more_are_removed", "query_param: key, formatter: v", "/?key=1&a&key&k%65y=%zz",
                  "/?key=v&a"},
        QueryCase{"semicolons_separate_for_some", "query_param: key, formatter: v", "/?a;key=1",
                  "/?a&key=v"},
        QueryCase{"parts_before_and_behind_stay", "query_param: key, formatter: v",
                  "/?key;key=2;a=1;k%65y;b;key&key=1;c", "/?a=1;b&key=v"},
        QueryCase{"other_parts_stay", "query_param: key, formatter: v", "/?a;keys=1;b=key",
                  "/?a;keys=1;b=key&key=v"},
        QueryCase{"malformed_pairs_stay", "query_param: key, formatter: v", "/?z=%zz&&a",
                  "/?z=%zz&&a&key=v"},
        QueryCase{"trailing_separator", "query_param: key, formatter: v", "/?a&", "/?a&&key=v"}),
    [](const auto& at) { return at.param.name; });

TEST(SecretsInject, OverwritesWhatEarlierEntriesLeft) {
  Rig rig(Env{{"A", "<a>"}, {"B", "<b>"}, {"C", "<c>"}});
  rig.secrets(
      "[{source: {type: env, var: A}, replace: {proxy_value: tok, match_query: true}, rules: "
      "[{host: api.test}]}, " +
      injecting("header: x-k", "B") + ", " + injecting("query_param: q", "B") + ", " +
      injecting("query_param: n", "B") +
      ", {source: {type: env, var: C}, replace: {proxy_value: late, match_query: true}, rules: "
      "[{host: api.test}]}, " +
      injecting("query_param: n", "C") + "]");
  ASSERT_EQ(rig.request("GET /?q=tok+late&r=late", {"X-K: tok late", "Y: late tok"}).run(),
            Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("x-k: <b>", "Y: <c> <a>"));
  EXPECT_EQ(rig.target(), "/?q=%3Cb%3E&r=%3Cc%3E&n=%3Cc%3E");
  EXPECT_EQ(
      rig.annotations(),
      R"({"injected":[{"secret":"B","locations":["header:x-k"]},{"secret":"B","locations":["query:q"]},)"
      R"({"secret":"B","locations":["query:n"]},{"secret":"C","locations":["query:n"]}],)"
      R"("swapped":[{"secret":"A","locations":["header:X-K","header:Y","query:q"]},)"
      R"({"secret":"C","locations":["header:Y","query:r"]}]})");
}

TEST(SecretsInject, PartsOfReplacedPairsAreCutToo) {
  Rig rig(Env{{"A", "<a>"}, {"B", "<b>"}, {"C", "<c>"}});
  rig.secrets(
      "[{source: {type: env, var: A}, replace: {proxy_value: tok, match_query: true}, rules: "
      "[{host: api.test}]}, " +
      injecting("query_param: k", "B") + ", " + injecting("query_param: n", "C") + "]");
  ASSERT_EQ(rig.request("GET /?x;k=tok&y=tok;k=1&n=1;z&n;k;o").run(), Progress::done);
  EXPECT_EQ(rig.target(), "/?x&y=%3Ca%3E%3Bk%3D1&n=%3Cc%3E&;o&k=%3Cb%3E");
  EXPECT_LE(rig.target().size(), target_bound(rig.exchange));
}

TEST(SecretsInject, AnInjectedFieldIsNotSearched) {
  Rig rig(Env{{"A", "tok"}, {"B", "<b>"}});
  rig.secrets("[" + injecting("header: X-K", "A") + "]")
      .secrets(
          "[{source: {type: env, var: B}, replace: {proxy_value: tok}, rules: [{host: "
          "api.test}]}]");
  ASSERT_EQ(rig.request("GET /", {"X-K: tok"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X-K: tok"));
  EXPECT_EQ(rig.annotations(1), "");
}

TEST(SecretsInject, InvalidNamesAreRefusedBeforeSending) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + injecting("header: 'A b'") + "]");
  ASSERT_EQ(rig.request("GET /").run(), Progress::done);
  const auto checked = check_fields(rig.exchange);
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().text, R"(net/http: invalid header field name "A b")");
}

TEST(SecretsInject, FormatterFailureFailsTheRequest) {
  Rig rig(Env{{"SEC", "R"}});
  rig.with("annotate", "annotations: [{rules: [{host: api.test}], headers: [A]}]")
      .secrets("[" + injecting("header: X, formatter: '{{ .Nope }}'", "SEC") + "]")
      .with("allowlist", "{}");
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(rig.request("GET /").run(), Progress::failed);
    const Trace& trace = rig.exchange.request_traces[1];
    EXPECT_EQ(trace.action, TraceAction::error);
    EXPECT_EQ(
        trace.error,
        R"(injecting secret "SEC": executing formatter: template: secrets[0]:1:3: executing "secrets[0]" at )"
        R"(<.Nope>: can't evaluate field Nope in type secrets.formatterData)");
    EXPECT_EQ(rig.exchange.error, "transform secrets request: " + trace.error);
    EXPECT_EQ(trace.annotations, "");
    EXPECT_EQ(rig.exchange.request_trace_count, 2U);
  }
}

}  // namespace
}  // namespace iron::transforms

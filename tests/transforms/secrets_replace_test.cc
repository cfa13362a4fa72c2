#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using Progress = Pipeline::Progress;

const std::string kRule = ", rules: [{host: api.test}]}";

/// An entry that replaces `token` by the value of KEY.
std::string replacing(const std::string& token,
                      const std::string& more = {},
                      const std::string& variable = "KEY") {
  return "{source: {type: env, var: " + variable + "}, replace: {proxy_value: '" + token + "'" +
         (more.empty() ? "" : ", " + more) + "}" + kRule;
}

struct FieldCase {
  const char* name;
  const char* entry;  ///< inside `replace`
  std::vector<std::string> sent;
  std::vector<std::string> leaves;
  const char* annotations;
};

class SecretFields : public ::testing::TestWithParam<FieldCase> {};

TEST_P(SecretFields, AreRewritten) {
  Rig rig(Env{{"KEY", "REAL-key-1"}});
  rig.secrets("[" + replacing("proxy-token", GetParam().entry) + "]");
  ASSERT_EQ(rig.request("GET /", GetParam().sent).run(), Progress::done);
  EXPECT_EQ(rig.fields(), GetParam().leaves);
  EXPECT_EQ(rig.annotations(), GetParam().annotations);
  EXPECT_EQ(rig.exchange.holds_secret(), GetParam().annotations[0] != '\0');
}

INSTANTIATE_TEST_SUITE_P(
    All,
    SecretFields,
    ::testing::Values(
        FieldCase{
            "every_field_but_host",
            "",
            {"Host: proxy-token", "X-Api-Key: a proxy-token b proxy-token",
             "Cookie: s=proxy-token"},
            {"Host: proxy-token", "X-Api-Key: a REAL-key-1 b REAL-key-1", "Cookie: s=REAL-key-1"},
            R"({"swapped":[{"secret":"KEY","locations":["header:Cookie","header:X-Api-Key"]}]})"},
        FieldCase{"a_field_given_twice_is_listed_twice",
                  "",
                  {"x-k: proxy-token", "x-k: b", "X-K: proxy-token"},
                  {"x-k: REAL-key-1", "x-k: b", "X-K: REAL-key-1"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:X-K","header:X-K"]}]})"},
        FieldCase{"case_counts_in_the_token", "", {"X-K: PROXY-TOKEN"}, {"X-K: PROXY-TOKEN"}, ""},
        FieldCase{"inside_a_word",
                  "",
                  {"X-K: xproxy-tokenx"},
                  {"X-K: xREAL-key-1x"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:X-K"]}]})"},
        FieldCase{"framing_is_left_alone",
                  "",
                  {"Transfer-Encoding: proxy-token", "Content-Length: proxy-token"},
                  {"Transfer-Encoding: proxy-token", "Content-Length: proxy-token"},
                  ""},
        FieldCase{"literal_name",
                  "match_headers: [Authorization]",
                  {"Authorization: Bearer proxy-token", "X-Other: proxy-token"},
                  {"Authorization: Bearer REAL-key-1", "X-Other: proxy-token"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:Authorization"]}]})"},
        FieldCase{"literal_name_sends_its_spelling",
                  "match_headers: [x-API-key]",
                  {"X-Api-Key: proxy-token", "X-API-KEY: none"},
                  {"x-API-key: REAL-key-1", "X-API-KEY: none"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:x-API-key"]}]})"},
        FieldCase{"a_literal_name_is_listed_once",
                  "match_headers: [x-k]",
                  {"X-K: proxy-token", "X-k: proxy-token"},
                  {"x-k: REAL-key-1", "x-k: REAL-key-1"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:x-k"]}]})"},
        FieldCase{
            "regular_expression",
            "match_headers: ['/^x-.*-key$/']",
            {"X-Other-Key: proxy-token", "x-api-key: proxy-token", "Authorization: proxy-token"},
            {"X-Other-Key: REAL-key-1", "x-api-key: REAL-key-1", "Authorization: proxy-token"},
            R"({"swapped":[{"secret":"KEY","locations":["header:X-Api-Key","header:X-Other-Key"]}]})"},
        FieldCase{"first_match_headers_entry_counts_and_orders",
                  "match_headers: ['/b/', x-a, x-b]",
                  {"X-A: proxy-token", "X-B: proxy-token"},
                  {"x-a: REAL-key-1", "X-B: REAL-key-1"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:X-B","header:x-a"]}]})"},
        FieldCase{"a_lone_slash_is_a_literal",
                  "match_headers: ['/']",
                  {"X-K: proxy-token"},
                  {"X-K: proxy-token"},
                  ""},
        FieldCase{"basic_user",
                  "match_headers: [Authorization]",
                  {"Authorization: Basic cHJveHktdG9rZW46eA=="},
                  {"Authorization: Basic UkVBTC1rZXktMTp4"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:Authorization"]}]})"},
        FieldCase{"basic_scheme_in_any_case_keeps_its_spelling",
                  "",
                  {"authorization: bASIC dXNlcjpwcm94eS10b2tlbg=="},
                  {"authorization: bASIC dXNlcjpSRUFMLWtleS0x"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:Authorization"]}]})"},
        FieldCase{"unpadded_basic_is_plain",
                  "",
                  {"Authorization: Basic dXNlcjpwcm94eS10b2tlbjE"},
                  {"Authorization: Basic dXNlcjpwcm94eS10b2tlbjE"},
                  ""},
        FieldCase{"broken_basic_is_plain",
                  "",
                  {"Authorization: Basic proxy-token"},
                  {"Authorization: Basic REAL-key-1"},
                  R"({"swapped":[{"secret":"KEY","locations":["header:Authorization"]}]})"},
        FieldCase{"basic_counts_in_authorization_alone",
                  "",
                  {"X-Auth: Basic cHJveHktdG9rZW46eA=="},
                  {"X-Auth: Basic cHJveHktdG9rZW46eA=="},
                  ""}),
    [](const auto& at) { return at.param.name; });

struct TargetCase {
  const char* name;
  const char* token;
  const char* value;
  const char* target;
  const char* leaves;
  const char* locations;  ///< JSON list; empty: nothing was replaced
};

class SecretTargets : public ::testing::TestWithParam<TargetCase> {};

TEST_P(SecretTargets, AreRewritten) {
  const TargetCase& at = GetParam();
  Rig rig(Env{{"KEY", at.value}});
  rig.secrets("[" + replacing(at.token, "match_query: true, match_path: true") + "]");
  ASSERT_EQ(rig.request(std::string("GET ") + at.target).run(), Progress::done);
  EXPECT_EQ(rig.target(), at.leaves);
  EXPECT_TRUE(check_target(rig.exchange, policy::DotSegments::plain).has_value());
  const std::string expected =
      at.locations[0] == '\0'
          ? ""
          : std::string(R"({"swapped":[{"secret":"KEY","locations":)") + at.locations + "}]}";
  EXPECT_EQ(rig.annotations(), expected);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    SecretTargets,
    ::testing::Values(
        TargetCase{"query_in_place", "tok", "R", "/p?b=2&key=tok&a=1", "/p?b=2&key=R&a=1",
                   R"(["query:key"])"},
        TargetCase{"query_value_is_encoded_again", "tok", "r/e l", "/p?k=%7Etok+x&k=tok",
                   "/p?k=~r%2Fe+l+x&k=r%2Fe+l", R"(["query:k","query:k"])"},
        TargetCase{"query_other_pairs_keep_their_bytes", "tok", "R", "/p?%zz&a;b&k=tok&=&&c",
                   "/p?%zz&a;b&k=R&=&&c", R"(["query:k"])"},
        TargetCase{"query_malformed_value_stays", "tok", "R", "/p?k=tok%zz", "/p?k=tok%zz", ""},
        TargetCase{"query_malformed_key_stays", "tok", "R", "/p?%k=tok", "/p?%k=tok", ""},
        TargetCase{"query_keys_are_not_searched", "tok", "R", "/p?tok=1&tok", "/p?tok=1&tok", ""},
        TargetCase{"query_encoded_token_is_not_found", "tok en", "R", "/p?k=tok+en&k2=tok%20en",
                   "/p?k=tok+en&k2=tok%20en", ""},
        TargetCase{"query_key_in_the_location_is_decoded", "tok", "R", "/?a+%22b=tok", "/?a+%22b=R",
                   R"(["query:a \"b"])"},
        TargetCase{"path", "tok", "R", "/bottok/send?", "/botR/send?", R"(["path"])"},
        TargetCase{"path_value_is_encoded", "tok", "a/b%c?d#e f:g@", "/tok/x",
                   "/a%2Fb%25c%3Fd%23e%20f:g@/x", R"(["path"])"},
        TargetCase{"path_rest_keeps_its_bytes", "tok", "R", "/%61/%74ok/%2f/tok//%c3%a9",
                   "/%61/R/%2f/R//%c3%a9", R"(["path"])"},
        TargetCase{"query_before_path", "tok", "R", "/tok?a=tok", "/R?a=R",
                   R"(["query:a","path"])"},
        TargetCase{"empty_path", "tok", "R", "?a=tok", "/?a=R", R"(["query:a"])"},
        TargetCase{"nothing", "tok", "R", "/p?b=%20&a", "/p?b=%20&a", ""}),
    [](const auto& at) { return at.param.name; });

TEST(SecretsReplace, TargetIsLeftAloneWithoutTheFlags) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + replacing("tok") + "]");
  ASSERT_EQ(rig.request("POST /tok?a=tok").body("tok").run(), Progress::done);
  EXPECT_EQ(rig.target(), "/tok?a=tok");
  EXPECT_FALSE(rig.last_need.any());
  EXPECT_FALSE(rig.exchange.body.loaded);
}

TEST(SecretsReplace, BodyIsReadWholeAndRewritten) {
  Rig rig(Env{{"KEY", "REAL-key-1"}});
  rig.secrets("[" + replacing("tok", "match_body: true") + "]");
  ASSERT_EQ(rig.request("POST /").body(R"({"a":"tok","b":"toktok"}tok)").run(), Progress::done);
  EXPECT_EQ(rig.sent_body(), R"({"a":"REAL-key-1","b":"REAL-key-1REAL-key-1"}REAL-key-1)");
  EXPECT_EQ(body_size(rig.exchange.body), rig.sent_body().size());
  EXPECT_EQ(rig.annotations(), R"({"swapped":[{"secret":"KEY","locations":["body"]}]})");
  ASSERT_EQ(rig.request("POST /").body("none").run(), Progress::done);
  EXPECT_EQ(rig.sent_body(), "none");
  EXPECT_TRUE(rig.exchange.body.complete);
  EXPECT_EQ(rig.annotations(), "");
}

TEST(SecretsReplace, BodyGetsTheKeyInItsOwnCoding) {
  struct Case {
    std::vector<std::string> fields;
    const char *body, *leaves;
  };
  const std::vector<std::string> form = {"content-type: Application/x-www-form-URLencoded ; a=b"};
  const std::vector<std::string> json = {"Content-Type: application/json;charset=utf-8"};
  const std::vector<std::string> suffix = {"Content-Type: application/vnd.api+JSON"};
  Rig rig(Env{{"KEY", "a \"\\/&=%+\n\x01\xc3\xa9"}, {"PLAIN", "Plain-1._~"}});
  rig.secrets("[" + replacing("tok", "match_body: true") + ", " +
              replacing("other", "match_body: true", "PLAIN") + ", " +
              replacing("q\"t", "match_body: true") + "]");
  constexpr const char* kRaw = "a \"\\/&=%+\n\x01\xc3\xa9";
  constexpr const char* kEscaped = R"(a \"\\/&=%+\n\u0001)"
                                   "\xc3\xa9";
  for (const Case& at : std::initializer_list<Case>{
           {form, "tok", "a+%22%5C%2F%26%3D%25%2B%0A%01%C3%A9"},
           {form, "k=other&tok=1", "k=Plain-1._~&a+%22%5C%2F%26%3D%25%2B%0A%01%C3%A9=1"},
           {json, R"("tok")", R"("E")"},
           {json, R"({"tok":"\"tok","b":"\\",tok:"other"})",
            R"({"E":"\"E","b":"\\",R:"Plain-1._~"})"},
           {json, "tok", "R"},
           {json, R"(["q"t"tok"])", R"(["R"E"])"},
           {suffix, R"("tok)", R"("E)"},
           {{"Content-Type: text/json"}, R"("tok")", R"("R")"},
           {{"Content-Type: application/jsonl"}, R"("tok")", R"("R")"},
           {{"Content-Type: json"}, R"("tok")", R"("R")"},
           {{}, R"("tok")", R"("R")"},
           {{"Content-Type: application/json", "Content-Type: text/plain"}, R"("tok")", R"("R")"},
           {{"Content-Type: application/json", "Content-Type: a/b+json"}, R"("tok")", R"("E")"},
       }) {
    ASSERT_EQ(rig.request("POST /", at.fields).body(at.body).run(), Progress::done);
    std::string leaves = at.leaves;
    for (const auto& [mark, text] : {std::pair{'E', kEscaped}, std::pair{'R', kRaw}}) {
      for (std::size_t i = 0; at.fields != form && (i = leaves.find(mark, i)) != leaves.npos;) {
        leaves.replace(i, 1, text);
        i += std::string_view(text).size();
      }
    }
    EXPECT_EQ(rig.sent_body(), leaves) << at.body;
  }
}

TEST(SecretsReplace, BodyIsNotReadWhereNoEntryNeedsIt) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + replacing("gone", "require: true, match_headers: [X-K]") + ", " +
              replacing("tok", "match_body: true") + "]");
  EXPECT_EQ(rig.request("POST /").body("tok").run(), Progress::rejected);
  EXPECT_FALSE(rig.exchange.body.loaded);
  EXPECT_EQ(rig.request("POST /", {}, "other.test").body("tok").run(), Progress::done);
  EXPECT_FALSE(rig.exchange.body.loaded);
  EXPECT_EQ(rig.request("POST /", {"X-K: gone"}).body("tok").run(), Progress::done);
  EXPECT_EQ(rig.sent_body(), "R");
}

struct OverlapCase {
  const char* name;
  std::vector<std::string> tokens;  ///< of K0, K1, …
  const char* sent;
  const char* leaves;
};

class SecretOverlaps : public ::testing::TestWithParam<OverlapCase> {};

TEST_P(SecretOverlaps, FirstStartThenEarlierEntryWins) {
  const OverlapCase& at = GetParam();
  // Few entries and many go different ways; both must agree.
  for (const int idle : {0, 40}) {
    Env environment;
    std::string entries = "[";
    for (std::size_t i = 0; i < at.tokens.size(); ++i) {
      const std::string variable = "K" + std::to_string(i);
      environment.emplace_back(variable, "<" + std::to_string(i) + ">");
      entries += replacing(at.tokens[i], "match_body: true", variable) + ", ";
    }
    environment.emplace_back("IDLE", "idle");
    for (int i = 0; i < idle; ++i)
      entries += replacing("idle" + std::to_string(i), "", "IDLE") + ", ";
    Rig rig(environment);
    rig.secrets(entries + "]");
    ASSERT_EQ(rig.request("GET /", {std::string("X-K: ") + at.sent}).body(at.sent).run(),
              Progress::done);
    EXPECT_THAT(rig.fields(), ElementsAre(std::string("X-K: ") + at.leaves));
    EXPECT_EQ(rig.sent_body(), at.leaves);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    SecretOverlaps,
    ::testing::Values(
        OverlapCase{"apart", {"aa", "bb"}, "bb aa", "<1> <0>"},
        OverlapCase{"first_start_wins", {"bc", "ab"}, "abc", "<1>c"},
        OverlapCase{"same_start_earlier_entry_wins", {"ab", "abc"}, "abcabc", "<0>c<0>c"},
        OverlapCase{"same_start_earlier_longer_wins", {"abc", "ab"}, "abcab", "<0><1>"},
        OverlapCase{"inside", {"bc", "abcd"}, "abcd bc", "<1> <0>"},
        OverlapCase{"repeats", {"aa"}, "aaaaa", "<0><0>a"},
        OverlapCase{"equal_tokens", {"ab", "ab"}, "ab", "<0>"},
        OverlapCase{"loser_hits_further_on", {"a", "aa"}, "aaa", "<0><0><0>"},
        OverlapCase{"values_are_not_searched", {"t", "<0>"}, "t <0>", "<0> <1>"}),
    [](const auto& at) { return at.param.name; });

TEST(SecretsReplace, HitsOfAnEarlierTransformStand) {
  Rig rig(Env{{"A", "<a>"}, {"B", "<b>"}});
  rig.secrets("[" + replacing("bc", "match_query: true, match_path: true, match_body: true", "A") +
              "]")
      .secrets("[" + replacing("ab", "match_query: true, match_path: true, match_body: true", "B") +
               "]");
  ASSERT_EQ(rig.request("POST /abc/ab?k=abc+ab", {"X-K: abc ab", "Authorization: Basic YWJjIGFi"})
                .body("ab abc")
                .run(),
            Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X-K: a<a> <b>", "Authorization: Basic YTxhPiA8Yj4="));
  EXPECT_EQ(rig.target(), "/a%3Ca%3E/%3Cb%3E?k=a%3Ca%3E+%3Cb%3E");
  EXPECT_EQ(rig.sent_body(), "<b> a<a>");
  EXPECT_EQ(
      rig.annotations(1),
      R"({"swapped":[{"secret":"B","locations":["header:Authorization","header:X-K","query:k","path","body"]}]})");
}

TEST(SecretsReplace, LaterEntriesFindAFieldWhateverItsSpelling) {
  Rig rig(Env{{"A", "<a>"}, {"B", "<b>"}});
  rig.secrets("[" + replacing("t1", "match_headers: [x-api-key]", "A") + ", " +
              replacing("t2", "match_headers: [X-Api-Key]", "B") + "]");
  ASSERT_EQ(rig.request("GET /", {"X-API-Key: t2 t1"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("x-api-key: <b> <a>"));
  EXPECT_EQ(
      rig.annotations(),
      R"({"swapped":[{"secret":"A","locations":["header:x-api-key"]},{"secret":"B","locations":["header:X-Api-Key"]}]})");
}

TEST(SecretsReplace, NothingKeptFromTheRequestBefore) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + replacing("tok", "match_query: true, match_path: true, match_body: true") +
              "]");
  ASSERT_EQ(
      rig.request("POST /tok?a=tok", {"X: tok", "Authorization: Basic dG9r"}).body("tok").run(),
      Progress::done);
  ASSERT_EQ(rig.request("GET /b?c", {"Authorization: b"}).run(), Progress::done);
  EXPECT_EQ(rig.target(), "/b?c");
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: b"));
  EXPECT_FALSE(rig.exchange.holds_secret());
}

TEST(SecretsReplace, DotSegmentsMadeByAValueAreRefused) {
  for (const char* value : {"..", ".", "a/../b", "\\..\\", "%2e%2E", "x%2f.."}) {
    Rig rig(Env{{"KEY", value}});
    rig.secrets("[" + replacing("tok", "match_path: true") + "]");
    ASSERT_EQ(rig.request("GET /a/tok/b").run(), Progress::done);
    const auto checked = check_target(rig.exchange, policy::DotSegments::plain);
    ASSERT_FALSE(checked.has_value()) << value;
    EXPECT_EQ(checked.error().text, "secret value makes dot segments");
  }
  for (const char* value : {"...", "a..", "..b", "%252e%252e"}) {
    Rig rig(Env{{"KEY", value}});
    rig.secrets("[" + replacing("tok", "match_path: true") + "]");
    ASSERT_EQ(rig.request("GET /a/tok/b").run(), Progress::done);
    EXPECT_TRUE(check_target(rig.exchange, policy::DotSegments::plain).has_value()) << value;
  }
}

TEST(SecretsReplace, StrictPathsLookAtWhatAValueMakes) {
  for (const char* value : {"..;x", ".;", "a/..;/b", "%2e%2e%3bx"}) {
    Rig rig(Env{{"KEY", value}});
    rig.secrets("[" + replacing("tok", "match_path: true") + "]");
    ASSERT_EQ(rig.request("GET /a/tok/b").run(), Progress::done);
    EXPECT_TRUE(check_target(rig.exchange, policy::DotSegments::plain).has_value()) << value;
    EXPECT_TRUE(check_target(rig.exchange, policy::DotSegments::strict).has_error()) << value;
  }
}

TEST(SecretsReplace, LineBreaksInAFieldAreRefused) {
  for (const std::string value : {"a\r\nX: y", "a\n", "\x01", "a\x7F"}) {
    Rig rig(Env{{"KEY", value}});
    rig.secrets("[" + replacing("tok", "match_headers: [x-k]") + "]");
    ASSERT_EQ(rig.request("GET /", {"X-K: tok"}).run(), Progress::done);
    const auto checked = check_fields(rig.exchange);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().text, R"(net/http: invalid header field value for "x-k")");
    EXPECT_EQ(rig.annotations(), R"({"swapped":[{"secret":"KEY","locations":["header:x-k"]}]})");
  }
  Rig rig(Env{{"KEY", "a\tb \xc3\xa9"}});
  rig.secrets("[" + replacing("tok") + "]");
  rig.request("GET /", {"X-K: tok"}).run();
  EXPECT_TRUE(check_fields(rig.exchange).has_value());
}

TEST(SecretsReplace, RulesSeeTheClientsPathAndLimits) {
  Rig rig(Env{{"A", "x"}, {"B", "<b>"}});
  rig.secrets(
      "[{source: {type: env, var: A}, replace: {proxy_value: tok, match_path: true}, rules: "
      "[{host: '*.test'}]},"
      " {source: {type: env, var: B}, replace: {proxy_value: t2}, rules: [{host: api.test, "
      "methods: [post], paths: "
      "[/tok/*]}]}]");
  ASSERT_EQ(rig.request("POST /tok/1", {"X: t2"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: <b>"));
  EXPECT_EQ(rig.target(), "/x/1");
  ASSERT_EQ(rig.request("GET /tok/1", {"X: t2"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: t2"));
  ASSERT_EQ(rig.request("POST /x/1", {"X: t2"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: t2"));
}

TEST(SecretsReplace, EntryWithoutRulesNeverApplies) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets(
      "[{source: {type: env, var: KEY}, replace: {proxy_value: tok, require: true}, rules: []}]");
  ASSERT_EQ(rig.request("GET /", {"X: tok"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: tok"));
}

TEST(SecretsReplace, LegacyFormWorksForFieldsAndBody) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets(
      "[{source: {type: env, var: KEY}, proxy_value: tok, match_headers: [X-K], match_body: true, "
      "require: true, "
      "rules: [{host: api.test}]}]");
  ASSERT_EQ(rig.request("POST /", {"X-K: tok", "X: tok"}).body("tok").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X-K: R", "X: tok"));
  EXPECT_EQ(rig.sent_body(), "R");
  EXPECT_EQ(rig.request("POST /").body("x").run(), Progress::rejected);
}

}  // namespace
}  // namespace iron::transforms

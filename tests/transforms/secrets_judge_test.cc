#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Progress = Pipeline::Progress;

std::string entry(const std::string& variable, const std::string& more) {
  return "{source: {type: env, var: " + variable + "}, rules: [{host: api.test}], " + more + "}";
}

TEST(SecretsJudge, MissingTokenRejectsARequest) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + entry("KEY", "replace: {proxy_value: tok, require: true}") + "]");
  EXPECT_EQ(rig.request("GET /", {"X: own"}).run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
  EXPECT_EQ(rig.exchange.rejected_by, "secrets");
  EXPECT_EQ(rig.exchange.denial_reason, "secrets: the request does not carry the required token");
  EXPECT_EQ(rig.exchange.request_traces[0].action, TraceAction::reject);
  EXPECT_EQ(rig.request("GET /", {"X: tok"}).run(), Progress::done);
  EXPECT_EQ(rig.exchange.denial_reason, "");
}

TEST(SecretsJudge, MissingTokenPassesATunnelCheckThatIsIntercepted) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + entry("KEY", "replace: {proxy_value: tok, require: true}") + "]");
  EXPECT_EQ(rig.tunnel().run(), Progress::done);
  EXPECT_EQ(rig.annotations(), "");
  EXPECT_EQ(rig.tunnel({"Proxy-Authorization: tok"}).run(), Progress::done);
  EXPECT_EQ(rig.annotations(),
            R"({"swapped":[{"secret":"KEY","locations":["header:Proxy-Authorization"]}]})");
  for (const bool check : {true, false}) {
    rig.tunnel();
    rig.exchange.tunnel_check = check;
    rig.exchange.mode = Mode::sni_only;
    EXPECT_EQ(rig.run(), Progress::rejected);
    EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
  }
}

TEST(SecretsJudge, NoTokenOpensATunnelThatIsRelayedUnseen) {
  for (const char* require : {"true", "when_sent"}) {
    Rig rig(Env{{"KEY", "R"}});
    rig.secrets("[" +
                entry("KEY", std::string("replace: {proxy_value: tok, require: ") + require + "}") +
                "]");
    rig.tunnel({"Authorization: tok"});
    rig.exchange.mode = Mode::passthrough;
    EXPECT_EQ(rig.run(), Progress::rejected) << require;
    EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
  }
}

struct WhenSentCase {
  const char* places;  ///< further keys of `replace`
  const char* target;
  std::vector<std::string> fields;
  bool passes;
};

TEST(SecretsJudge, WhenSentRefusesForeignCredentialsAlone) {
  constexpr const char* kEverywhere = "match_query: false";
  constexpr const char* kNamed = "match_headers: [X-Key, '/^x-b/']";
  constexpr const char* kQuery = "match_query: true";
  for (const WhenSentCase& at : std::initializer_list<WhenSentCase>{
           {kEverywhere, "/", {}, true},
           {kEverywhere, "/", {"User-Agent: git/2", "X-Key: foreign"}, true},
           {kEverywhere, "/", {"Authorization: "}, true},
           {kEverywhere, "/", {"Authorization: tok"}, true},
           {kEverywhere, "/", {"Authorization: Bearer foreign"}, false},
           {kEverywhere, "/", {"Authorization: ", "authorization: foreign"}, false},
           {kEverywhere, "/", {"x-api-key: foreign"}, false},
           {kEverywhere, "/", {"Api-Key: foreign"}, false},
           {kEverywhere, "/", {"X-Goog-Api-Key: foreign"}, false},
           {kEverywhere, "/", {"PRIVATE-TOKEN: foreign"}, false},
           {kEverywhere, "/", {"X-Auth-Token: foreign"}, false},
           {kEverywhere, "/", {"Cookie: a=b"}, false},
           {kEverywhere, "/", {"Cookie: a=b", "X-Any: tok"}, true},
           {kEverywhere, "/", {"Authorization: tok", "Authorization: foreign"}, false},
           {kEverywhere, "/", {"authorization: foreign", "Authorization: tok"}, false},
           {kEverywhere, "/", {"X-Any: tok", "Authorization: foreign"}, false},
           {kEverywhere, "/", {"Authorization: tok", "X-Api-Key: foreign"}, false},
           {kEverywhere, "/", {"Authorization: tok", "Authorization: ", "Cookie: a=b"}, true},
           {kEverywhere, "/", {"Authorization: tok", "X-Api-Key: tok", "X-Any: own"}, true},
           {kEverywhere, "/?key=foreign", {}, true},
           {kNamed, "/", {"Authorization: foreign"}, true},
           {kNamed, "/", {"x-key: foreign"}, false},
           {kNamed, "/", {"X-KEY: "}, true},
           {kNamed, "/", {"x-basket: foreign"}, false},
           {kNamed, "/", {"x-basket: see tok"}, true},
           {kNamed, "/", {"x-basket: tok", "X-Box: own", "Authorization: own"}, true},
           {kNamed, "/", {"x-basket: tok", "X-Key: foreign"}, false},
           {kNamed, "/", {"x-key: tok", "X-Key: foreign"}, false},
           {kNamed, "/?key=foreign", {}, true},
           {kQuery, "/?a=foreign", {}, true},
           {kQuery, "/?key=foreign", {}, false},
           {kQuery, "/?key=tok", {}, true},
           {kQuery, "/?key=&key", {}, true},
           {kQuery, "/?a=1&api_key=foreign", {}, false},
           {kQuery, "/?ApiKey=foreign", {}, false},
           {kQuery, "/?token=foreign", {}, false},
           {kQuery, "/?access%5ftoken=foreign", {}, false},
           {kQuery, "/?k%65y=foreign", {}, false},
           {kQuery, "/?k%zz=1&keys=2&xkey=3", {}, true},
           {kQuery, "/?a=1;key=foreign", {}, false},
           {kQuery, "/?key=;foreign", {}, false},
           {kQuery, "/?key;b=foreign", {}, true},
           {kQuery, "/", {"Authorization: foreign"}, false},
           {kQuery, "/?x=tok&key=foreign", {}, false},
           {kQuery, "/?token=tok&token=foreign", {}, false},
           {kQuery, "/?token=tok&t%6fken=foreign", {}, false},
           {kQuery, "/?token=tok;key=foreign", {}, false},
           {kQuery, "/?token=foreign;key=tok", {}, false},
           {kQuery, "/?key=foreign", {"Authorization: tok"}, false},
           {kQuery, "/?token=tok&key=tok&a=own", {"Cookie: a=b"}, true},
           {kQuery, "/?token=tok;a=own&key=", {}, true},
       }) {
    Rig rig(Env{{"KEY", "R"}});
    rig.secrets("[" +
                entry("KEY", std::string("replace: {proxy_value: tok, require: when_sent, ") +
                                 at.places + "}") +
                "]");
    EXPECT_EQ(rig.request(std::string("GET ") + at.target, at.fields).run(),
              at.passes ? Progress::done : Progress::rejected)
        << at.places << " " << at.target << " " << testing::PrintToString(at.fields);
    if (at.passes) continue;
    EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
    EXPECT_THAT(rig.exchange.denial_reason, StartsWith("secrets: the request "));
  }
}

TEST(SecretsJudge, WhenSentSaysWhichCredentialIsTooMuch) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + entry("KEY", "replace: {proxy_value: tok, require: when_sent}") + "]");
  EXPECT_EQ(rig.request("GET /", {"Authorization: tok", "Api-Key: own"}).run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
  EXPECT_EQ(rig.exchange.denial_reason,
            "secrets: the request carries another credential beside the token");
}

TEST(SecretsJudge, WhenSentSeesTheTokenInABasicCredential) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" +
              entry("KEY",
                    "replace: {proxy_value: tok, require: when_sent, match_headers: "
                    "[Authorization]}") +
              "]");
  EXPECT_EQ(rig.request("GET /", {"Authorization: Basic dTp0b2s="}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: Basic dTpS"));
  EXPECT_EQ(rig.request("GET /", {"Authorization: Basic dTpmb3JlaWdu"}).run(), Progress::rejected);
}

TEST(SecretsJudge, WhenSentLeavesInterceptedTunnelsAloneAndRefusesOpaqueOnes) {
  unsetenv("NONE");
  for (const char* variable : {"KEY", "NONE"}) {
    Rig rig(Env{{"KEY", "R"}});
    rig.secrets("[" + entry(variable, "proxy_value: tok, require: when_sent") + "]");
    EXPECT_EQ(rig.tunnel({"Authorization: foreign"}).run(), Progress::done) << variable;
    for (const bool check : {true, false}) {
      rig.tunnel();
      rig.exchange.tunnel_check = check;
      rig.exchange.mode = Mode::sni_only;
      EXPECT_EQ(rig.run(), Progress::rejected) << variable << check;
    }
  }
}

TEST(SecretsJudge, WhenSentNeedsTheKeyOnlyForACredential) {
  unsetenv("NONE");
  Rig rig;
  rig.secrets("[" + entry("NONE", "replace: {proxy_value: tok, require: when_sent}") + "]");
  EXPECT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_EQ(rig.annotations(), R"({"secret_unavailable":["NONE"]})");
  for (const char* field : {"Authorization: tok", "Authorization: foreign"}) {
    EXPECT_EQ(rig.request("GET /", {field}).run(), Progress::rejected);
    EXPECT_EQ(rig.annotations(), R"({"reject_reason":"secret_unavailable","rejected":"NONE"})");
  }
}

TEST(SecretsJudge, WhenSentIsAskedForEachEntry) {
  Rig rig(Env{{"A", "1"}, {"B", "2"}});
  rig.secrets(
      "[" +
      entry("A",
            "replace: {proxy_value: tok-a, require: when_sent, match_headers: "
            "[Authorization]}") +
      ", " +
      entry("B", "replace: {proxy_value: tok-b, require: when_sent, match_headers: [X-Key]}") +
      "]");
  EXPECT_EQ(rig.request("GET /", {"Authorization: tok-a"}).run(), Progress::done);
  EXPECT_EQ(rig.request("GET /", {"X-Key: tok-b"}).run(), Progress::done);
  EXPECT_EQ(rig.request("GET /", {"Authorization: tok-a", "X-Key: foreign"}).run(),
            Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"rejected":"B"})");
  EXPECT_EQ(rig.request("GET /", {"Authorization: tok-b"}).run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"rejected":"A"})");
}

TEST(SecretsJudge, UnavailableSecretIsNotedOrRejects) {
  Rig rig(Env{{"KEY", "R"}});
  unsetenv("NONE");
  rig.secrets("[" + entry("NONE", "replace: {proxy_value: a}") + ", " +
              entry("KEY", "replace: {proxy_value: b}") + ", " +
              entry("NONE", "inject: {header: X-N}") + ", " +
              entry("KEY", "inject: {header: X-I}") + "]");
  ASSERT_EQ(rig.request("GET /", {"X: a b"}).run(), Progress::done);
  EXPECT_EQ(
      rig.annotations(),
      R"({"injected":[{"secret":"KEY","locations":["header:X-I"]}],"secret_unavailable":["NONE","NONE"],)"
      R"("swapped":[{"secret":"KEY","locations":["header:X"]}]})");
  EXPECT_THAT(rig.fields(), ElementsAre("X: a R", "X-I: R"));
  EXPECT_THAT(rig.failures, ElementsAre(R"(NONE env var "NONE" is not set or empty 60000000000)",
                                        R"(NONE env var "NONE" is not set or empty 60000000000)"));
  rig.request("GET /").run();
  EXPECT_EQ(rig.failures.size(), 2U) << "a cached failure is silent";
}

TEST(SecretsJudge, RequiredAndUnavailableRejectsTunnelsToo) {
  for (const char* use :
       {"replace: {proxy_value: a, require: true}", "inject: {header: X, require: true}"}) {
    Rig rig(Env{{"KEY", "R"}, {"EMPTY", ""}});
    rig.secrets("[" + entry("KEY", "inject: {header: X-I}") + ", " + entry("EMPTY", use) + "]");
    for (const bool tunnel : {false, true}) {
      EXPECT_EQ((tunnel ? rig.tunnel() : rig.request("GET /", {"X: a"})).run(), Progress::rejected);
      EXPECT_EQ(rig.annotations(), R"({"reject_reason":"secret_unavailable","rejected":"EMPTY"})");
      EXPECT_EQ(rig.exchange.denial_reason, "secrets: a required secret is not available");
    }
  }
}

TEST(SecretsJudge, TheFirstEntryThatRefusesDecides) {
  unsetenv("NONE");
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + entry("KEY", "replace: {proxy_value: tok, require: true}") + ", " +
              entry("NONE", "replace: {proxy_value: x, require: true}") + "]");
  rig.request("GET /").run();
  EXPECT_EQ(rig.annotations(), R"({"rejected":"KEY"})");
  rig.request("GET /", {"X: tok"}).run();
  EXPECT_EQ(rig.annotations(), R"({"reject_reason":"secret_unavailable","rejected":"NONE"})");
}

TEST(SecretsJudge, RequireTlsRefusesPlainRequestsAlone) {
  Rig rig(Env{{"KEY", "R"}});
  rig.secrets("[" + entry("KEY", "require_tls: true, replace: {proxy_value: tok}") + "]");
  EXPECT_EQ(rig.request("GET /", {"X: tok"}).run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"reject_reason":"tls_required","rejected":"KEY"})");
  EXPECT_EQ(rig.exchange.denial_reason, "secrets: TLS is required");
  EXPECT_THAT(rig.fields(), ElementsAre("X: tok"));
  EXPECT_EQ(rig.request("GET /").run(), Progress::rejected);
  EXPECT_EQ(rig.request("GET /", {}, "other.test").run(), Progress::done);
  EXPECT_EQ(rig.tunnel().run(), Progress::done);
  rig.request("GET /", {"X: tok"});
  rig.exchange.client_tls = true;
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X: R"));
}

TEST(SecretsJudge, ScrubEntriesAreThoseOfTheHost) {
  unsetenv("NONE");
  Rig rig(Env{{"A", "1"}, {"B", "2"}, {"C", "3"}});
  rig.secrets("[" + entry("A", "inject: {header: X}") + ", " +
              entry("B", "scrub_responses: on, inject: {header: X}") + ", " +
              entry("NONE", "scrub_responses: on, inject: {header: X}") + ", " +
              entry("C", "scrub_responses: block, replace: {proxy_value: tok}") + "]");
  std::vector<ScrubEntry> found;
  rig.pipeline().scrub_entries(rig.request("GET /").exchange, found);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].secret, "B");
  EXPECT_EQ(found[0].token, "");
  EXPECT_TRUE(found[0].value->equals("2"));
  EXPECT_EQ(found[0].mode, ScrubResponses::on);
  EXPECT_EQ(found[1].secret, "C");
  EXPECT_EQ(found[1].token, "tok");
  EXPECT_EQ(found[1].mode, ScrubResponses::block);
  found.clear();
  rig.pipeline().scrub_entries(rig.request("GET /", {}, "other.test").exchange, found);
  EXPECT_THAT(found, IsEmpty());
}

TEST(SecretSource, FailureIsCachedForAMinute) {
  unsetenv("LATE");
  SecretEnvironment environment;
  Services services;
  services.environment = &environment;
  int failures = 0;
  services.secret_failed = [&](auto&, auto&, auto) { ++failures; };
  std::vector<policy::ConfigWarning> warnings;
  Risks risks;
  const auto node = policy::parse_yaml("{type: env, var: LATE}");
  Needs needs;
  const SecretSource source(node.get(), "source",
                            {nullptr, {}, {}, services, warnings, risks, needs});
  constexpr std::int64_t kMinute = 60'000'000'000;
  EXPECT_EQ(source.look_now(5)->value, nullptr);
  EXPECT_EQ(failures, 1);
  setenv("LATE", "value", 1);
  EXPECT_EQ(source.look_now(kMinute + 4)->value, nullptr);
  EXPECT_EQ(failures, 1);
  const Supplied* found = source.look_now(kMinute + 5);
  ASSERT_NE(found->value, nullptr);
  EXPECT_TRUE(found->value->equals("value"));
  Exchange exchange;
  EXPECT_EQ(source.look(exchange), found);
  EXPECT_EQ(failures, 1);
}

TEST(SecretSource, JsonKeyTakesATextMember) {
  struct Case {
    const char* value;
    const char* key;
    bool available;
    const char* expected;
  };
  for (const Case& at : {Case{R"({"a":"x","k":"v\u00e9\n"})", "k", true, "v\xc3\xa9\n"},
                         Case{R"({"k":""})", "k", true, ""}, Case{R"({"k":1})", "k", false, ""},
                         Case{R"({"a":"x"})", "k", false, ""}, Case{"plain", "k", false, ""}}) {
    Rig rig(Env{{"DOC", at.value}});
    rig.secrets("[{source: {type: env, var: DOC, json_key: " + std::string(at.key) +
                "}, inject: {header: X}, rules: [{host: api.test}]}]");
    ASSERT_EQ(rig.request("GET /").run(), Progress::done);
    EXPECT_THAT(rig.failures, IsEmpty());
    if (at.available) {
      EXPECT_THAT(rig.fields(), ElementsAre(std::string("X: ") + at.expected));
    } else {
      EXPECT_EQ(rig.annotations(), R"({"secret_unavailable":["DOC"]})");
    }
  }
}

}  // namespace
}  // namespace iron::transforms

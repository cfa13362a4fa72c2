#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/transforms/rig.h"
#include "tests/transforms/rsa_keys.h"
#include "transforms/auth/secret_base64.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Progress = Pipeline::Progress;

constexpr std::int64_t kSecond = 1'000'000'000;
const Env kVariables = {{"O_ID", "client id&1"}, {"O_SECRET", "s3cr=t"}, {"O_REFRESH", "r+t/1 &"},
                        {"O_USER", "user@x"},    {"O_PASSWORD", "p w"},  {"O_HEADER", "hdr-v"},
                        {"O_ISSUER", "iss-1"},   {"O_SUBJECT", "sub-1"}, {"O_KEY_ID", "kid-1"}};

std::string source(const std::string& variable) { return "{type: env, var: " + variable + "}"; }
const std::string kId = "client_id: " + source("O_ID");
const std::string kSecret = "client_secret: " + source("O_SECRET");
const std::string kRefresh = "refresh_token: " + source("O_REFRESH");
const std::string kUser = "username: " + source("O_USER");
const std::string kPassword = "password: " + source("O_PASSWORD");
const std::string kIssuer = "issuer: " + source("O_ISSUER");
const std::string kSubject = "subject: " + source("O_SUBJECT");
const std::string kKey = "private_key: " + source("O_KEY");
const std::string kEndpoint = "token_endpoint: 'http://idp.test:9/oauth/token?tenant=9'";
const std::string kRules = "rules: [{host: api.test}]";

std::string entry(std::vector<std::string> members) {
  std::string out = "{tokens: [{";
  for (const std::string& member : members) out += member + ", ";
  return out + "}]}";
}

const std::string kClientCredentials = entry(
    {"grant: client_credentials", kEndpoint, kId, kSecret, "scopes: [a.read, 'b&c']", kRules});

std::string fault_of(const std::string& yaml) {
  Rig rig(kVariables);
  return rig.with("oauth_token", yaml).build_error();
}

TEST(OauthToken, FaultsInTheirOrder) {
  struct Row {
    std::string yaml, fault;
  };
  const std::string grant = "grant: client_credentials";
  for (
      const Row& row : {
          Row{entry({"grant: x"}),
              R"("grant" must be one of refresh_token, client_credentials, password, jwt_bearer (got "x"))"},
          Row{entry({}),
              R"("grant" must be one of refresh_token, client_credentials, password, jwt_bearer (got ""))"},
          Row{entry({grant}), R"(client_credentials grant requires "token_endpoint")"},
          Row{entry({"grant: jwt_bearer", kEndpoint}), R"(jwt_bearer grant requires "audience")"},
          Row{entry({"grant: refresh_token", kEndpoint}),
              R"(refresh_token grant requires "refresh_token")"},
          Row{entry({"grant: refresh_token", kEndpoint, kRefresh}),
              R"(refresh_token grant requires "client_id")"},
          Row{entry({grant, kEndpoint, kId}),
              R"(client_credentials grant requires "client_id" and "client_secret")"},
          Row{entry({"grant: password", kEndpoint, kUser}),
              R"(password grant requires "username" and "password")"},
          Row{entry({"grant: password", kEndpoint, kUser, kPassword}),
              R"(password grant requires "client_id")"},
          Row{entry({"grant: jwt_bearer", kEndpoint, "audience: a"}),
              R"(jwt_bearer grant requires "issuer")"},
          Row{entry({"grant: jwt_bearer", kEndpoint, "audience: a", kIssuer}),
              R"(jwt_bearer grant requires "subject")"},
          Row{entry({"grant: jwt_bearer", kEndpoint, "audience: a", kIssuer, kSubject}),
              R"(jwt_bearer grant requires "private_key")"},
          Row{entry({grant, kEndpoint, "client_id: {type: env}", kSecret}),
              R"(building client_id source: env source requires "var" field)"},
          Row{entry({grant, kEndpoint, kId, kSecret, "token_endpoint_headers: {'': {type: env}}"}),
              "token_endpoint_headers: header name must not be empty"},
          Row{entry({grant, kEndpoint, kId, kSecret, "token_endpoint_headers: {K: {type: zz}}"}),
              R"(token_endpoint_headers["K"]: unsupported source type "zz")"},
          Row{entry({grant, kEndpoint, kId, kSecret, "rules: [{}]"}),
              "rules: rules[0]: one of host or cidr is required"},
          Row{entry({grant, kEndpoint, kId, kSecret}),
              R"(at least one entry in "rules" is required)"},
          Row{entry({grant, "token_endpoint: nohost", kId, kSecret, kRules}),
              R"(invalid token_endpoint: "nohost" has no host)"},
          Row{entry({grant, "token_endpoint: 'http://a:b/'", kId, kSecret, kRules}),
              R"(invalid token_endpoint: parse "http://a:b/": invalid port ":b" after host)"},
      }) {
    EXPECT_EQ(fault_of(row.yaml),
              "initializing transform \"oauth_token\": oauth_token: tokens[0]: " + row.fault)
        << row.yaml;
  }
  EXPECT_EQ(fault_of("{}"),
            "initializing transform \"oauth_token\": oauth_token: at least one entry in \"tokens\" "
            "is required");
  EXPECT_EQ(fault_of(kClientCredentials), "");
  // What a grant does not use is not built.
  EXPECT_EQ(fault_of(entry({grant, kEndpoint, kId, kSecret, kRules, "password: {type: zz}"})), "");
  EXPECT_THAT(fault_of(entry({grant, kEndpoint, kId, kSecret, kRules, "require: x"})),
              HasSubstr("parsing oauth_token config: yaml: unmarshal errors:\n  line 1: cannot "
                        "unmarshal !!str `x` into bool"));
}

TEST(OauthToken, RequestsByteForByte) {
  struct Row {
    std::string yaml, body;
  };
  for (const Row& row : {
           Row{kClientCredentials,
               "client_id=client+id%261&client_secret=s3cr%3Dt&grant_type=client_credentials&scope="
               "a."
               "read+b%26c"},
           Row{entry({"grant: refresh_token", kEndpoint, kId, kSecret, kRefresh, "scopes: [x]",
                      kRules}),
               "client_id=client+id%261&client_secret=s3cr%3Dt&grant_type=refresh_token&refresh_"
               "token="
               "r%2Bt%2F1+%26"},
           Row{entry({"grant: password", kEndpoint, kId, kUser, kPassword, kRules}),
               "client_id=client+id%261&grant_type=password&password=p+w&username=user%40x"},
           Row{entry({"grant: password", kEndpoint, kId, kSecret, kUser, kPassword,
                      "scopes: [a.read, 'b&c']", kRules}),
               "client_id=client+id%261&client_secret=s3cr%3Dt&grant_type=password&password=p+w&"
               "scope="
               "a.read+b%26c&username=user%40x"},
       }) {
    Rig rig(kVariables);
    rig.with("oauth_token", row.yaml);
    rig.outside.answers(200, R"({"access_token":"tok-1","expires_in":3600})");
    ASSERT_EQ(rig.request("GET /", {"Authorization: Bearer client"}).run(), Progress::done);
    EXPECT_THAT(rig.fields(), ElementsAre("Authorization: Bearer tok-1"));
    ASSERT_EQ(rig.outside.sent.size(), 1U);
    const FakeOutside::Sent& sent = rig.outside.sent[0];
    EXPECT_EQ(sent.first_line(), "POST http://idp.test:9/oauth/token?tenant=9");
    EXPECT_EQ(sent.body, row.body);
    EXPECT_EQ(sent.redirects, CallRequest::Redirects::followed);
    EXPECT_THAT(sent.fields, ElementsAre("User-Agent: Go-http-client/1.1", "Content-Length: ",
                                         "Content-Type: application/x-www-form-urlencoded",
                                         "Accept-Encoding: gzip"));
  }
}

TEST(OauthToken, FieldsOfTheEndpointAndOfTheRequest) {
  Rig rig(kVariables);
  rig.with("oauth_token", entry({"grant: client_credentials", kEndpoint, kId, kSecret, kRules,
                                 "header: x-TOK", "value_prefix: 'Tok='",
                                 "token_endpoint_headers: {x-api-key: " + source("O_HEADER") +
                                     ", user-agent: " + source("O_HEADER") + "}"}));
  rig.outside.answers(200, R"({"access_token":"tok-1"})");
  ASSERT_EQ(rig.request("GET /", {"X-tok: a", "x-TOK: b"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X-Tok: Tok=tok-1"));
  EXPECT_EQ(rig.annotations(), R"({"grant":"client_credentials","injected":["header:X-Tok"]})");
  EXPECT_THAT(rig.outside.sent.at(0).fields,
              ElementsAre("Content-Length: ", "Content-Type: application/x-www-form-urlencoded",
                          "User-Agent: hdr-v", "X-Api-Key: hdr-v", "Accept-Encoding: gzip"));
}

TEST(OauthToken, OneThatDoesNotMatchIsLeftAlone) {
  Rig rig(kVariables);
  rig.with("oauth_token", kClientCredentials);
  ASSERT_EQ(rig.request("GET /", {"Authorization: mine"}, "other.test").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: mine"));
  EXPECT_EQ(rig.annotations(), "");
}

TEST(OauthToken, StubsWhateverTheRulesSay) {
  Rig rig(kVariables);
  rig.with("oauth_token", kClientCredentials);
  for (const char* line : {"GET /oauth/token", "POST /oauth/token?x=1", "DELETE /oauth/%74oken",
                           "POST /oauth/./token", "POST //oauth//token", "POST /oauth/token/"}) {
    ASSERT_EQ(rig.request(line, {}, "idp.test:7777").run(), Progress::answered) << line;
    EXPECT_EQ(rig.exchange.answer->status, 200);
    EXPECT_EQ(rig.exchange.answer->content_type, "application/json");
    EXPECT_EQ(
        rig.exchange.answer->body,
        R"({"access_token":"iron-proxy-stub-token","expires_in":3600,"token_type":"Bearer"})");
    EXPECT_EQ(rig.annotations(), R"({"stubbed":"oauth2_token_endpoint"})");
    EXPECT_EQ(rig.exchange.stubbed_by, "oauth_token");
    EXPECT_EQ(rig.exchange.request_traces[0].action, TraceAction::stub);
  }
  EXPECT_EQ(rig.request("GET /oauth/token2", {}, "idp.test").run(), Progress::done);
  EXPECT_EQ(rig.tunnel({}, "idp.test:443").run(), Progress::done);
}

/// Fetches as the desk of calls would, once the time of the last one is over.
Supplied fetch(Rig& rig, std::int64_t after_ns = 0) {
  rig.outside.time_ns += after_ns;
  const auto last = static_cast<std::uint32_t>(rig.pipeline().supply_count() - 1);
  return result_of(rig.pipeline().supply(last).fetch(rig.outside));
}

TEST(OauthToken, KeptToTenSecondsBeforeItsEnd) {
  Rig rig(kVariables);
  rig.with("oauth_token", kClientCredentials);
  rig.outside.answers(200, R"({"access_token":"one","expires_in":11})");
  EXPECT_EQ(text_of(*fetch(rig).value), "Bearer one");
  EXPECT_EQ(text_of(*fetch(rig, kSecond - 1).value), "Bearer one");
  rig.outside.answers(200, R"({"access_token":"two","expires_in":"10"})");
  EXPECT_EQ(text_of(*fetch(rig, 1).value), "Bearer two");
  rig.outside.answers(200, R"({"access_token":"three"})");
  EXPECT_EQ(text_of(*fetch(rig).value), "Bearer three");
  EXPECT_EQ(fetch(rig, 1'000'000 * kSecond).until_ns, INT64_MAX);
  EXPECT_EQ(rig.outside.sent.size(), 3U);
}

TEST(OauthToken, AFailureIsNotKept) {
  Rig rig(kVariables);
  rig.with("oauth_token", kClientCredentials);
  rig.outside.answers(500, "boom");
  EXPECT_EQ(fetch(rig).reason, "token_endpoint_http_500");
  rig.outside.answers(200, R"({"access_token":"one"})");
  EXPECT_EQ(text_of(*fetch(rig).value), "Bearer one");
}

TEST(OauthToken, RotatedRefreshTokensAreUsedNext) {
  Rig rig(kVariables);
  rig.with("oauth_token", entry({"grant: refresh_token", kEndpoint, kId, kRefresh, kRules}));
  const char* const kSent[] = {"r%2Bt%2F1+%26", "r1", "r2", "r2"};
  const char* const kRotated[] = {R"(,"refresh_token":"r1")", R"(,"refresh_token":"r2")", "", ""};
  for (int i = 0; i < 4; ++i) {
    rig.outside.answers(200,
                        std::string(R"({"access_token":"a","expires_in":5)") + kRotated[i] + "}");
    fetch(rig);
    EXPECT_EQ(
        rig.outside.sent.back().body,
        std::string("client_id=client+id%261&grant_type=refresh_token&refresh_token=") + kSent[i]);
  }
}

TEST(OauthToken, AChangedCredentialDropsWhatCameByIt) {
  Rig rig(kVariables);
  rig.with("oauth_token", entry({"grant: refresh_token", kEndpoint,
                                 "client_id: {type: file, path: /id, ttl: 5s}", kRefresh, kRules}));
  rig.outside.files["/id"] = "first";
  rig.outside.answers(200, R"({"access_token":"one","refresh_token":"rotated"})");
  const Supplied one = fetch(rig);
  EXPECT_EQ(text_of(*one.value), "Bearer one");
  EXPECT_EQ(one.until_ns, rig.outside.time_ns + 5 * kSecond);
  // The same credential: the same token, for another while.
  EXPECT_EQ(text_of(*fetch(rig, 5 * kSecond).value), "Bearer one");
  rig.outside.files["/id"] = "second";
  rig.outside.answers(200, R"({"access_token":"two"})");
  EXPECT_EQ(text_of(*fetch(rig, 5 * kSecond).value), "Bearer two");
  EXPECT_EQ(rig.outside.sent.back().body,
            "client_id=second&grant_type=refresh_token&refresh_token=r%2Bt%2F1+%26");
  EXPECT_EQ(rig.outside.sent.size(), 2U);
}

TEST(OauthToken, FailuresAndTheirReasons) {
  struct Row {
    int status;
    const char* body;
    const char* reason;
    const char* text;
    const char* level;
  };
  for (const bool jwt : {false, true}) {
    const std::string grant = jwt ? "jwt_bearer" : "client_credentials";
    for (const Row& row : {
             Row{400, R"({"error":"invalid_grant","error_description":"revoked"})",
                 jwt ? "token_endpoint_http_400" : "invalid_grant",
                 jwt ? "oauth2: cannot fetch token: 400 Bad Request"
                     : R"(oauth2: "invalid_grant" "revoked")",
                 jwt ? "WARN" : "ERROR"},
             Row{400, R"({"error":"invalid_client"})",
                 jwt ? "token_endpoint_http_400" : "invalid_client",
                 jwt ? "oauth2: cannot fetch token: 400 Bad Request"
                     : R"(oauth2: "invalid_client")",
                 "WARN"},
             Row{200, R"({"error":"weird"})", jwt ? "mint_failed" : "weird",
                 jwt ? "" : R"(oauth2: "weird")", "WARN"},
             Row{500, "boom", "token_endpoint_http_500",
                 "oauth2: cannot fetch token: 500 Internal Server Error\nResponse: boom", "WARN"},
             Row{200, "{}", "mint_failed",
                 jwt ? "" : "oauth2: server response missing access_token", "WARN"},
             Row{200, "nonsense", "mint_failed", "oauth2: cannot ", "WARN"},
         }) {
      Env variables = kVariables;
      variables.emplace_back("O_KEY", test::rsa_key_pem());
      Rig rig(variables);
      rig.with("oauth_token", jwt ? entry({"grant: jwt_bearer", kEndpoint, "audience: a", kIssuer,
                                           kSubject, kKey, kRules})
                                  : kClientCredentials);
      rig.outside.answers(row.status, row.body);
      ASSERT_EQ(rig.request("GET /", {"Authorization: client"}).run(), Progress::rejected);
      EXPECT_EQ(rig.exchange.answer->status, 502);
      EXPECT_EQ(
          rig.exchange.answer->body,
          R"({"error":"oauth_token failed to mint an access token","grant":")" + grant + R"("})");
      EXPECT_EQ(rig.annotations(), R"({"error":")" + std::string(row.reason) + R"(","grant":")" +
                                       grant + R"(","rejected":"token_unavailable"})");
      ASSERT_EQ(rig.outside.notes.size(), 1U);
      EXPECT_THAT(rig.outside.notes[0],
                  StartsWith(std::string(row.level) + " oauth_token mint failed grant=" + grant +
                             " reason=" + row.reason + " error="));
      EXPECT_THAT(rig.outside.notes[0], HasSubstr(row.text)) << row.body;
    }
  }
}

TEST(OauthToken, RequireFalseLetsTheRequestGo) {
  Rig rig(kVariables);
  rig.with("oauth_token",
           entry({"grant: client_credentials", kEndpoint, kId, kSecret, kRules, "require: false"}));
  rig.outside.fails("dial tcp 127.0.0.1:9: connect: connection refused");
  ASSERT_EQ(rig.request("GET /", {"Authorization: client"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: client"));
  EXPECT_EQ(
      rig.annotations(),
      R"({"error":"mint_failed","grant":"client_credentials","skipped":"token_unavailable"})");
  EXPECT_THAT(
      rig.outside.notes,
      ElementsAre("WARN oauth_token mint failed grant=client_credentials reason=mint_failed "
                  "error=minting client_credentials access token: Post "
                  "\"http://idp.test:9/oauth/token?tenant=9\": dial tcp 127.0.0.1:9: "
                  "connect: connection refused"));
}

TEST(OauthToken, ASourceThatHasNothing) {
  unsetenv("O_NONE");
  Rig rig(kVariables);
  rig.with("oauth_token", entry({"grant: client_credentials", kEndpoint, kId,
                                 "client_secret: " + source("O_NONE"), kRules}));
  ASSERT_EQ(rig.request("GET /").run(), Progress::rejected);
  EXPECT_THAT(
      rig.outside.notes,
      ElementsAre("WARN oauth_token mint failed grant=client_credentials reason=mint_failed "
                  "error=loading client_secret from \"O_NONE\": env var \"O_NONE\" is not "
                  "set or empty"));
  EXPECT_TRUE(rig.outside.sent.empty());
}

TEST(OauthToken, AnAssertionIsSignedForEachExchange) {
  Env variables = kVariables;
  variables.emplace_back("O_KEY", test::rsa_key_pem());
  Rig rig(variables);
  rig.with("oauth_token",
           entry({"grant: jwt_bearer", kEndpoint, "audience: aud.example", kIssuer, kSubject, kKey,
                  "private_key_id: " + source("O_KEY_ID"), "scopes: [a.read, 'b&c']", kRules}));
  rig.outside.answers(200, R"({"access_token":"tok","expires_in":1})");
  rig.outside.answers(200, R"({"access_token":"tok","expires_in":1})");
  fetch(rig);
  fetch(rig, kSecond);
  const std::string& body = rig.outside.sent.at(0).body;
  EXPECT_NE(body, rig.outside.sent.at(1).body);
  const std::string end = "&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
  ASSERT_TRUE(body.starts_with("assertion=") && body.ends_with(end)) << body;
  const std::string token = body.substr(10, body.size() - 10 - end.size());
  const std::size_t first = token.find('.'), second = token.rfind('.');
  const auto decoded = [](const std::string& part) {
    return text_of(*secret_from_base64(part, Base64Form::url));
  };
  EXPECT_EQ(decoded(token.substr(0, first)), R"({"alg":"RS256","typ":"JWT","kid":"kid-1"})");
  EXPECT_EQ(decoded(token.substr(first + 1, second - first - 1)),
            R"({"iss":"iss-1","scope":"a.read b\u0026c","aud":"aud.example","exp":1795513452,)"
            R"("iat":1795509852,"sub":"sub-1","prn":"sub-1"})");
}

}  // namespace
}  // namespace iron::transforms

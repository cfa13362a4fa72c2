#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"

namespace iron::transforms {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr const char* kSource = "{type: vault_kv, mount: secret, path: svc/openai, ttl: -1ns}";
constexpr const char* kFirst = "{type: vault_kv, mount: secret, path: svc/openai, kv_version: 1}";
constexpr const char* kFront = R"(!reading Vault KV secret "secret/svc/openai": )";
constexpr const char* kGood = R"({"data":{"data":{"k":"v"},"metadata":{"version":3}}})";

FakeOutside with_token() {
  FakeOutside outside;
  outside.variables["VAULT_ADDR"] = "http://127.0.0.1:1";
  outside.secret_variables["VAULT_TOKEN"] = "hvs.token-0123456789";
  return outside;
}

TEST(VaultSource, FaultsOfTheBlock) {
  struct Row {
    const char* yaml;
    const char* fault;
  };
  for (const Row& row : {
           Row{"{type: vault_kv}", R"(vault_kv source requires "mount" field)"},
           Row{"{type: vault_kv, path: p, kv_version: 3}",
               R"(vault_kv source requires "mount" field)"},
           Row{"{type: vault_kv, mount: m, kv_version: 3}",
               R"(vault_kv source requires "path" field)"},
           Row{"{type: vault_kv, mount: m, path: p, kv_version: 3, ttl: x}",
               "vault_kv source kv_version must be 1 or 2, got 3"},
           Row{"{type: vault_kv, mount: m, path: p, kv_version: -1}",
               "vault_kv source kv_version must be 1 or 2, got -1"},
           Row{"{type: vault_kv, mount: m, path: p, ttl: zz}",
               R"(parsing ttl "zz": time: invalid duration "zz")"},
           Row{"{type: vault_kv, mount: m, path: p, failure_ttl: '5'}",
               R"(parsing failure_ttl "5": time: missing unit in duration "5")"},
           Row{"{type: vault_kv, mount: m, path: p, kv_version: 0}", "none"},
           Row{"{type: vault_kv, mount: m, path: p, kv_version: 1, json_key: k}", "none"},
       }) {
    EXPECT_EQ(fault_of(row.yaml), row.fault) << row.yaml;
  }
  EXPECT_THAT(fault_of("{type: vault_kv, path: [a]}"),
              StartsWith("parsing vault_kv source config: yaml: unmarshal errors:\n"
                         "  line 1: cannot unmarshal !!seq into string"));
  EXPECT_EQ(BuiltSource(kSource).source->name(), "vault_kv:secret/svc/openai");
}

TEST(VaultSource, WhatIsSent) {
  FakeOutside outside = with_token();
  outside.variables["VAULT_NAMESPACE"] = "ns/a";
  outside.answers(200, kGood);
  EXPECT_EQ(BuiltSource(kSource).get(outside), R"({"k":"v"})");
  ASSERT_EQ(outside.sent.size(), 1U);
  EXPECT_EQ(outside.sent[0].first_line(), "GET http://127.0.0.1:1/v1/secret/data/svc/openai");
  EXPECT_THAT(outside.sent[0].fields,
              ElementsAre("X-Vault-Request: true", "X-Vault-Token: hvs.token-0123456789",
                          "X-Vault-Namespace: ns/a"));
  EXPECT_EQ(outside.sent[0].redirects, CallRequest::Redirects::followed_once);
  EXPECT_TRUE(outside.sent[0].trust.usual());
  EXPECT_FALSE(outside.sent[0].parent.has_value());
}

TEST(VaultSource, WithoutAToken) {
  FakeOutside outside;
  outside.answers(200, R"({"data":{"k":"v"}})");
  EXPECT_EQ(BuiltSource(kFirst).get(outside), R"({"k":"v"})");
  EXPECT_EQ(outside.sent[0].first_line(), "GET https://127.0.0.1:8200/v1/secret/svc/openai");
  EXPECT_THAT(outside.sent[0].fields, ElementsAre("X-Vault-Request: true"));
}

TEST(VaultSource, PathsAreCleanedAndEncoded) {
  struct Row {
    const char *address, *mount, *path, *url;
  };
  for (const Row& row : {
           Row{"http://v:1", "secret", "/svc//x y/ü?z",
               "http://v:1/v1/secret/data/svc/x%20y/%C3%BC%3Fz"},
           Row{"http://v:1", "/team/kv/", "a/../b/", "http://v:1/v1/team/kv/data/b"},
           Row{"http://v:1/", "kv", "./a/.", "http://v:1/v1/kv/data/a"},
           Row{"http://v:1/base/", "kv", "a%b", "http://v:1/base/v1/kv/data/a%25b"},
           Row{"http://v:1", "kv", "a+b:c@d,e;f=g$h&i~j",
               "http://v:1/v1/kv/data/a+b:c@d,e;f=g$h&i~j"},
           Row{"http://v:1", "kv", "a'(b)*!#", "http://v:1/v1/kv/data/a%27%28b%29%2A%21%23"},
           Row{"http://v:1", "kv", "../../../../a", "http://v:1/a"},
       }) {
    FakeOutside outside;
    outside.variables["VAULT_ADDR"] = row.address;
    outside.answers(200, kGood);
    BuiltSource(std::string("{type: vault_kv, mount: \"") + row.mount + "\", path: \"" + row.path +
                "\"}")
        .get(outside);
    ASSERT_EQ(outside.sent.size(), 1U);
    EXPECT_EQ(outside.sent[0].url, row.url);
  }
}

TEST(VaultSource, TheValueIsTheDataObject) {
  struct Row {
    const char *data, *value;
  };
  for (const Row& row : {
           Row{R"({ "b" : 1.50, "a" : "x" })", R"({"a":"x","b":1.50})"},
           Row{R"({"n":12345678901234567890,"t":"<&>"})",
               R"({"n":12345678901234567890,"t":"\u003c\u0026\u003e"})"},
       }) {
    FakeOutside outside = with_token();
    outside.answers(200, R"({"data":{"data":)" + std::string(row.data) + "}}");
    EXPECT_EQ(BuiltSource(kSource).get(outside), row.value);
  }
}

TEST(VaultSource, WhatAnAnswerSays) {
  const std::string refused =
      "error encountered while reading secret at secret/data/svc/openai: Error making API "
      "request.\n\nURL: GET http://127.0.0.1:1/v1/secret/data/svc/openai\nCode: ";
  struct Row {
    int status;
    std::string body, error;
  };
  for (const Row& row : std::vector<Row>{
           {404, R"({"errors":[]})", "secret not found: at secret/data/svc/openai"},
           {404, "<html>", "secret not found: at secret/data/svc/openai"},
           {404, R"({"errors":[],"warnings":["W1","W2"]})", "secret resolved without data: W1; W2"},
           {404, R"({"data":{"data":null,"metadata":{"deletion_time":"x"}}})",
            "secret resolved without data"},
           {403, R"({"errors":["permission denied"]})",
            refused + "403. Errors:\n\n* permission denied"},
           {400, R"({"errors":["a","b"]})", refused + "400. Errors:\n\n* a\n* b"},
           {501, "internal <b>", refused + "501. Errors:\n\n"},
           {307, "", refused + "307. Errors:\n\n"},
           {403, R"({"errors":["of hvs.token-0123456789"]})", refused + "403. Errors:\n\n"},
           {403, "{\"errors\":[\"" + std::string(400, 'x') + "\"]}",
            refused + "403. Errors:\n\n* " + std::string(254, 'x')},
           {200, R"({"data":{"k":"v"}})",
            "error parsing secret at secret/data/svc/openai: missing expected 'data' element"},
           {200, R"({"data":{"data":null}})", "secret resolved without data"},
           {200, R"({"data":{"data":"sk"}})",
            "error parsing secret at secret/data/svc/openai: unexpected type of 'data' element"},
           {200, R"({"data":null,"warnings":["W"]})", "secret resolved without data: W"},
           {200, R"({"data":null})", "secret resolved without data"},
           {204, "", "secret not found: at secret/data/svc/openai"},
           {200, R"({"data":)",
            "error encountered while reading secret at secret/data/svc/openai: decoding response: "
            "invalid JSON"},
       }) {
    FakeOutside outside = with_token();
    outside.answers(row.status, row.body);
    EXPECT_EQ(BuiltSource(kSource).get(outside), kFront + row.error) << row.body;
    EXPECT_THAT(outside.slept, IsEmpty());
  }
  FakeOutside outside = with_token();
  outside.answers(200, R"({"data":{"data":{}}})");
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            R"(!vault KV secret "secret/svc/openai" resolved without data)");
}

TEST(VaultSource, ErrorsOfVersionOneNameItsPath) {
  FakeOutside outside = with_token();
  outside.answers(404, R"({"errors":[]})");
  EXPECT_EQ(BuiltSource(kFirst).get(outside),
            std::string(kFront) + "secret not found: at secret/svc/openai");
  outside.answers(200, R"({"data":{}})");
  EXPECT_EQ(BuiltSource(kFirst).get(outside),
            R"(!vault KV secret "secret/svc/openai" resolved without data)");
}

TEST(VaultSource, TheLogsNetKnowsTheToken) {
  FakeOutside outside = with_token();
  outside.answers(403, "{}");
  BuiltSource built(kSource);
  built.get(outside);
  ASSERT_EQ(built.last.keys.size(), 1U);
  EXPECT_EQ(text_of(*built.last.keys[0]), "hvs.token-0123456789");
  outside.time_ns += 60'000'000'000;
  outside.answers(200, kGood);
  built.get(outside);
  EXPECT_EQ(built.last.keys.size(), 2U);
}

TEST(VaultSource, NetworkErrorsNameTheUrl) {
  FakeOutside outside = with_token();
  outside.fails("EOF");
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            std::string(kFront) +
                "error encountered while reading secret at secret/data/svc/openai: Get "
                "\"http://127.0.0.1:1/v1/secret/data/svc/openai\": EOF");
  EXPECT_EQ(outside.sent.size(), 1U);
}

TEST(VaultSource, WhatIsTriedAgain) {
  struct Row {
    int status;
    const char* retry_after;
    std::vector<std::chrono::nanoseconds> slept;
  };
  for (const Row& row : std::vector<Row>{
           {503, nullptr, {seconds(1), seconds(2)}},
           {500, nullptr, {seconds(1), seconds(2)}},
           {412, nullptr, {seconds(1), seconds(2)}},
           {429, "1", {seconds(1), seconds(1)}},
           {429, "0", {seconds(0), seconds(0)}},
           {429, "x", {seconds(1), seconds(2)}},
           {429, "31", {}},
           {501, nullptr, {}},
           {403, nullptr, {}},
       }) {
    FakeOutside outside = with_token();
    outside.otherwise = [&row](const FakeOutside::Sent&) -> Result<CallAnswer> {
      std::vector<std::string> fields;
      if (row.retry_after) fields.push_back(std::string("Retry-After: ") + row.retry_after);
      return FakeOutside::answer(row.status, R"({"errors":["no"]})", fields);
    };
    EXPECT_THAT(BuiltSource(kSource).get(outside),
                ::testing::EndsWith("Code: " + std::to_string(row.status) + ". Errors:\n\n* no"));
    EXPECT_EQ(outside.slept, row.slept) << row.status;
    EXPECT_EQ(outside.sent.size(), row.slept.size() + 1);
  }
}

TEST(VaultSource, ARefusedConnectionIsTriedAgain) {
  FakeOutside outside = with_token();
  for (int i = 0; i < 2; ++i) outside.fails("dial tcp 127.0.0.1:1: connect: connection refused");
  outside.answers(200, kGood);
  EXPECT_EQ(BuiltSource(kSource).get(outside), R"({"k":"v"})");
  EXPECT_THAT(outside.slept, ElementsAre(seconds(1), seconds(2)));
}

TEST(VaultSource, HowOftenItIsTried) {
  for (const auto& [text, attempts] : {std::pair{"0", 1U}, {"1", 2U}, {"4", 5U}}) {
    FakeOutside outside = with_token();
    outside.variables["VAULT_MAX_RETRIES"] = text;
    outside.otherwise = [](const FakeOutside::Sent&) -> Result<CallAnswer> {
      return FakeOutside::answer(503, "");
    };
    BuiltSource(kSource).get(outside);
    EXPECT_EQ(outside.sent.size(), attempts);
  }
}

TEST(VaultSource, VariablesSetTheCall) {
  FakeOutside outside = with_token();
  outside.variables["VAULT_AGENT_ADDR"] = "http://agent:9";
  outside.variables["VAULT_DISABLE_REDIRECTS"] = "true";
  outside.variables["VAULT_CLIENT_TIMEOUT"] = "5";
  outside.variables["VAULT_HTTP_PROXY"] = "http://second:1";
  outside.variables["VAULT_TLS_SERVER_NAME"] = "vault.test";
  outside.variables["VAULT_SKIP_VERIFY"] = "1";
  outside.variables["VAULT_CACERT"] = "/ca.pem";
  outside.variables["VAULT_CACERT_BYTES"] = "bytes";
  outside.variables["VAULT_CLIENT_CERT"] = "/c.pem";
  outside.variables["VAULT_CLIENT_KEY"] = "/k.pem";
  outside.files = {{"/ca.pem", "anchors"}, {"/c.pem", "certificate"}, {"/k.pem", "key"}};
  outside.answers(200, kGood);
  BuiltSource(kSource).get(outside);
  ASSERT_EQ(outside.sent.size(), 1U);
  const FakeOutside::Sent& sent = outside.sent[0];
  EXPECT_EQ(sent.url, "http://agent:9/v1/secret/data/svc/openai");
  EXPECT_EQ(sent.redirects, CallRequest::Redirects::refused);
  EXPECT_EQ(sent.limit, seconds(5));
  EXPECT_EQ(sent.parent, "http://second:1");
  EXPECT_EQ(sent.trust.server_name, "vault.test");
  EXPECT_FALSE(sent.trust.verifies);
  EXPECT_FALSE(sent.trust.anchors_add);
  EXPECT_EQ(text_of(*sent.trust.anchors), "anchors");
  EXPECT_EQ(text_of(*sent.trust.certificate), "certificate");
  EXPECT_EQ(text_of(*sent.trust.key), "key");
}

TEST(VaultSource, FurtherSpellingsOfVariables) {
  FakeOutside outside = with_token();
  outside.variables["VAULT_CLIENT_TIMEOUT"] = "1500ms";
  outside.variables["VAULT_PROXY_ADDR"] = "http://first:1";
  outside.variables["VAULT_HTTP_PROXY"] = "http://second:1";
  outside.variables["VAULT_CACERT_BYTES"] = "bytes";
  outside.answers(200, kGood);
  BuiltSource(kSource).get(outside);
  outside.variables["VAULT_CLIENT_TIMEOUT"] = "1h";
  outside.variables.erase("VAULT_CACERT_BYTES");
  outside.variables["VAULT_CAPATH"] = "/cas";
  outside.files = {{"/cas/a", "one"}, {"/cas/b", "two"}, {"/other", "no"}};
  outside.answers(200, kGood);
  BuiltSource(kSource).get(outside);
  ASSERT_EQ(outside.sent.size(), 2U);
  EXPECT_EQ(outside.sent[0].limit, std::chrono::milliseconds(1500));
  EXPECT_EQ(outside.sent[0].parent, "http://first:1");
  EXPECT_EQ(text_of(*outside.sent[0].trust.anchors), "bytes");
  EXPECT_EQ(outside.sent[1].limit, seconds(30));
  EXPECT_EQ(text_of(*outside.sent[1].trust.anchors), "one\ntwo\n");
}

TEST(VaultSource, VariablesThatCannotBeUsed) {
  const std::string setup = "error encountered setting up default configuration: ";
  struct Row {
    const char *name, *value;
    std::string error;
  };
  for (const Row& row : std::vector<Row>{
           {"VAULT_SKIP_VERIFY", "maybe", setup + "could not parse VAULT_SKIP_VERIFY"},
           {"VAULT_DISABLE_REDIRECTS", "x", setup + "could not parse VAULT_DISABLE_REDIRECTS"},
           {"VAULT_MAX_RETRIES", "-1", setup + "could not parse VAULT_MAX_RETRIES"},
           {"VAULT_CLIENT_TIMEOUT", "soon", setup + "could not parse VAULT_CLIENT_TIMEOUT"},
           {"VAULT_CLIENT_TIMEOUT", "-1s", setup + "could not parse VAULT_CLIENT_TIMEOUT"},
           {"VAULT_CACERT", "/nope",
            setup + "Error loading CA File: open /nope: no such file or directory"},
           {"VAULT_CAPATH", "/nope",
            setup + "Error loading CA Path: open /nope: no such file or directory"},
           {"VAULT_CLIENT_CERT", "/nope",
            setup + "both client cert and client key must be provided"},
           {"VAULT_ADDR", "127.0.0.1:8200", "\"127.0.0.1:8200\" has no host"},
           {"VAULT_ADDR", "unix:///run/x", "parse \"unix:///run/x\": unsupported protocol scheme"},
       }) {
    FakeOutside outside = with_token();
    outside.variables[row.name] = row.value;
    EXPECT_EQ(BuiltSource(kSource).get(outside), "!creating Vault client: " + row.error);
    EXPECT_THAT(outside.sent, IsEmpty());
  }
}

}  // namespace
}  // namespace iron::transforms

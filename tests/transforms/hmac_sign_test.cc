#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Progress = Pipeline::Progress;

constexpr const char* kRules = ", rules: [{host: api.test}, {host: 127.0.0.1}]";
constexpr const char* kSecret = ", credentials: {secret: {type: env, var: HMAC_KEY}}";

/// A config with this message, and a field `X-Sig` that holds the signature.
std::string config(const std::string& message, const std::string& more = {}) {
  return "{signature: {message: '" + message + "'" + more +
         "}, headers: [{name: X-Sig, value: '{{.Signature}}'}]" + kSecret + kRules + "}";
}

std::string fault_of(const std::string& yaml) {
  Rig rig;
  return rig.with("hmac_sign", yaml).build_error();
}

TEST(HmacSign, FaultsInTheirOrder) {
  struct Row {
    std::string yaml, fault;
  };
  const std::string message = "signature: {message: m}";
  const std::string header = ", headers: [{name: X, value: v}]";
  for (
      const Row& row : {
          Row{"{timestamp: {format: x}, signature: {algorithm: y}}",
              R"(unknown timestamp.format "x" (want unix_seconds|unix_millis|unix_nanos|rfc3339))"},
          Row{"{signature: {algorithm: md5, key_encoding: x}}",
              R"(unknown signature.algorithm "md5" (want sha256|sha512|sha1))"},
          Row{"{signature: {key_encoding: x, output_encoding: x}}",
              R"(unknown signature.key_encoding "x" (want raw|base64|hex))"},
          Row{"{signature: {output_encoding: x}}",
              R"(unknown signature.output_encoding "x" (want base64|hex))"},
          Row{"{}", "signature.message is required"},
          Row{"{signature: {message: '{{.Body'}}",
              "parsing signature.message: template: hmac_sign.message:1: unclosed action"},
          Row{"{signature: {message: '{{base64 .Body}}'}}",
              "parsing signature.message: template: hmac_sign.message:1: function \"base64\" not "
              "defined"},
          Row{"{" + message + "}", R"(at least one entry in "headers" is required)"},
          Row{"{" + message + ", headers: [{value: v}]}", "headers[0].name is required"},
          Row{"{" + message + ", headers: [{name: X, value: v}, {name: Y}]}",
              "headers[1].value is required"},
          Row{"{" + message + ", headers: [{name: X, value: '{{foo}}'}]}",
              "parsing headers[0].value: template: hmac_sign.header[0]:1: function \"foo\" not "
              "defined"},
          Row{"{" + message + header + "}", R"("credentials" must include at least "secret")"},
          Row{"{" + message + header + ", credentials: {id: {type: env, var: A}}}",
              R"("credentials" must include "secret" (the HMAC key))"},
          Row{"{" + message + header + ", credentials: {secret: {type: env}}}",
              R"(building credentials["secret"] source: env source requires "var" field)"},
          Row{"{" + message + header + kSecret + ", rules: [{}]}",
              "rules[0]: one of host or cidr is required"},
          Row{"{" + message + header + kSecret + "}",
              R"(at least one entry in "rules" is required)"},
      }) {
    EXPECT_EQ(fault_of(row.yaml), "initializing transform \"hmac_sign\": hmac_sign: " + row.fault)
        << row.yaml;
  }
  EXPECT_EQ(fault_of(config("m")), "");
  EXPECT_EQ(fault_of("{zz: 1, signature: {message: m, zz: 2}" + header + kSecret + kRules + "}"),
            "");
  EXPECT_THAT(fault_of("{signature: [a]}"),
              StartsWith("initializing transform \"hmac_sign\": parsing hmac_sign config: yaml: "
                         "unmarshal errors:\n  line 1: cannot unmarshal !!seq"));
}

TEST(HmacSign, TheRecordedRequest) {
  Rig rig(Env{{"HMAC_KEY", "azN5"}});
  rig.with(
      "hmac_sign",
      config(
          "{{.Timestamp}}|{{.Method}}|{{.Path}}|{{.PathWithQuery}}|{{.Query}}|{{.Host}}|{{.Body}}",
          ", key_encoding: base64"));
  rig.request("POST /v1/a%20b?x=1&y=%2F", {"Content-Length: 7"}, "127.0.0.1").body(R"({"q":1})");
  ASSERT_EQ(rig.run(), Progress::done);
  // printf 'TEXT' | openssl dgst -sha256 -hmac k3y -binary | base64
  EXPECT_THAT(rig.fields(), ElementsAre("Content-Length: 7",
                                        "X-Sig: nESAbG0xnl5ijEUtWiG+aG4PiNIBwhJYoypvpdsu20w="));
  EXPECT_EQ(rig.annotations(), R"({"injected":["header:X-Sig"]})");
}

TEST(HmacSign, EncodingsAndDigests) {
  struct Row {
    const char* key;
    const char* settings;
    const char* signature;
  };
  // The body `abc` under the key `abc`.
  for (const Row& row : {
           Row{"abc", ", algorithm: sha1, output_encoding: hex",
               "5b333a389b4e9a2358ac5392bf2a64dc68e3c943"},
           Row{"616263", ", algorithm: sha1, key_encoding: hex, output_encoding: hex",
               "5b333a389b4e9a2358ac5392bf2a64dc68e3c943"},
           Row{"YWJj", ", algorithm: sha1, key_encoding: base64", "WzM6OJtOmiNYrFOSvypk3GjjyUM="},
           Row{"abc", ", output_encoding: hex",
               "2f02e24ae2e1fe880399f27600afa88364e6062bf9bbe114b32fa8f23d03608a"},
           Row{"abc", ", algorithm: sha512, output_encoding: hex",
               "1a97e05c35e6727690dfdf2e8079b34fefabf15236abc9170dccdcf5623e4c5ce72a446842bd7607186"
               "c9e3f21c0a0e"
               "df6ab6c5ec8304a1f969c20c1455e9b7c"},
       }) {
    Rig rig(Env{{"HMAC_KEY", row.key}});
    rig.with("hmac_sign", config("{{.Body}}", row.settings));
    rig.request("POST /").body("abc");
    ASSERT_EQ(rig.run(), Progress::done) << rig.annotations();
    EXPECT_THAT(rig.fields(), ElementsAre(std::string("X-Sig: ") + row.signature));
  }
}

TEST(HmacSign, FormatsOfTime) {
  for (const auto& [format, expected] : {std::pair{"unix_seconds", "1795509726"},
                                         {"unix_millis", "1795509726123"},
                                         {"unix_nanos", "1795509726123456789"},
                                         {"rfc3339", "2026-11-24T08:42:06Z"}}) {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign", std::string("{timestamp: {format: ") + format +
                              "}, signature: {message: m}, headers: [{name: x-Time, value: "
                              "'{{if .Timestamp}}t={{.Timestamp | printf \"%q\"}}{{end}} "
                              "{{len .Signature}}'}]" +
                              kSecret + kRules + "}");
    rig.request("GET /", {"X-TIME: client", "X-Time: again"});
    ASSERT_EQ(rig.run(), Progress::done);
    EXPECT_THAT(rig.fields(), ElementsAre(std::string("x-Time: t=\"") + expected + "\" 44"));
  }
}

TEST(HmacSign, CredentialsInFields) {
  Rig rig(Env{{"HMAC_KEY", "k"}, {"HMAC_ID", "the-id"}});
  rig.with("hmac_sign",
           "{signature: {message: m}, headers: [{name: FX-KEY, value: '{{.Credentials.id}}'}], "
           "credentials: {secret: {type: env, var: HMAC_KEY}, id: {type: env, var: HMAC_ID}}" +
               std::string(kRules) + "}");
  ASSERT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("FX-KEY: the-id"));
  EXPECT_EQ(rig.annotations(), R"({"injected":["header:FX-KEY"]})");
  ASSERT_EQ(rig.request("GET /", {}, "other.test").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre());
  EXPECT_EQ(rig.annotations(), "");
}

struct Refused {
  int status;
  std::string annotations;
};

Refused refused(Rig& rig) {
  EXPECT_EQ(rig.run(), Progress::rejected);
  EXPECT_TRUE(rig.exchange.answer.has_value());
  const PolicyAnswer answer = rig.exchange.answer.value_or(PolicyAnswer{});
  EXPECT_EQ(answer.content_type, "application/json");
  const std::string& annotations = rig.annotations();
  const std::size_t at = annotations.find(R"("rejected":)") + 11;
  EXPECT_EQ(answer.body, R"({"error":"hmac_sign","reason":)" +
                             annotations.substr(at, annotations.find_first_of(",}", at) - at) +
                             "}");
  return {answer.status, annotations};
}

TEST(HmacSign, Refusals) {
  unsetenv("HMAC_NONE");
  {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign", config("m")).request("POST /").chunked("abc");
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 400);
    EXPECT_EQ(is.annotations, R"({"rejected":"chunked_body_not_allowed"})");
  }
  {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign", config("m")).limit(10).request("POST /").body("0123456789x");
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 413);
    EXPECT_EQ(is.annotations,
              R"({"buffered_length":10,"content_length":11,"rejected":"body_truncated"})");
    rig.request("POST /").body("0123456789");
    EXPECT_EQ(rig.run(), Progress::done);
  }
  {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign", config("m")).request("POST /").body("abc");
    rig.exchange.body.failed = true;
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 400);
    EXPECT_EQ(is.annotations, R"({"error":"unexpected EOF","rejected":"body_read_failed"})");
  }
  {
    Rig rig;
    rig.with("hmac_sign",
             "{signature: {message: m}, headers: [{name: X, value: v}], credentials: "
             "{secret: {type: env, var: HMAC_NONE}}" +
                 std::string(kRules) + "}");
    rig.request("GET /");
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 502);
    EXPECT_EQ(is.annotations,
              R"({"credential":"secret","error":"env var \"HMAC_NONE\" is not set or empty",)"
              R"("rejected":"credential_unavailable"})");
  }
  {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign", config("{{.Nope}}")).request("GET /");
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 500);
    EXPECT_EQ(is.annotations,
              R"({"error":"template: hmac_sign.message:1:2: executing \"hmac_sign.message\" at )"
              R"(<.Nope>: can't evaluate field Nope in type hmacsign.messageData",)"
              R"("rejected":"message_template_failed"})");
  }
  for (const auto& [key, coding, error] :
       {std::tuple{"abc!", "base64", "decoding base64 key: illegal base64 data at input byte 3"},
        {"6g", "hex", "decoding hex key: encoding/hex: invalid byte at position 1"},
        {"616", "hex", "decoding hex key: encoding/hex: odd length hex string"}}) {
    Rig rig(Env{{"HMAC_KEY", key}});
    rig.with("hmac_sign", config("m", std::string(", key_encoding: ") + coding)).request("GET /");
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 500);
    EXPECT_EQ(is.annotations,
              R"({"error":")" + std::string(error) + R"(","rejected":"key_decode_failed"})");
  }
  {
    Rig rig(Env{{"HMAC_KEY", "k"}});
    rig.with("hmac_sign",
             "{signature: {message: m}, headers: [{name: X, value: "
             "'a{{.Credentials.nope}}'}]" +
                 std::string(kSecret) + kRules + "}");
    rig.request("GET /", {"X: client"});
    const Refused is = refused(rig);
    EXPECT_EQ(is.status, 500);
    EXPECT_EQ(
        is.annotations,
        R"({"error":"template: hmac_sign.header[0]:1:3: executing \"hmac_sign.header[0]\" at )"
        R"(<.Credentials.nope>: map has no entry for key \"nope\"","header":"X",)"
        R"("rejected":"header_template_failed"})");
    EXPECT_THAT(rig.fields(), ElementsAre("X: client"));
  }
}

TEST(HmacSign, ChunksOnWish) {
  Rig rig(Env{{"HMAC_KEY", "abc"}});
  rig.with("hmac_sign",
           "{signature: {message: '{{.Body}}', algorithm: sha1, output_encoding: hex}, "
           "headers: [{name: X-Sig, value: '{{.Signature}}'}], allow_chunked_body: true" +
               std::string(kSecret) + kRules + "}");
  rig.request("POST /c").chunked("abc");
  ASSERT_EQ(rig.run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("X-Sig: 5b333a389b4e9a2358ac5392bf2a64dc68e3c943"));
  EXPECT_THAT(rig.warned,
              ElementsAre("hmac_sign signing chunked request body without length verification "
                          "host=api.test path=/c buffered_length=3"));
}

TEST(HmacSign, WhatLeavesIsSigned) {
  for (const char* value : {"a-much-longer-value", "x"}) {
    Rig rig(Env{{"HMAC_KEY", "abc"}, {"BODY_KEY", value}});
    rig.secrets(
        "[{source: {type: env, var: BODY_KEY}, replace: {proxy_value: token, match_body: true}, "
        "rules: [{host: api.test}]}]");
    rig.with("hmac_sign",
             "{signature: {message: m}, headers: [{name: X, value: '{{.Signature}}'}]" +
                 std::string(kSecret) + kRules + "}");
    rig.with("hmac_sign", config("{{.Body}}"));
    rig.request("POST /").body("<token>");
    ASSERT_EQ(rig.run(), Progress::done);
    Rig plain(Env{{"HMAC_KEY", "abc"}});
    plain.with("hmac_sign", config("{{.Body}}"));
    plain.request("POST /").body("<" + std::string(value) + ">");
    ASSERT_EQ(plain.run(), Progress::done);
    EXPECT_EQ(rig.fields().back(), plain.fields().back());
    EXPECT_EQ(rig.sent_body(), "<" + std::string(value) + ">");
  }
}

}  // namespace
}  // namespace iron::transforms

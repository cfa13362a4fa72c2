#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/json/json_writer.h"
#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"
#include "tests/transforms/rsa_keys.h"
#include "transforms/auth/form.h"
#include "transforms/auth/jwt.h"
#include "transforms/gcp/google_credentials.h"

namespace iron::transforms {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr const char* kSource = "{type: gcp_sm, project: p-1, secret: key, ttl: -1ns}";
constexpr const char* kGood = R"({"name":"n","payload":{"data":"c2stMQ=="}})";
constexpr const char* kToken =
    R"({"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"})";
constexpr const char* kAccess =
    "GET https://secretmanager.googleapis.com/v1/projects/p-1/secrets/key/versions/latest:access";
constexpr const char* kMetadata = "GET http://169.254.169.254/computeMetadata/v1/";
constexpr const char* kUser =
    R"({"type":"authorized_user","client_id":"id 1","client_secret":"s=1","refresh_token":"1//r"})";

std::vector<std::string> first_lines(const FakeOutside& outside) {
  std::vector<std::string> out;
  for (const FakeOutside::Sent& sent : outside.sent) out.push_back(sent.first_line());
  return out;
}

TEST(GcpSource, FaultsOfTheBlock) {
  struct Row {
    const char* yaml;
    const char* fault;
  };
  for (const Row& row : {
           Row{"{type: gcp_sm, secret: s}", R"(gcp_sm source requires "project" field)"},
           Row{"{type: gcp_sm, project: P/}", R"(gcp_sm source requires "secret" field)"},
           Row{"{type: gcp_sm, project: P, secret: a/b}",
               R"(gcp_sm source has invalid project "P")"},
           Row{"{type: gcp_sm, project: 'a/b', secret: s}",
               R"(gcp_sm source has invalid project "a/b")"},
           Row{"{type: gcp_sm, project: '-a', secret: s}",
               R"(gcp_sm source has invalid project "-a")"},
           Row{"{type: gcp_sm, project: ':a', secret: s}",
               R"(gcp_sm source has invalid project ":a")"},
           Row{"{type: gcp_sm, project: 'a:b:c', secret: s}",
               R"(gcp_sm source has invalid project "a:b:c")"},
           Row{"{type: gcp_sm, project: p, secret: a/b, version: '?'}",
               R"(gcp_sm source has invalid secret "a/b")"},
           Row{"{type: gcp_sm, project: p, secret: s, version: '1:x', location: '?'}",
               R"(gcp_sm source has invalid version "1:x")"},
           Row{"{type: gcp_sm, project: p, secret: s, location: 'a.b', ttl: zz}",
               R"(gcp_sm source has invalid location "a.b")"},
           Row{"{type: gcp_sm, project: p, secret: s, location: a}",
               R"(gcp_sm source has invalid location "a")"},
           Row{"{type: gcp_sm, project: p, secret: s, ttl: zz}",
               R"(parsing ttl "zz": time: invalid duration "zz")"},
           Row{"{type: gcp_sm, project: 'example.com:p-1', secret: S_-1, version: v1}", "none"},
       }) {
    EXPECT_EQ(fault_of(row.yaml), row.fault) << row.yaml;
  }
  EXPECT_EQ(fault_of("{type: gcp_sm, project: p, secret: " + std::string(256, 's') + "}"),
            "gcp_sm source has invalid secret \"" + std::string(256, 's') + "\"");
  EXPECT_EQ(BuiltSource(kSource).source->name(), "gcp_sm:projects/p-1/secrets/key/versions/latest");
}

TEST(GcpSource, WithTheMetadataServer) {
  FakeOutside outside;
  outside.answers(200, "p-1");
  outside.answers(200, kToken);
  outside.answers(200, kGood);
  BuiltSource built(kSource);
  EXPECT_EQ(built.get(outside), "sk-1");
  EXPECT_THAT(first_lines(outside),
              ElementsAre(std::string(kMetadata) + "project/project-id",
                          std::string(kMetadata) +
                              "instance/service-accounts/default/token?scopes="
                              "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform",
                          kAccess));
  EXPECT_THAT(outside.sent[0].fields, ElementsAre("Metadata-Flavor: Google"));
  EXPECT_THAT(outside.sent[1].fields, ElementsAre("Metadata-Flavor: Google"));
  EXPECT_THAT(outside.sent[2].fields, ElementsAre("Authorization: Bearer ya29.token"));
  EXPECT_EQ(outside.sent[2].redirects, CallRequest::Redirects::refused);
  // The token is used until ten seconds before its end.
  outside.sent.clear();
  outside.time_ns += 3589 * kSecond - 1;
  outside.answers(200, kGood);
  built.get(outside);
  EXPECT_THAT(first_lines(outside), ElementsAre(kAccess));
  outside.time_ns += 1;
  outside.answers(200, kToken);
  outside.answers(200, kGood);
  built.get(outside);
  EXPECT_EQ(outside.sent.size(), 3U);
}

TEST(GcpSource, OfALocation) {
  FakeOutside outside;
  outside.variables["GCE_METADATA_HOST"] = "127.0.0.1:9";
  outside.answers(404, "");
  outside.answers(200, kToken);
  outside.answers(200, kGood);
  BuiltSource built("{type: gcp_sm, project: p, secret: s, version: '7', location: europe-west3}");
  EXPECT_EQ(built.source->name(), "gcp_sm:projects/p/locations/europe-west3/secrets/s/versions/7");
  EXPECT_EQ(built.get(outside), "sk-1");
  EXPECT_THAT(outside.sent[0].url, StartsWith("http://127.0.0.1:9/computeMetadata/v1/project/"));
  EXPECT_EQ(outside.sent[2].url,
            "https://secretmanager.europe-west3.rep.googleapis.com/v1/projects/p/locations/"
            "europe-west3/secrets/s/versions/7:access");
}

TEST(GcpSource, WithTheFileOfALogin) {
  for (const bool named : {true, false}) {
    FakeOutside outside;
    outside.variables["HOME"] = "/home/u";
    const std::string well_known = "/home/u/.config/gcloud/application_default_credentials.json";
    if (named) outside.variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/c.json";
    outside.files[named ? "/c.json" : well_known] = kUser;
    outside.answers(200, kToken);
    outside.answers(200, kGood);
    EXPECT_EQ(BuiltSource(kSource).get(outside), "sk-1");
    EXPECT_THAT(first_lines(outside),
                ElementsAre("POST https://oauth2.googleapis.com/token", kAccess));
    EXPECT_EQ(outside.sent[0].body,
              "client_id=id+1&client_secret=s%3D1&grant_type=refresh_token&refresh_token=1%2F%2Fr");
    EXPECT_THAT(outside.sent[0].fields,
                ElementsAre("Content-Type: application/x-www-form-urlencoded"));
  }
}

TEST(GcpSource, WithoutCredentials) {
  const std::string front =
      "!creating GCP Secret Manager client: loading GCP default credentials: ";
  struct Row {
    std::string document, error;
  };
  for (const Row& row : std::vector<Row>{
           {R"({"type":"external_account"})", R"(unsupported credential type "external_account")"},
           {"{}", R"(unsupported credential type "")"},
           {"x", "invalid JSON"},
           {R"({"type":"authorized_user"})",
            "authorized_user needs client_id, client_secret and refresh_token"},
       }) {
    FakeOutside outside;
    outside.variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/c.json";
    outside.files["/c.json"] = row.document;
    EXPECT_EQ(BuiltSource(kSource).get(outside), front + row.error);
  }
  FakeOutside outside;
  outside.fails("dial tcp 169.254.169.254:80: connect: no route to host");
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            front +
                "could not find default credentials: Get "
                "\"http://169.254.169.254/computeMetadata/v1/project/project-id\": dial tcp "
                "169.254.169.254:80: connect: no route to host");
  outside.variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/none.json";
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            front + "GOOGLE_APPLICATION_CREDENTIALS: open /none.json: no such file or directory");
}

TEST(GcpSource, WhatATokenEndpointAnswers) {
  const std::string front = R"(!accessing GCP secret "projects/p-1/secrets/key/versions/latest": )";
  struct Row {
    int status;
    std::string body, error;
  };
  for (const Row& row : std::vector<Row>{
           {400, R"({"error":"invalid_grant","error_description":"revoked"})",
            R"(oauth2: "invalid_grant" "revoked")"},
           {200, R"({"error":"weird"})", R"(oauth2: "weird")"},
           {400, R"({"error":"bad","error_description":"1//r"})", R"(oauth2: "bad")"},
           {500, "oops", "oauth2: cannot fetch token: 500 Internal Server Error"},
           {200, "oops", "oauth2: cannot parse json"},
           {200, "{}", "oauth2: server response missing access_token"},
           {200, R"({"access_token":"a","expires_in":1.5})",
            "oauth2: cannot parse json: expires_in is no whole number"},
       }) {
    FakeOutside outside;
    outside.variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/c.json";
    outside.files["/c.json"] = kUser;
    outside.answers(row.status, row.body);
    EXPECT_EQ(BuiltSource(kSource).get(outside), front + row.error);
    EXPECT_EQ(outside.sent.size(), 1U);
  }
}

TEST(GcpSource, WhatTheSecretManagerAnswers) {
  const std::string front = R"(!accessing GCP secret "projects/p-1/secrets/key/versions/latest": )";
  struct Row {
    int status;
    std::string body, error;
  };
  for (const Row& row : std::vector<Row>{
           {403, R"({"error":{"code":403,"message":"denied"}})", front + "HTTP 403: denied"},
           {404, "<html>", front + "HTTP 404: "},
           {403, R"({"error":{"message":"of ya29.token"}})", front + "HTTP 403: "},
           {302, "", front + "HTTP 302: "},
           {200, "sk", front + "decoding response: invalid JSON"},
           {200, R"({"payload":{"data":"c2st*Q=="}})", front + "decoding response: invalid base64"},
           {200, R"({"payload":{"data":1}})", front + "decoding response: invalid JSON"},
           {200, R"({"payload":{}})",
            R"(!GCP secret "projects/p-1/secrets/key/versions/latest" resolved to empty value)"},
           {200, "{}",
            R"(!GCP secret "projects/p-1/secrets/key/versions/latest" resolved to empty value)"},
           {200, R"({"payload":{"data":""}})",
            R"(!GCP secret "projects/p-1/secrets/key/versions/latest" resolved to empty value)"},
       }) {
    FakeOutside outside;
    outside.answers(200, "p-1");
    outside.answers(200, kToken);
    outside.answers(row.status, row.body);
    EXPECT_EQ(BuiltSource(kSource).get(outside), row.error) << row.body;
    EXPECT_THAT(outside.slept, IsEmpty());
  }
}

TEST(GcpSource, BytesOfAValue) {
  for (const auto& [text, value] :
       {std::pair{"YQ==", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}, {"+/8=", "\xfb\xff"}}) {
    FakeOutside outside;
    outside.answers(200, "p-1");
    outside.answers(200, kToken);
    outside.answers(200, std::string(R"({"payload":{"data":")") + text + "\"}}");
    EXPECT_EQ(BuiltSource(kSource).get(outside), value);
  }
}

TEST(GcpSource, WhatIsTriedAgain) {
  for (const int status : {0, 429, 500, 503}) {
    FakeOutside outside;
    outside.answers(200, "p-1");
    outside.answers(200, kToken);
    for (int i = 0; i < 3; ++i) {
      if (status == 0) {
        outside.fails("EOF");
      } else {
        outside.answers(status, "{}");
      }
    }
    const std::string why = status == 0 ? "Get \"" + std::string(kAccess).substr(4) + "\": EOF"
                                        : "HTTP " + std::to_string(status) + ": ";
    EXPECT_EQ(BuiltSource(kSource).get(outside),
              R"(!accessing GCP secret "projects/p-1/secrets/key/versions/latest": )" + why);
    ASSERT_EQ(outside.slept.size(), 2U);
    EXPECT_GE(outside.slept[0], milliseconds(250));
    EXPECT_LE(outside.slept[0], milliseconds(750));
    EXPECT_GE(outside.slept[1], milliseconds(375));
    EXPECT_LE(outside.slept[1], milliseconds(1125));
  }
}

TEST(GoogleCredentials, AServiceAccountSigns) {
  FakeOutside outside;
  outside.variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/c.json";
  std::string key;
  policy::append_json_string(key, test::rsa_key_pem());
  outside.files["/c.json"] =
      R"({"type":"service_account","client_email":"sa@p","private_key_id":"k1",)"
      R"("token_uri":"http://t/token","private_key":)" +
      key + "}";
  outside.answers(200, kToken);
  GoogleCredentials credentials;
  std::vector<std::string> scopes{"s1", "s2"};
  const auto token = result_of(credentials.token(outside, scopes));
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(text_of(*token->token), "ya29.token");
  EXPECT_EQ(token->account, "sa@p");
  EXPECT_EQ(token->until_ns, outside.time_ns + 3589 * kSecond);
  EXPECT_EQ(outside.sent[0].first_line(), "POST http://t/token");
  const auto assertion = form_value(outside.sent[0].body, "assertion");
  ASSERT_TRUE(assertion.has_value());
  EXPECT_EQ(text_of(*jwt_claims(assertion->reveal())),
            R"({"iss":"sa@p","scope":"s1 s2","aud":"http://t/token","exp":1795513452,)"
            R"("iat":1795509852})");
}

TEST(GoogleCredentials, ATokenIsKeptForItsScopes) {
  FakeOutside outside;
  outside.variables["GCE_METADATA_HOST"] = "m";
  outside.answers(200, "p");
  outside.answers(200, R"({"access_token":"one","expires_in":"20"})");
  outside.answers(200, R"({"access_token":"two"})");
  GoogleCredentials credentials;
  const auto get = [&](std::vector<std::string> scopes) {
    const auto token = result_of(credentials.token(outside, std::move(scopes)));
    return text_of(*token->token);
  };
  EXPECT_EQ(get({"a", "b"}), "one");
  EXPECT_EQ(get({"a", "b"}), "one");
  EXPECT_EQ(outside.sent[1].url,
            "http://m/computeMetadata/v1/instance/service-accounts/default/token?scopes=a%2Cb");
  outside.time_ns += 10 * kSecond;
  EXPECT_EQ(get({"a", "b"}), "two");
  outside.time_ns += 1'000'000 * kSecond;
  EXPECT_EQ(get({"a", "b"}), "two");
  outside.answers(200, R"({"access_token":"three"})");
  EXPECT_EQ(get({"c"}), "three");
  EXPECT_EQ(outside.sent.size(), 4U);
}

}  // namespace
}  // namespace iron::transforms

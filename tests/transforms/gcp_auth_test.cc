#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/json/json_writer.h"
#include "tests/transforms/rig.h"
#include "tests/transforms/rsa_keys.h"
#include "transforms/auth/form.h"
#include "transforms/auth/secret_base64.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Progress = Pipeline::Progress;

constexpr std::int64_t kSecond = 1'000'000'000;

std::string key_file(const std::string& more = {}) {
  std::string key;
  policy::append_json_string(key, test::rsa_key_pem());
  return R"({"type":"service_account","client_email":"sa@p.iam","private_key_id":"kid9",)"
         R"("token_uri":"http://idp.test/token","private_key":)" +
         key + more + "}";
}

std::string decoded(std::string_view part) {
  return text_of(*secret_from_base64(part, Base64Form::url));
}

/// Header and claims of a token, with a blank between.
std::string token_text(std::string_view token) {
  const std::size_t first = token.find('.'), second = token.rfind('.');
  return decoded(token.substr(0, first)) + " " +
         decoded(token.substr(first + 1, second - first - 1));
}

/// The assertion in the body of the request that was sent last.
std::string assertion_sent(const Rig& rig) {
  return token_text(form_value(rig.outside.sent.back().body, "assertion")->reveal());
}

Rig& with_auth(Rig& rig, const std::string& more = ", rules: [{host: api.test}]") {
  rig.outside.files["/sa.json"] = key_file();
  return rig.with("gcp_auth", "{keyfile_path: /sa.json, scopes: [s1, s2]" + more + "}");
}

Rig& with_id_token(Rig& rig, const std::string& more = {}) {
  rig.outside.files["/sa.json"] = key_file();
  return rig.with("gcp_id_token",
                  "{keyfile_path: /sa.json, audience: 'https://run.test', rules: "
                  "[{host: api.test}]" +
                      more + "}");
}

/// A token that asks for an ID token of that audience.
std::string asking_assertion(const std::string& audience) {
  SecretWriter out;
  put_base64_url(out, R"({"alg":"RS256"})");
  out.put('.');
  put_base64_url(out, R"({"iss":"x","target_audience":")" + audience + R"("})");
  return text_of(out.finish()) + ".c2ln";
}

std::string asking_body(const std::string& audience) {
  return "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" +
         asking_assertion(audience);
}

TEST(GcpAuth, FaultsInTheirOrder) {
  const std::string one_of =
      R"(requires exactly one of "keyfile_path", "keyfile", or "credentials_provider")";
  struct Row {
    std::string yaml, fault;
  };
  for (const Row& row : {
           Row{"{}", one_of},
           Row{"{keyfile_path: /a, keyfile: {type: env, var: A}}", one_of},
           Row{"{keyfile_path: /a}", R"(at least one entry in "scopes" is required)"},
           Row{"{keyfile_path: /a, scopes: [s], rules: [{}]}",
               "rules[0]: one of host or cidr is required"},
           Row{"{keyfile: {type: env}, scopes: [s]}",
               R"(building keyfile source: env source requires "var" field)"},
           Row{"{credentials_provider: {type: workload_identity}, scopes: [s], subject: x}",
               R"("subject" cannot be combined with "credentials_provider" (only keyfile sources )"
               "support domain-wide delegation)"},
       }) {
    Rig rig;
    EXPECT_EQ(rig.with("gcp_auth", row.yaml).build_error(),
              "initializing transform \"gcp_auth\": gcp_auth: " + row.fault)
        << row.yaml;
  }
  Rig rig;
  EXPECT_THAT(rig.with("gcp_auth", "[a]").build_error(),
              HasSubstr("parsing gcp_auth config: yaml: unmarshal errors:"));
}

TEST(GcpAuth, MintsWithTheKeyOfTheFile) {
  Rig rig;
  with_auth(rig);
  rig.outside.answers(200, R"({"access_token":"ya29","expires_in":3600})");
  ASSERT_EQ(rig.request("GET /", {"authorization: client"}).run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: Bearer ya29"));
  EXPECT_EQ(rig.annotations(),
            R"({"injected":["header:Authorization"],"service_account":"sa@p.iam"})");
  EXPECT_EQ(rig.outside.sent.back().first_line(), "POST http://idp.test/token");
  EXPECT_EQ(assertion_sent(rig),
            R"({"alg":"RS256","typ":"JWT","kid":"kid9"} )"
            R"({"iss":"sa@p.iam","scope":"s1 s2","aud":"http://idp.test/token","exp":1795513452,)"
            R"("iat":1795509852})");
  EXPECT_THAT(rig.pipeline().files(), ElementsAre("/sa.json"));
}

TEST(GcpAuth, ImpersonatesAndNamesAnotherAudience) {
  Rig rig;
  rig.with("gcp_auth", "{keyfile_path: /sa.json, scopes: [s1], subject: user@ws}");
  rig.outside.files["/sa.json"] = key_file(R"(,"audience":"the-aud")");
  rig.outside.answers(200, R"({"access_token":"ya29"})");
  ASSERT_EQ(rig.request("GET /", {}, "any.test").run(), Progress::done);
  EXPECT_THAT(assertion_sent(rig), HasSubstr(R"("scope":"s1","aud":"the-aud",)"));
  EXPECT_THAT(assertion_sent(rig), HasSubstr(R"(,"sub":"user@ws","prn":"user@ws"})"));
}

TEST(GcpAuth, Stubs) {
  Rig rig;
  with_auth(rig);
  struct Row {
    const char* line;
    const char* host;
    bool stubbed;
  };
  for (const Row& row : {
           Row{"POST /token", "oauth2.googleapis.com", true},
           Row{"GET /token?x=1", "oauth2.googleapis.com:8443", true},
           Row{"POST /./token/", "oauth2.googleapis.com", true},
           Row{"POST //token", "oauth2.googleapis.com", true},
           Row{"POST /token2", "oauth2.googleapis.com", false},
           Row{"GET /computeMetadata/v1/instance/service-accounts/default/token",
               "metadata.google.internal", true},
           Row{"GET /computeMetadata/v1/instance/service-accounts/a@b/token?scopes=x",
               "169.254.169.254:80", true},
           Row{"GET /computeMetadata/v1/instance/service-accounts/default/email",
               "metadata.google.internal", false},
           Row{"GET /computeMetadata/v1/project/token", "metadata.google.internal", false},
       }) {
    const auto is = rig.request(row.line, {}, row.host).run();
    EXPECT_EQ(is, row.stubbed ? Progress::answered : Progress::done) << row.line;
    if (row.stubbed) {
      EXPECT_EQ(rig.annotations(), R"({"stubbed":"oauth2_token_endpoint"})");
      EXPECT_THAT(rig.exchange.answer->body, HasSubstr("iron-proxy-stub-token"));
    }
  }
}

TEST(GcpAuth, WhoAsksForAnIdTokenIsNotStubbed) {
  Rig rig;
  with_auth(rig);
  rig.request("POST /token", {}, "oauth2.googleapis.com").body(asking_body("a"));
  EXPECT_EQ(rig.run(), Progress::done);
  rig.request("POST /token", {}, "oauth2.googleapis.com").chunked(asking_body("a"));
  EXPECT_EQ(rig.run(), Progress::answered);
  EXPECT_FALSE(rig.exchange.body.loaded);
  rig.request("POST /token", {}, "oauth2.googleapis.com").body("grant_type=x&assertion=a.b.c");
  EXPECT_EQ(rig.run(), Progress::answered);
}

TEST(GcpAuth, Failures) {
  struct Row {
    const char* file;
    const char* error;
  };
  const std::string other = R"({"type":"authorized_user"})";
  const std::string bad_key =
      R"({"type":"service_account","private_key":"x","token_uri":"http://t/"})";
  for (const Row& row : {
           Row{"", R"(reading GCP keyfile \"/sa.json\": open /sa.json: no such file or directory)"},
           Row{other.c_str(),
               R"(parsing GCP service account keyfile: google: read JWT from JSON credentials: )"
               R"('type' field is \"authorized_user\" (expected \"service_account\"))"},
           Row{"nonsense", "parsing GCP service account keyfile: "},
           Row{bad_key.c_str(),
               "minting GCP access token: private key should be a PEM or plain PKCS1 or PKCS8; "
               "parse error: "},
       }) {
    Rig rig;
    with_auth(rig);
    rig.outside.files.clear();
    if (*row.file != '\0') rig.outside.files["/sa.json"] = row.file;
    ASSERT_EQ(rig.request("GET /").run(), Progress::rejected);
    EXPECT_FALSE(rig.exchange.answer.has_value());
    EXPECT_THAT(rig.annotations(), StartsWith(R"({"error":")" + std::string(row.error)));
    EXPECT_THAT(rig.annotations(), HasSubstr(R"(,"rejected":"token_unavailable"})"));
    EXPECT_TRUE(rig.outside.notes.empty());
    // A file that could not be used is read again; one that could is kept.
    if (row.file == bad_key) continue;
    rig.outside.files["/sa.json"] = key_file();
    rig.outside.answers(200, R"({"access_token":"ya29"})");
    EXPECT_EQ(rig.request("GET /").run(), Progress::done);
  }
  Rig rig;
  with_auth(rig);
  rig.outside.answers(400, R"({"error":"invalid_grant"})");
  ASSERT_EQ(rig.request("GET /").run(), Progress::rejected);
  EXPECT_THAT(
      rig.annotations(),
      StartsWith(R"({"error":"minting GCP access token: oauth2: cannot fetch token: 400 Bad )"
                 R"(Request\nResponse: )"));
  rig.outside.answers(200, "{}");
  ASSERT_EQ(rig.request("GET /").run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"error":"GCP token source returned empty access token",)"
                               R"("rejected":"token_unavailable"})");
}

TEST(GcpAuth, WithTheCredentialsOfTheMachine) {
  Rig rig;
  rig.with("gcp_auth", "{credentials_provider: {type: workload_identity}, scopes: [s1]}");
  rig.outside.variables["GCE_METADATA_HOST"] = "m:1";
  rig.outside.answers(200, "the-project");
  rig.outside.answers(200, R"({"access_token":"ya29","expires_in":3600})");
  ASSERT_EQ(rig.request("GET /").run(), Progress::done);
  EXPECT_THAT(rig.fields(), ElementsAre("Authorization: Bearer ya29"));
  EXPECT_EQ(rig.annotations(), R"({"injected":["header:Authorization"]})");
  EXPECT_EQ(rig.outside.sent.at(0).first_line(),
            "GET http://m:1/computeMetadata/v1/project/project-id");
  EXPECT_EQ(rig.outside.sent.at(1).first_line(),
            "GET http://m:1/computeMetadata/v1/instance/service-accounts/default/token?scopes=s1");
  for (const auto& sent : rig.outside.sent) EXPECT_EQ(sent.field("Metadata-Flavor"), "Google");
  EXPECT_TRUE(rig.warnings.empty() ||
              rig.warnings[0].message != "credentials provider not supported");
}

TEST(GcpAuth, AProviderOfAnotherTypeFailsEachRequest) {
  Rig rig;
  rig.with("gcp_auth", "{credentials_provider: {type: zz}, scopes: [s1]}");
  ASSERT_EQ(rig.request("GET /").run(), Progress::rejected);
  EXPECT_EQ(rig.annotations(), R"({"error":"unsupported credentials_provider type \"zz\"",)"
                               R"("rejected":"token_unavailable"})");
  ASSERT_FALSE(rig.warnings.empty());
  EXPECT_EQ(rig.warnings[0].message, "credentials provider not supported");
}

TEST(GcpIdToken, FaultsInTheirOrder) {
  struct Row {
    std::string yaml, fault;
  };
  const std::string both = R"(requires exactly one of "keyfile_path" or "keyfile")";
  for (const Row& row : {
           Row{"{}", both},
           Row{"{keyfile_path: /a, keyfile: {type: env, var: A}}", both},
           Row{"{keyfile_path: /a}", R"("audience" is required)"},
           Row{"{keyfile_path: /a, audience: a, rules: [{}]}",
               "rules[0]: one of host or cidr is required"},
           Row{"{keyfile_path: /a, audience: a}", R"(at least one entry in "rules" is required)"},
           Row{"{keyfile_path: /a, audience: a, rules: [{host: a}], header: x}",
               R"("header" must be "authorization" or "x-serverless-authorization")"},
           Row{"{keyfile: {type: zz}, audience: a, rules: [{host: a}], header: ' X-Serverless-"
               "AUTHORIZATION '}",
               R"(building keyfile source: unsupported source type "zz")"},
       }) {
    Rig rig;
    EXPECT_EQ(rig.with("gcp_id_token", row.yaml).build_error(),
              "initializing transform \"gcp_id_token\": gcp_id_token: " + row.fault)
        << row.yaml;
  }
}

std::string id_token(std::int64_t expires) {
  SecretWriter out;
  put_base64_url(out, R"({"alg":"RS256"})");
  out.put('.');
  put_base64_url(out, R"({"exp":)" + std::to_string(expires) + "}");
  return text_of(out.finish()) + ".c2ln";
}

TEST(GcpIdToken, MintsAndKeepsToTheClaim) {
  for (const char* header : {"", ", header: ' X-Serverless-AUTHORIZATION '"}) {
    Rig rig;
    with_id_token(rig, header);
    const std::string name = *header == '\0' ? "Authorization" : "X-Serverless-Authorization";
    const std::string token = id_token(1'795'509'862 + 71);
    rig.outside.answers(200, R"({"id_token":")" + token + R"("})");
    ASSERT_EQ(rig.request("GET /").run(), Progress::done);
    EXPECT_THAT(rig.fields(), ElementsAre(name + ": Bearer " + token));
    EXPECT_EQ(rig.annotations(), R"({"audience":"https://run.test","injected":["header:)" + name +
                                     R"("],"service_account":"sa@p.iam"})");
    EXPECT_EQ(assertion_sent(rig),
              R"({"alg":"RS256","typ":"JWT","kid":"kid9"} )"
              R"({"iss":"sa@p.iam","aud":"http://idp.test/token","exp":1795513452,)"
              R"("iat":1795509852,"target_audience":"https://run.test"})");
    EXPECT_EQ(rig.exchange.supplied.at(0).second->until_ns, rig.outside.time_ns + 61 * kSecond);
    ASSERT_EQ(rig.request("GET /").run(), Progress::done);
    EXPECT_EQ(rig.outside.sent.size(), 1U);
  }
}

TEST(GcpIdToken, Stubs) {
  Rig rig;
  with_id_token(rig);
  const std::string identity =
      "GET "
      "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=a%20b";
  ASSERT_EQ(rig.request(identity, {}, "metadata.google.internal:81").run(), Progress::answered);
  EXPECT_EQ(rig.exchange.answer->content_type, "text/plain");
  EXPECT_EQ(token_text(rig.exchange.answer->body),
            R"({"alg":"RS256","typ":"JWT"} {"aud":"a b","azp":"iron-proxy-stub",)"
            R"("email":"stub@iron-proxy.local","email_verified":true,"exp":1795513326,)"
            R"("iat":1795509726,"iss":"https://accounts.google.com","sub":"iron-proxy-stub"})");
  EXPECT_TRUE(rig.exchange.answer->body.ends_with(".c3R1Yi1zaWduYXR1cmU"));
  EXPECT_EQ(rig.annotations(), R"({"audience":"a b","stubbed":"gcp_metadata_identity_endpoint"})");
  for (const char* line :
       {"GET /computeMetadata/v1/instance/service-accounts/default/identity",
        "GET /computeMetadata/v1/instance/service-accounts/default/identity?audience="}) {
    EXPECT_EQ(rig.request(line, {}, "metadata.google.internal").run(), Progress::done);
  }
  rig.request("PUT /token", {}, "oauth2.googleapis.com:1").body(asking_body("aud-1"));
  ASSERT_EQ(rig.run(), Progress::answered);
  EXPECT_EQ(rig.exchange.answer->content_type, "application/json");
  EXPECT_THAT(rig.exchange.answer->body, StartsWith(R"({"id_token":")"));
  EXPECT_THAT(rig.exchange.answer->body,
              ::testing::EndsWith(R"(","expires_in":3600,"token_type":"Bearer"})"));
  EXPECT_THAT(rig.annotations(), HasSubstr(R"("stubbed":"gcp_oauth2_id_token_endpoint"})"));

  rig.request("POST /token", {}, "oauth2.googleapis.com").chunked(asking_body("a"));
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_FALSE(rig.exchange.body.loaded);
  rig.request("POST /token", {}, "oauth2.googleapis.com").body(std::string(2 << 20, 'x'));
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_FALSE(rig.exchange.body.loaded);
  rig.request("POST /token", {}, "oauth2.googleapis.com").body("grant_type=x");
  EXPECT_EQ(rig.run(), Progress::done);
}

TEST(GcpIdToken, Failures) {
  struct Row {
    int status;
    const char* body;
    const char* reason;
  };
  for (const Row& row :
       {Row{500, "boom", "token_endpoint_http_500"},
        Row{400, R"({"error":"invalid_grant"})", "token_endpoint_http_400"},
        Row{200, R"({"access_token":"x"})", "mint_failed"}, Row{200, "nonsense", "mint_failed"},
        Row{200, R"({"id_token":"nonsense"})", "mint_failed"}}) {
    Rig rig;
    with_id_token(rig);
    rig.outside.answers(row.status, row.body);
    ASSERT_EQ(rig.request("GET /").run(), Progress::rejected) << row.body;
    EXPECT_FALSE(rig.exchange.answer.has_value());
    EXPECT_EQ(rig.annotations(),
              R"({"error":")" + std::string(row.reason) + R"(","rejected":"token_unavailable"})");
    EXPECT_THAT(rig.outside.notes, ElementsAre(StartsWith("WARN gcp_id_token mint failed reason=" +
                                                          std::string(row.reason) + " error=")));
  }
}

TEST(GcpIdToken, BesideGcpAuthItAnswersForIdTokens) {
  for (const bool first : {false, true}) {
    Rig rig;
    if (first) with_id_token(rig);
    with_auth(rig);
    if (!first) with_id_token(rig);
    rig.request("POST /token", {}, "oauth2.googleapis.com").body(asking_body("a"));
    ASSERT_EQ(rig.run(), Progress::answered);
    EXPECT_EQ(rig.exchange.stubbed_by, "gcp_id_token");
    rig.request("POST /token", {}, "oauth2.googleapis.com").body("grant_type=refresh_token");
    ASSERT_EQ(rig.run(), Progress::answered);
    EXPECT_EQ(rig.exchange.stubbed_by, "gcp_auth");
  }
}

}  // namespace
}  // namespace iron::transforms

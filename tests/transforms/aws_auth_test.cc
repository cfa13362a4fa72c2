#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/transforms/rig.h"
#include "transforms/auth/sigv4.h"

namespace iron::transforms {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Progress = Pipeline::Progress;

const std::string kKeys =
    "access_key_id: {type: env, var: T_AWS_ID}, secret_access_key: {type: env, var: T_AWS_KEY}";
const std::string kRules = "rules: [{host: '*.amazonaws.com'}]";
const Env kEnv{{"T_AWS_ID", "AKIDREAL"}, {"T_AWS_KEY", "the-real-secret-key"}};
constexpr const char* kHost = "b.s3.amazonaws.com";

std::string authorization(const std::string& service = "s3",
                          const std::string& region = "eu-west-1") {
  return "Authorization: AWS4-HMAC-SHA256 Credential=PLACEHOLDER/20261124/" + region + "/" +
         service + "/aws4_request, SignedHeaders=host, Signature=00";
}

/// A pipeline of one `aws_auth` with the usual keys and `more` in its configuration.
class Signer : public Rig {
 public:
  explicit Signer(const std::string& more = "", Env env = kEnv) : Rig(std::move(env)) {
    with("aws_auth", "{" + kKeys + ", " + kRules + (more.empty() ? "" : ", " + more) + "}");
  }
  Signer& ask(const std::string& line, std::vector<std::string> fields, const char* host = kHost) {
    request(line, std::move(fields), host);
    return *this;
  }
  Signer& with_body(const std::string& bytes, bool counted = true) {
    counted ? body(bytes) : chunked(bytes);
    return *this;
  }
  std::string field(const std::string& name) const {
    for (const std::string& each : fields()) {
      if (each.starts_with(name + ": ")) return each.substr(name.size() + 2);
    }
    return {};
  }
  /// `STATUS ANNOTATIONS` of a refusal, `ok` of what passes.
  std::string verdict() {
    const Progress progress = run();
    if (progress == Progress::done) return "ok";
    return std::to_string(exchange.answer->status) + " " + annotations();
  }
};

std::string build(const std::string& yaml) {
  return Rig(kEnv).with("aws_auth", yaml).build_error();
}

TEST(AwsAuth, FaultsAtStart) {
  const std::string prefix = R"(initializing transform "aws_auth": )";
  const std::string provider = "credentials_provider: {type: workload_identity}";
  struct Row {
    std::string yaml, text;
  };
  for (const Row& row : {
           Row{"{" + kKeys + ", " + provider + "}",
               "aws_auth: set either access_key_id/secret_access_key or credentials_provider, not "
               "both"},
           Row{"{" + kRules + "}",
               "aws_auth: requires either access_key_id+secret_access_key or "
               "credentials_provider"},
           Row{"{credentials_provider: {}}",
               "aws_auth: building credentials_provider: credentials_provider.type is required"},
           Row{"{credentials_provider: {type: x}}",
               "aws_auth: building credentials_provider: unsupported credentials_provider type "
               "\"x\""},
           Row{"{secret_access_key: {type: env, var: K}}", "aws_auth: access_key_id is required"},
           Row{"{access_key_id: {type: env, var: K}}", "aws_auth: secret_access_key is required"},
           Row{"{access_key_id: {type: env}, secret_access_key: {type: env}}",
               "aws_auth: building access_key_id source: env source requires \"var\" field"},
           Row{"{access_key_id: {type: env, var: K}, secret_access_key: {type: zz}}",
               "aws_auth: building secret_access_key source: unsupported source type \"zz\""},
           Row{"{" + kKeys + ", session_token: {}}",
               "aws_auth: building session_token source: source.type is required"},
           Row{"{" + kKeys + "}", R"(aws_auth: at least one entry in "rules" is required)"},
           Row{"{" + kKeys + ", rules: [{}]}", ""},
       }) {
    const std::string got = build(row.yaml);
    if (row.text.empty()) {
      EXPECT_THAT(got, StartsWith(prefix + "aws_auth: rules[0]: ")) << row.yaml;
    } else {
      EXPECT_EQ(got, prefix + row.text) << row.yaml;
    }
  }
  EXPECT_THAT(build("{rules: 1}"), StartsWith(prefix + "parsing aws_auth config: yaml: "));
  EXPECT_THAT(build("{credentials_provider: {type: [a]}}"),
              StartsWith(prefix + "aws_auth: building credentials_provider: parsing "
                                  "credentials_provider type: yaml: "));
  EXPECT_EQ(build("{" + provider + ", " + kRules + "}"), "");
}

TEST(AwsAuth, WarnsOfWhatStandsBehindIt) {
  Rig rig(kEnv);
  rig.secrets("[]").with("aws_auth", "{" + kKeys + ", " + kRules + "}").secrets("[]");
  rig.pipeline();
  ASSERT_EQ(rig.warnings.size(), 1U);
  EXPECT_EQ(rig.warnings[0].message, "transform behind aws_auth can break its signatures");
  EXPECT_EQ(rig.warnings[0].attributes[1].text, "transforms[2]");
}

TEST(AwsAuth, SignsAnew) {
  Signer rig;
  rig.ask("GET /a%20b?z=1&a=2",
          {"Host: " + std::string(kHost), authorization(), "x-amz-date: 20200101T000000Z",
           "X-Amz-Security-Token: placeholder", "X-AMZ-Meta-a: b", "Accept-Encoding: gzip",
           "Content-Type: t/x"});
  EXPECT_EQ(rig.verdict(), "ok");
  EXPECT_THAT(rig.field("Authorization"), StartsWith("AWS4-HMAC-SHA256 Credential=AKIDREAL/"));
  EXPECT_THAT(rig.field("Authorization"),
              HasSubstr("/eu-west-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-content-"
                        "sha256;x-amz-date;x-amz-meta-a, Signature="));
  EXPECT_EQ(rig.field("X-Amz-Content-Sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(rig.field("X-Amz-Security-Token"), "");
  EXPECT_EQ(rig.field("x-amz-date"), "");
  EXPECT_EQ(rig.target(), "/a%20b?z=1&a=2");
  EXPECT_EQ(rig.annotations(),
            R"({"injected":["header:Authorization","header:X-Amz-Date",)"
            R"("header:X-Amz-Content-Sha256"],"region":"eu-west-1","service":"s3"})");
  EXPECT_TRUE(rig.exchange.holds_secret());
}

TEST(AwsAuth, LeavesOthersAlone) {
  Signer rig;
  EXPECT_EQ(rig.ask("GET /", {}, "other.test").verdict(), "ok");
  EXPECT_EQ(rig.annotations(), "");
  rig.tunnel({}, kHost);
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_EQ(rig.annotations(), "");
}

TEST(AwsAuth, NothingToSignWhereOnlyANameIsSeen) {
  Signer rig;
  for (const Mode mode : {Mode::sni_only, Mode::passthrough}) {
    rig.tunnel({}, kHost);
    rig.exchange.mode = mode;
    EXPECT_THAT(rig.verdict(), HasSubstr("missing_sigv4"));
  }
}

TEST(AwsAuth, RequestsWithoutAScope) {
  Signer rig;
  const std::string end = R"(","rejected":"missing_sigv4"})";
  const auto with = [&](const std::string& value) {
    return rig.ask("GET /", {"Authorization: " + value}).verdict();
  };
  EXPECT_EQ(rig.ask("GET /", {}).verdict(),
            R"(400 {"error":"request has no SigV4 signature (no Authorization header or )"
            "X-Amz-Credential query param)" +
                end);
  EXPECT_EQ(with("Bearer x"), R"(400 {"error":"not a AWS4-HMAC-SHA256 Authorization header)" + end);
  EXPECT_EQ(with("AWS4-ECDSA-P256-SHA256 Credential=a/b/c/aws4_request"),
            R"(400 {"error":"not a AWS4-HMAC-SHA256 Authorization header)" + end);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 SignedHeaders=host"),
            R"(400 {"error":"missing Credential field in Authorization header)" + end);
  EXPECT_THAT(
      with("AWS4-HMAC-SHA256 Credential=a/b/c"),
      HasSubstr(R"(malformed credential scope \"a/b/c\": expected 5 path segments, got 3)"));
  EXPECT_EQ(rig.exchange.answer->body, R"({"error":"aws_auth","reason":"missing_sigv4"})");
  EXPECT_EQ(rig.exchange.answer->content_type, "application/json");
  EXPECT_EQ(rig.exchange.rejected_by, "aws_auth");
}

TEST(AwsAuth, RegionsAndServices) {
  Signer rig("allowed_regions: [eu-west-1], allowed_services: [s3, bedrock]");
  EXPECT_EQ(rig.ask("GET /", {authorization("s3", "us-east-1")}).verdict(),
            R"(403 {"region":"us-east-1","rejected":"region_not_allowed"})");
  EXPECT_EQ(rig.ask("GET /", {authorization("iam")}).verdict(),
            R"(403 {"rejected":"service_not_allowed","service":"iam"})");
  EXPECT_EQ(rig.ask("GET /", {authorization("S3")}).verdict(),
            R"(403 {"rejected":"service_not_allowed","service":"S3"})");
  EXPECT_EQ(rig.ask("GET /", {authorization("bedrock")}).verdict(), "ok");
  // Refused without its body.
  rig.ask("PUT /", {authorization("iam")}).with_body("x");
  rig.run();
  EXPECT_FALSE(rig.exchange.body.loaded);
  Signer any("allowed_regions: [''], allowed_services: ['']");
  EXPECT_EQ(any.ask("GET /", {authorization("iam", "x")}).verdict(), "ok");
}

TEST(AwsAuth, KeysThatAreMissing) {
  Signer rig("session_token: {type: file, path: /tok}", {{"T_AWS_ID", "AKID"}, {"T_AWS_KEY", ""}});
  rig.outside.files["/tok"] = "tok";
  rig.ask("GET /", {authorization()});
  EXPECT_EQ(rig.verdict(),
            R"(502 {"credential":"static","error":"secret_access_key: env var \"T_AWS_KEY\" is )"
            R"(not set or empty","rejected":"credential_unavailable"})");
}

TEST(AwsAuth, ASessionTokenIsSentAndSigned) {
  Signer rig("session_token: {type: file, path: /tok}");
  rig.outside.files["/tok"] = "sess-tok";
  EXPECT_EQ(rig.ask("GET /", {authorization()}).verdict(), "ok");
  EXPECT_EQ(rig.field("X-Amz-Security-Token"), "sess-tok");
  EXPECT_THAT(rig.field("Authorization"), HasSubstr(";x-amz-security-token, Signature="));
  EXPECT_THAT(rig.annotations(), HasSubstr(R"("header:X-Amz-Security-Token")"));
}

TEST(AwsAuth, TheProgramsOwnKeys) {
  Rig rig;
  rig.with("aws_auth",
           "{credentials_provider: {type: workload_identity, region: eu-west-1}, " + kRules + "}");
  rig.outside.secret_variables = {{"AWS_ACCESS_KEY_ID", "AKIDOWN"}, {"AWS_SECRET_ACCESS_KEY", "k"}};
  rig.request("GET /", {authorization()}, kHost);
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_THAT(rig.fields(), Contains(HasSubstr("Credential=AKIDOWN/")));
  rig.outside.secret_variables = {};
  rig.outside.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  Rig none;
  none.with("aws_auth", "{credentials_provider: {type: workload_identity}, " + kRules + "}");
  none.outside.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  none.request("GET /", {authorization()}, kHost);
  EXPECT_EQ(none.run(), Progress::rejected);
  EXPECT_THAT(
      none.annotations(),
      StartsWith(R"({"credential":"workload_identity","error":"failed to refresh cached )"));
}

TEST(AwsAuth, BodiesAreHashed) {
  Signer rig;
  rig.ask("PUT /k", {authorization()}).with_body("hello");
  EXPECT_EQ(rig.verdict(), "ok");
  EXPECT_EQ(rig.field("X-Amz-Content-Sha256"),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  rig.ask("PUT /k", {authorization()}).with_body("hello", false);
  EXPECT_EQ(rig.verdict(), R"(400 {"rejected":"chunked_body_not_allowed"})");
  EXPECT_FALSE(rig.exchange.body.loaded);
  rig.ask("PUT /k", {authorization()}).with_body("hello");
  rig.exchange.body.too_large = true;
  rig.exchange.body.limit = 3;
  EXPECT_EQ(rig.verdict(),
            R"(413 {"buffered_length":3,"content_length":5,"rejected":"body_truncated"})");
  Signer chunked("allow_chunked_body: true");
  chunked.ask("PUT /k", {authorization()}).with_body("hello", false);
  EXPECT_EQ(chunked.verdict(), "ok");
}

TEST(AwsAuth, WhatIsSignedIsWhatLeaves) {
  Rig rig(Env{{"T_AWS_ID", "AKIDREAL"}, {"T_AWS_KEY", "k"}, {"T_AWS_BODY", "hello"}});
  rig.secrets(
         "[{source: {type: env, var: T_AWS_BODY}, replace: {proxy_value: placeholder-token, "
         "match_body: true}, rules: [{host: '*.amazonaws.com'}]}]")
      .with("aws_auth", "{" + kKeys + ", " + kRules + "}");
  rig.request("PUT /k", {authorization()}, kHost);
  rig.body("placeholder-token");
  rig.exchange.body.declared = 17;
  EXPECT_EQ(rig.run(), Progress::done);
  EXPECT_EQ(rig.sent_body(), "hello");
  EXPECT_THAT(rig.fields(),
              Contains("X-Amz-Content-Sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c"
                       "1fa7425e73043362938b9824"));
}

TEST(AwsAuth, KeysInsideOfSignedChunks) {
  Rig rig(Env{{"T_AWS_ID", "AKIDREAL"}, {"T_AWS_KEY", "k"}, {"T_AWS_BODY", "hello"}});
  rig.secrets(
         "[{source: {type: env, var: T_AWS_BODY}, replace: {proxy_value: placeholder-token, "
         "match_body: true}, rules: [{host: '*.amazonaws.com'}]}]")
      .with("aws_auth", "{" + kKeys + ", " + kRules + "}");
  rig.request("PUT /k",
              {authorization(), "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, kHost);
  rig.body("placeholder-token");
  rig.exchange.body.declared = 17;
  EXPECT_EQ(rig.run(), Progress::rejected);
  EXPECT_EQ(rig.exchange.body_change, nullptr);
  EXPECT_THAT(rig.annotations(1), HasSubstr(R"("rejected":"body_read_failed")"));
}

TEST(AwsAuth, BodiesThatStream) {
  const std::string trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  Signer rig;
  rig.ask("PUT /k", {authorization(), "X-Amz-Content-Sha256: " + trailer, "x-amz-trailer: x"})
      .with_body("5\r\nhello\r\n0\r\n\r\n", false);
  EXPECT_EQ(rig.verdict(), "ok");
  EXPECT_FALSE(rig.exchange.body.loaded);
  EXPECT_EQ(rig.field("X-Amz-Content-Sha256"), trailer);
  EXPECT_THAT(rig.field("Authorization"), HasSubstr(";x-amz-trailer,"));
  EXPECT_EQ(rig.exchange.body_change, nullptr);

  Signer plain("unsigned_payload: true");
  EXPECT_EQ(plain.ask("PUT /k", {authorization()}).with_body("x", false).verdict(), "ok");
  EXPECT_EQ(plain.field("X-Amz-Content-Sha256"), "UNSIGNED-PAYLOAD");
  EXPECT_FALSE(plain.exchange.body.loaded);

  struct Row {
    bool tls, counted;
    std::uint64_t limit;
    bool streams;
  };
  for (const Row& row : {Row{true, false, 9, true}, Row{true, true, 3, true},
                         Row{true, true, 9, false}, Row{true, true, UINT64_MAX, false}}) {
    rig.ask("PUT /k", {authorization(), "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"})
        .with_body("hello", row.counted);
    rig.exchange.client_tls = row.tls;
    rig.exchange.body.limit = row.limit;
    EXPECT_EQ(rig.verdict(), "ok");
    EXPECT_EQ(rig.field("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD", row.streams);
  }
  rig.ask("PUT /k", {authorization(), "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"})
      .with_body("hello", false);
  EXPECT_THAT(rig.verdict(), HasSubstr("chunked_body_not_allowed"));
}

TEST(AwsAuth, ChunksAreSignedWhileTheyStream) {
  Signer rig;
  const std::string zeros(64, '0');
  const std::string sent =
      "5;chunk-signature=" + zeros + "\r\nhello\r\n0;chunk-signature=" + zeros + "\r\n\r\n";
  rig.ask("PUT /k", {authorization(), "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
      .with_body(sent);
  EXPECT_EQ(rig.verdict(), "ok");
  ASSERT_NE(rig.exchange.body_change, nullptr);
  std::string out;
  EXPECT_TRUE(rig.exchange.body_change->feed(sent, out).has_value());
  EXPECT_TRUE(rig.exchange.body_change->end(out).has_value());
  EXPECT_EQ(out.size(), sent.size());
  EXPECT_THAT(out, Not(HasSubstr(zeros)));

  const auto refused = [&](const std::string& body) {
    rig.ask("PUT /k", {authorization(), "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
        .with_body(body);
    EXPECT_EQ(rig.verdict(), "ok");
    std::string ignored;
    EXPECT_TRUE(rig.exchange.body_change->feed(body, ignored).has_error());
    rig.exchange.body_change->refuse(rig.exchange);
    EXPECT_EQ(rig.exchange.rejected_by, "aws_auth");
    EXPECT_EQ(rig.exchange.request_traces[0].action, TraceAction::reject);
    return std::to_string(rig.exchange.answer->status) + " " + rig.annotations();
  };
  EXPECT_EQ(refused("100001;chunk-signature=" + zeros + "\r\n"),
            R"(413 {"buffered_length":1048576,"content_length":89,"rejected":"body_truncated"})");
  EXPECT_THAT(refused("nonsense\r\n"), StartsWith(R"(400 {"error":"aws-chunked body: )"));
}

TEST(AwsAuth, PresignedUrls) {
  Signer rig;
  rig.ask(
      "GET /k?X-Amz-Algorithm=AWS4-HMAC-SHA256&a=%2f&X-Amz-Credential=P%2F20261124%2Feu-west-1"
      "%2Fs3%2Faws4_request&X-Amz-Date=d&X-Amz-Expires=60&b&X-Amz-SignedHeaders=host"
      "&X-Amz-Security-Token=t&X-Amz-Signature=00",
      {});
  EXPECT_EQ(rig.verdict(), "ok");
  EXPECT_EQ(rig.target(), "/k?a=%2f&b");
  EXPECT_THAT(rig.field("Authorization"), HasSubstr("Credential=AKIDREAL/"));
}

TEST(AwsAuth, CallsThatHandOutKeys) {
  struct Row {
    const char* line;
    std::vector<std::string> fields;
    const char* body;
    const char* action;  ///< null: it passes
  };
  const Row rows[] = {
      {"POST /", {}, "Action=GetSessionToken&Version=2011-06-15", "GetSessionToken"},
      {"POST /", {}, "Action=GetCallerIdentity&Version=2011-06-15", nullptr},
      {"POST /", {}, "Version=1&Action=DecodeAuthorizationMessage", nullptr},
      {"GET /?Action=GetAccessKeyInfo", {}, "", nullptr},
      {"GET /?Action=AssumeRole", {}, "", "AssumeRole"},
      {"POST /?Action=GetCallerIdentity", {}, "Action=GetSessionToken", "GetSessionToken"},
      {"POST /", {}, "Action=GetCallerIdentity&%41ction=AssumeRole", "AssumeRole"},
      {"POST /", {}, "Action=GetCallerIdentity;Action=AssumeRole", "AssumeRole"},
      {"POST /", {"X-Amz-Target: T.AssumeRole"}, "Action=GetCallerIdentity", "AssumeRole"},
      {"POST /", {}, "{}", ""},
      {"POST /",
       {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
       "Action=GetCallerIdentity",
       nullptr},
      // What is not read as the service may read it is refused by what it seems to be.
      {"POST /", {"Content-Type: text/plain"}, "Action=GetCallerIdentity", "GetCallerIdentity"},
      {"POST /", {"Content-Encoding: gzip"}, "Action=GetCallerIdentity", "GetCallerIdentity"},
      {"POST /", {"X-Amz-Target: T.GetCallerIdentity"}, "", "GetCallerIdentity"},
      {"POST /x", {}, "Action=GetCallerIdentity", "GetCallerIdentity"},
      {"POST /", {}, "Action.1=AssumeRole&Action=GetCallerIdentity", ""},
      {"POST /", {}, "+Action=GetCallerIdentity", ""},
  };
  for (const Row& row : rows) {
    for (const char* service : {"sts", "STS"}) {
      Signer rig;
      std::vector<std::string> fields = row.fields;
      fields.push_back(authorization(service));
      rig.ask(row.line, fields, "sts.amazonaws.com");
      if (*row.body != '\0') rig.with_body(row.body);
      const std::string refused =
          std::string(R"(403 {"aws_action":")") + (row.action != nullptr ? row.action : "") +
          R"(","rejected":"credential_issuing_call","service":")" + service + R"("})";
      EXPECT_EQ(rig.verdict(), row.action == nullptr ? "ok" : refused) << row.line << row.body;
    }
  }
  Signer listed("allowed_services: [sts]");
  listed.ask("POST /", {authorization("sts")}).with_body("Action=GetSessionToken");
  EXPECT_EQ(listed.verdict(), "ok");
  // What it says is known only from its body, whatever becomes of the hash.
  Signer streamed("unsigned_payload: true");
  streamed.ask("POST /", {authorization("sts")}).with_body("Action=GetSessionToken", false);
  EXPECT_THAT(streamed.verdict(), HasSubstr("chunked_body_not_allowed"));
  streamed.ask("POST /", {authorization("sts")}).with_body("Action=GetSessionToken");
  EXPECT_THAT(streamed.verdict(), HasSubstr("credential_issuing_call"));
}

}  // namespace
}  // namespace iron::transforms

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/transforms/fake_outside.h"
#include "transforms/aws/aws_command.h"
#include "transforms/aws/aws_workload.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kFailed = "!failed to refresh cached credentials, ";

std::string sts(const std::string& action, const std::string& id = "ASIAROLE") {
  return "<" + action + "Response><" + action + "Result><Credentials><AccessKeyId>" + id +
         "</AccessKeyId><SecretAccessKey>role-key</SecretAccessKey><SessionToken>role-tok"
         "</SessionToken><Expiration>2026-11-24T10:00:00Z</Expiration></Credentials></" +
         action + "Result></" + action + "Response>";
}

std::string machine(const std::string& more, const std::string& expiry = "2026-11-24T10:00:00Z") {
  return R"({)" + more + R"("AccessKeyId":"ASIAM","SecretAccessKey":"m-key","Token":"m-tok",)" +
         R"("Expiration":")" + expiry + R"("})";
}

class Workload {
 public:
  explicit Workload(const std::string& region = "us-west-2") {
    services_.environment = &environment_;
    supply_ = std::make_unique<AwsWorkload>(
        region, BuildContext{nullptr, {}, "proxy.yaml", services_, warnings_, risks_, needs_});
  }
  /// `ID KEY TOKEN`, or `!` and the error.
  std::string get() {
    last = result_of(supply_->fetch(outside));
    if (last.value == nullptr) return "!" + last.error;
    return text_of(*last.keys.at(0)) + " " + text_of(*last.value) + " " + text_of(*last.keys.at(1));
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& sent : outside.sent) out.push_back(sent.first_line());
    return out;
  }
  FakeOutside outside;
  Supplied last;

 private:
  SecretEnvironment environment_;
  Services services_;
  std::vector<policy::ConfigWarning> warnings_;
  Risks risks_;
  Needs needs_;
  std::unique_ptr<AwsWorkload> supply_;
};

TEST(AwsChain, TheEnvironment) {
  Workload first, older, half;
  first.outside.secret_variables = {
      {"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "k"}, {"AWS_SESSION_TOKEN", "t"}};
  EXPECT_EQ(first.get(), "AKID k t");
  EXPECT_EQ(first.last.until_ns, INT64_MAX);
  older.outside.secret_variables = {{"AWS_ACCESS_KEY", "AKID"}, {"AWS_SECRET_KEY", "k"}};
  EXPECT_EQ(older.get(), "AKID k ");
  half.outside.secret_variables = {{"AWS_ACCESS_KEY_ID", "AKID"}};
  half.outside.variables["AWS_EC2_METADATA_DISABLED"] = "TRUE";
  EXPECT_EQ(half.get(), std::string(kFailed) +
                            "no EC2 IMDS role found, operation error ec2imds: GetMetadata, access "
                            "disabled to EC2 IMDS via client option, or "
                            "\"AWS_EC2_METADATA_DISABLED\" environment variable");
}

TEST(AwsChain, KeysAreKeptToTheirEnd) {
  Workload workload;
  auto& outside = workload.outside;
  outside.variables = {{"AWS_WEB_IDENTITY_TOKEN_FILE", "/tok"},
                       {"AWS_ROLE_ARN", "arn:aws:iam::1:role/r"},
                       {"AWS_ROLE_SESSION_NAME", "sess"}};
  outside.files["/tok"] = "web.id.tok";
  outside.answers(200, sts("AssumeRoleWithWebIdentity"));
  EXPECT_EQ(workload.get(), "ASIAROLE role-key role-tok");
  ASSERT_EQ(outside.sent.size(), 1U);
  EXPECT_EQ(outside.sent[0].first_line(), "POST https://sts.us-west-2.amazonaws.com/");
  EXPECT_EQ(outside.sent[0].body,
            "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"
            "RoleSessionName=sess&Version=2011-06-15&WebIdentityToken=web.id.tok");
  EXPECT_EQ(outside.sent[0].field("Authorization"), "");
  const auto left = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) +
                    std::chrono::hours(10) - outside.began;
  EXPECT_EQ(workload.last.until_ns, outside.time_ns + std::chrono::nanoseconds(left).count());
  EXPECT_EQ(workload.get(), "ASIAROLE role-key role-tok");
  EXPECT_EQ(outside.sent.size(), 1U);
  // The file is read again for the next ones.
  outside.time_ns = workload.last.until_ns;
  outside.files["/tok"] = "new.tok";
  outside.answers(200, sts("AssumeRoleWithWebIdentity", "ASIANEXT"));
  EXPECT_EQ(workload.get(), "ASIANEXT role-key role-tok");
  EXPECT_THAT(outside.sent[1].body, HasSubstr("WebIdentityToken=new.tok"));
}

TEST(AwsChain, WebIdentitiesThatFail) {
  Workload workload;
  auto& outside = workload.outside;
  outside.variables = {{"AWS_WEB_IDENTITY_TOKEN_FILE", "/tok"}};
  EXPECT_THAT(workload.get(), HasSubstr("role ARN is not set"));
  outside.variables["AWS_ROLE_ARN"] = "arn";
  EXPECT_THAT(workload.get(), HasSubstr("unable to read file at /tok: open /tok: no such file"));
  outside.files["/tok"] = "web.id.tok";
  outside.answers(400,
                  "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>not web.id.tok"
                  "</Message></Error></ErrorResponse>",
                  {"X-Amzn-Requestid: r"});
  EXPECT_EQ(
      workload.get(),
      std::string(kFailed) +
          "failed to retrieve credentials, operation error STS: AssumeRoleWithWebIdentity, "
          "https response error StatusCode: 400, RequestID: r, InvalidIdentityToken: not ***");
  EXPECT_EQ(workload.last.until_ns, INT64_MIN);
  // The general endpoint is not for STS, its own is.
  outside.variables["AWS_ENDPOINT_URL"] = "http://all";
  outside.answers(200, sts("AssumeRoleWithWebIdentity"));
  EXPECT_THAT(workload.get(), StartsWith("ASIAROLE"));
  EXPECT_EQ(outside.sent.back().first_line(), "POST https://sts.us-west-2.amazonaws.com/");
  Workload named;
  named.outside.variables = outside.variables;
  named.outside.variables["AWS_ENDPOINT_URL_STS"] = "http://sts:1";
  named.outside.files = outside.files;
  named.outside.answers(200, sts("AssumeRoleWithWebIdentity"));
  named.get();
  EXPECT_EQ(named.outside.sent.back().first_line(), "POST http://sts:1/");
}

TEST(AwsChain, Profiles) {
  Workload workload;
  auto& outside = workload.outside;
  outside.variables = {{"AWS_PROFILE", "role"}, {"HOME", "/h"}};
  outside.files["/h/.aws/config"] =
      "[profile role]\nrole_arn = arn:r\nsource_profile = base\nexternal_id = x\n"
      "role_session_name = me\n[profile base]\naws_access_key_id = no\naws_secret_access_key = no\n"
      "[profile sso]\nsso_session = s\n[profile loop]\nsource_profile = pool\nrole_arn = r\n"
      "[profile pool]\nsource_profile = loop\nrole_arn = r\n"
      "[profile program]\ncredential_process = /bin/keys \"a b\"\n"
      "[profile shell]\ncredential_process = /bin/keys | x\n"
      "[profile mfa]\nrole_arn = r\nsource_profile = base\nmfa_serial = m\n"
      "[profile env]\nrole_arn = r\ncredential_source = Environment\n";
  outside.files["/h/.aws/credentials"] =
      "[base]\naws_access_key_id = AKBASE\naws_secret_access_key = base-key\n";
  outside.answers(200, sts("AssumeRole"));
  EXPECT_EQ(workload.get(), "ASIAROLE role-key role-tok");
  EXPECT_EQ(outside.sent[0].body,
            "Action=AssumeRole&DurationSeconds=900&ExternalId=x&RoleArn=arn%3Ar&"
            "RoleSessionName=me&Version=2011-06-15");
  EXPECT_THAT(outside.sent[0].field("Authorization"),
              StartsWith("AWS4-HMAC-SHA256 Credential=AKBASE/20261124/us-west-2/sts/"));

  const auto of = [&](const std::string& profile) {
    Workload other;
    other.outside.variables = {{"AWS_PROFILE", profile}, {"HOME", "/h"}};
    other.outside.files = outside.files;
    other.outside.program = [](const ProgramRun& run) -> Result<Secret> {
      EXPECT_EQ(run.program, "/bin/keys");
      EXPECT_THAT(run.arguments, ElementsAre("a b"));
      return Secret::copy_of(R"({"Version":1,"AccessKeyId":"AKP","SecretAccessKey":"p-key"})");
    };
    return other.get();
  };
  EXPECT_EQ(of("base"), "AKBASE base-key ");
  EXPECT_EQ(of("sso"), std::string(kFailed) +
                           "profile \"sso\" takes a login of SSO or of the "
                           "console, which is not supported");
  EXPECT_THAT(of("loop"), HasSubstr("profile chain is too long"));
  EXPECT_EQ(of("program"), "AKP p-key ");
  EXPECT_THAT(of("shell"), HasSubstr("credential_process: it takes a shell"));
  EXPECT_THAT(of("mfa"), HasSubstr("mfa_serial, which is not supported"));
  EXPECT_THAT(of("env"), HasSubstr("the environment has no credentials"));
  EXPECT_EQ(of("nope"), "!loading AWS config: failed to get shared config profile, nope");
}

TEST(AwsChain, Containers) {
  Workload workload;
  auto& outside = workload.outside;
  outside.variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:81/creds?x=1"},
                       {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/auth"}};
  outside.files["/auth"] = "auth-tok";
  outside.answers(200, machine(""));
  EXPECT_EQ(workload.get(), "ASIAM m-key m-tok");
  EXPECT_EQ(outside.sent[0].first_line(), "GET http://127.0.0.1:81/creds?x=1");
  EXPECT_EQ(outside.sent[0].field("Authorization"), "auth-tok");
  EXPECT_EQ(outside.sent[0].field("Accept"), "application/json");
  // New ones are wanted five minutes early; until then a failure does no harm.
  outside.time_ns = workload.last.until_ns;
  outside.otherwise = [](const auto&) { return FakeOutside::answer(404, ""); };
  EXPECT_EQ(workload.get(), "ASIAM m-key m-tok");
  outside.time_ns += std::chrono::nanoseconds(std::chrono::minutes(5)).count();
  EXPECT_EQ(workload.get(),
            std::string(kFailed) + "failed to load credentials, HTTP 404 Not Found");

  const auto fault = [&](const std::string& url) {
    Workload other;
    other.outside.variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}};
    other.outside.otherwise = [](const auto&) { return FakeOutside::answer(200, machine("")); };
    return other.get();
  };
  for (const char* good : {"https://far.test/c", "http://localhost/c", "http://[::1]/c",
                           "http://169.254.170.23/c", "http://[fd00:ec2::23]/c"}) {
    EXPECT_EQ(fault(good), "ASIAM m-key m-tok") << good;
  }
  for (const char* bad : {"http://far.test/c", "http://127.evil.test/c", "http://10.0.0.1/c"}) {
    EXPECT_THAT(fault(bad), HasSubstr("only loopback/ecs/eks hosts are allowed")) << bad;
  }
  Workload relative;
  relative.outside.variables = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/c"}};
  relative.outside.secret_variables = {{"AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\nb"}};
  EXPECT_THAT(relative.get(), HasSubstr("authorization token contains invalid newline sequence"));
  relative.outside.secret_variables = {};
  relative.outside.answers(200, machine(""));
  relative.get();
  EXPECT_EQ(relative.outside.sent[0].first_line(), "GET http://169.254.170.2/v2/c");
}

TEST(AwsChain, Instances) {
  Workload workload;
  auto& outside = workload.outside;
  outside.answers(200, "imds-tok", {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 300"});
  outside.answers(200, "my-role\n");
  outside.answers(200, machine(R"("Code":"Success",)"));
  EXPECT_EQ(workload.get(), "ASIAM m-key m-tok");
  EXPECT_THAT(workload.lines(),
              ElementsAre("PUT http://169.254.169.254/latest/api/token",
                          "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/",
                          "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/"
                          "my-role"));
  EXPECT_EQ(outside.sent[0].field("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"), "300");
  EXPECT_EQ(outside.sent[0].field("X-Aws-Ec2-Metadata-Token"), "");
  EXPECT_EQ(outside.sent[2].field("X-Aws-Ec2-Metadata-Token"), "imds-tok");

  Workload older;
  older.outside.variables = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/"}};
  older.outside.answers(403, "");
  older.outside.answers(200, "r");
  older.outside.answers(200, machine(R"("Code":"Success",)"));
  EXPECT_EQ(older.get(), "ASIAM m-key m-tok");
  EXPECT_EQ(older.outside.sent[1].first_line(),
            "GET http://127.0.0.1:9/latest/meta-data/iam/security-credentials/");
  EXPECT_EQ(older.outside.sent[1].field("X-Aws-Ec2-Metadata-Token"), "");

  Workload strict;
  strict.outside.variables = {{"AWS_EC2_METADATA_V1_DISABLED", "true"}};
  strict.outside.answers(403, "");
  EXPECT_THAT(strict.get(), HasSubstr("no EC2 IMDS role found, operation error ec2imds: "
                                      "GetMetadata, http response error StatusCode: 403"));
  Workload odd;
  odd.outside.answers(200, "t");
  odd.outside.answers(200, "../../x");
  EXPECT_THAT(odd.get(), HasSubstr("names no role"));
}

TEST(AwsChain, KeysThatAreNone) {
  Workload workload;
  workload.outside.secret_variables = {{"AWS_ACCESS_KEY_ID", "AK"},
                                       {"AWS_SECRET_ACCESS_KEY", "a\r\nb"}};
  EXPECT_EQ(workload.get(), std::string(kFailed) + "the credentials hold bytes that no key has");
}

TEST(AwsCommand, Words) {
  const auto words = [](std::string_view line) {
    const Result<ProgramRun> run = aws_command(line);
    if (run.has_error()) return "!" + run.error().text;
    std::string out = run->program;
    for (const std::string& argument : run->arguments) out += "|" + argument;
    return out;
  };
  EXPECT_EQ(words("  /bin/x  a 'b c' \"d\\\"e\" f\\ g ''"), "/bin/x|a|b c|d\"e|f g|");
  EXPECT_EQ(words(R"("C:\x y" z)"), R"(C:\x y|z)");
  for (const char* bad : {"x; y", "x $HOME", "x \"$(y)\"", "x `y`", "x *", "x > y"}) {
    EXPECT_EQ(words(bad), "!credential_process: it takes a shell") << bad;
  }
  EXPECT_EQ(words("x 'y"), "!credential_process: a quote is not closed");
  EXPECT_EQ(words("x \\"), "!credential_process: it ends in a backslash");
  EXPECT_EQ(words(" "), "!credential_process: it names no program");
}

}  // namespace
}  // namespace iron::transforms

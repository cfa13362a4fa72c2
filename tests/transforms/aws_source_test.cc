#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "policy/yaml/yaml_reader.h"
#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"
#include "transforms/registry.h"
#include "transforms/sources/secret_source.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kSecretValue = R"({"Name":"s","SecretString":"va\"lue"})";

/// With keys in the environment and no home.
FakeOutside with_keys() {
  FakeOutside outside;
  outside.secret_variables = {{"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"},
                              {"AWS_SECRET_ACCESS_KEY", "the-key"}};
  outside.variables["AWS_REGION"] = "us-west-2";
  return outside;
}

std::string get(FakeOutside& outside, const std::string& yaml = "{type: aws_sm, secret_id: s}") {
  return BuiltSource(yaml).get(outside);
}

std::string fault_of(const std::string& yaml) {
  try {
    const BuiltSource built(yaml);
  } catch (const policy::ConfigError& error) {
    return error.text();
  }
  return "none";
}

TEST(AwsSource, FaultsOfTheBlock) {
  EXPECT_EQ(fault_of("{type: aws_sm}"), R"(aws_sm source requires "secret_id" field)");
  EXPECT_EQ(fault_of("{type: aws_ssm, secret_id: s}"), R"(aws_ssm source requires "name" field)");
  EXPECT_EQ(fault_of("{type: aws_ssm, name: /a, with_decryption: false, region: r}"), "none");
  EXPECT_THAT(fault_of("{type: aws_ssm, name: /a, with_decryption: x}"),
              StartsWith("parsing aws_ssm source config: yaml: unmarshal errors:"));
  EXPECT_EQ(BuiltSource("{type: aws_sm, secret_id: my/s}").source->name(), "my/s");
  EXPECT_EQ(BuiltSource("{type: aws_ssm, name: /a/b}").source->name(), "/a/b");
}

TEST(AwsSource, AsksForASecret) {
  FakeOutside world = with_keys();
  world.secret_variables["AWS_SESSION_TOKEN"] = "sess-tok";
  world.answers(200, kSecretValue);
  EXPECT_EQ(get(world, "{type: aws_sm, secret_id: 'my/secret'}"), "va\"lue");
  ASSERT_EQ(world.sent.size(), 1U);
  const auto& sent = world.sent[0];
  EXPECT_EQ(sent.first_line(), "POST https://secretsmanager.us-west-2.amazonaws.com/");
  EXPECT_EQ(sent.body, R"({"SecretId":"my/secret"})");
  EXPECT_EQ(sent.field("Content-Type"), "application/x-amz-json-1.1");
  EXPECT_EQ(sent.field("X-Amz-Target"), "secretsmanager.GetSecretValue");
  EXPECT_EQ(sent.field("X-Amz-Security-Token"), "sess-tok");
  EXPECT_THAT(sent.field("Authorization"),
              StartsWith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-west-2/"
                         "secretsmanager/aws4_request, SignedHeaders=content-type;host;"
                         "x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target, "));
}

TEST(AwsSource, AsksForAParameter) {
  FakeOutside world = with_keys();
  world.answers(200, R"({"Parameter":{"Name":"/a/b","Value":"v"}})");
  EXPECT_EQ(get(world, "{type: aws_ssm, name: /a/b, region: eu-west-1}"), "v");
  EXPECT_EQ(world.sent[0].first_line(), "POST https://ssm.eu-west-1.amazonaws.com/");
  EXPECT_EQ(world.sent[0].body, R"({"Name":"/a/b","WithDecryption":true})");
  EXPECT_EQ(world.sent[0].field("X-Amz-Target"), "AmazonSSM.GetParameter");
  world.answers(200, R"({"Parameter":{"Value":"v"}})");
  get(world, "{type: aws_ssm, name: /a/b, with_decryption: false}");
  EXPECT_EQ(world.sent[1].body, R"({"Name":"/a/b","WithDecryption":false})");
}

TEST(AwsSource, WhatTheServiceRefuses) {
  struct Row {
    const char* yaml;
    int status;
    const char* body;
    std::vector<std::string> fields;
    const char* error;
  };
  const char* const secret = "{type: aws_sm, secret_id: s}";
  const char* const parameter = "{type: aws_ssm, name: /m}";
  const std::string sm =
      R"(fetching secret "s": operation error Secrets Manager: GetSecretValue, )";
  const std::string ssm = R"(fetching parameter "/m": operation error SSM: GetParameter, )";
  const std::string http = "https response error StatusCode: 400, RequestID: r-1, ";
  for (const Row& row : {
           Row{secret,
               400,
               R"({"__type":"com.amazonaws#ResourceNotFoundException","Message":"can't find it"})",
               {"X-Amzn-Requestid: r-1"},
               "ResourceNotFoundException: can't find it"},
           Row{secret,
               400,
               R"({"__type":"AccessDeniedException","message":"no"})",
               {"X-Amzn-Requestid: r-1"},
               "api error AccessDeniedException: no"},
           Row{secret,
               400,
               "",
               {"X-Amzn-Requestid: r-1", "X-Amzn-ErrorType: Odd:http://x"},
               "api error Odd: "},
           Row{secret, 400, "boom", {"X-Amzn-Requestid: r-1"}, "api error UnknownError: "},
           Row{secret,
               400,
               R"({"__type":"Odd","message":"key the-key is AKIDEXAMPLE"})",
               {"X-Amzn-Requestid: r-1"},
               "api error Odd: key *** is ***"},
           Row{secret,
               400,
               R"({"__type":"AKIDEXAMPLE","message":"x"})",
               {"X-Amzn-Requestid: r-1"},
               "api error ***: x"},
           Row{parameter,
               400,
               R"({"__type":"ParameterNotFound"})",
               {"X-Amzn-Requestid: r-1"},
               "ParameterNotFound: "},
       }) {
    FakeOutside world = with_keys();
    world.answers(row.status, row.body, row.fields);
    EXPECT_EQ(get(world, row.yaml), "!" + (row.yaml == secret ? sm : ssm) + http + row.error);
    EXPECT_EQ(world.sent.size(), 1U);
  }
}

TEST(AwsSource, AnswersWithoutAValue) {
  for (const auto& [yaml, body, error] :
       std::vector<std::tuple<const char*, const char*, const char*>>{
           {"{type: aws_sm, secret_id: s}", R"({"SecretBinary":"eA=="})",
            R"(!secret "s" resolved to empty value)"},
           {"{type: aws_sm, secret_id: s}", "no",
            R"(!fetching secret "s": operation error Secrets Manager: GetSecretValue, )"
            "deserialization failed, failed to decode response body"},
           {"{type: aws_ssm, name: /n}", "{}", R"(!parameter "/n" resolved without a value)"},
           {"{type: aws_ssm, name: /n}", R"({"Parameter":{"Value":""}})",
            R"(!parameter "/n" resolved to empty value)"}}) {
    FakeOutside world = with_keys();
    world.answers(200, body);
    EXPECT_EQ(get(world, yaml), error);
  }
}

TEST(AwsSource, TriesAgainWhereThatHelps) {
  FakeOutside world = with_keys();
  world.otherwise = [](const auto&) {
    return FakeOutside::answer(500, R"({"__type":"InternalServiceError","Message":"boom"})",
                               {"X-Amzn-Requestid: req-5"});
  };
  EXPECT_EQ(get(world),
            R"(!fetching secret "s": operation error Secrets Manager: GetSecretValue, exceeded )"
            "maximum number of attempts, 3, https response error StatusCode: 500, RequestID: "
            "req-5, InternalServiceError: boom");
  EXPECT_EQ(world.sent.size(), 3U);
  ASSERT_EQ(world.slept.size(), 2U);
  EXPECT_LT(world.slept[0], std::chrono::seconds(2));
  EXPECT_LT(world.slept[1], std::chrono::seconds(4));

  FakeOutside throttled = with_keys();
  throttled.answers(400, R"({"__type":"ThrottlingException"})");
  throttled.fails("dial tcp 1.2.3.4:443: connect: connection refused");
  throttled.answers(200, kSecretValue);
  EXPECT_EQ(get(throttled), "va\"lue");

  FakeOutside once = with_keys();
  once.variables["AWS_MAX_ATTEMPTS"] = "1";
  once.fails("EOF");
  EXPECT_EQ(get(once),
            R"(!fetching secret "s": operation error Secrets Manager: GetSecretValue, exceeded )"
            "maximum number of attempts, 1, https response error StatusCode: 0, RequestID: , "
            "request send failed, Post \"https://secretsmanager.us-west-2.amazonaws.com/\": EOF");
}

TEST(AwsSource, Endpoints) {
  struct Row {
    std::map<std::string, std::string> variables;
    const char* config;
    const char* url;
  };
  const char* const services =
      "[default]\nregion = eu-west-1\nservices = mine\nendpoint_url = http://all:1\n"
      "[services mine]\nsecrets_manager =\n  endpoint_url = http://sm:2/base\n";
  for (const Row& row : {
           Row{{}, "", "POST https://ssm.us-west-2.amazonaws.com/"},
           Row{{{"AWS_REGION", "cn-north-1"}}, "", "POST https://ssm.cn-north-1.amazonaws.com.cn/"},
           Row{{{"AWS_USE_FIPS_ENDPOINT", "true"}},
               "",
               "POST https://ssm-fips.us-west-2.amazonaws.com/"},
           Row{{{"AWS_USE_DUALSTACK_ENDPOINT", "true"}}, "", "POST https://ssm.us-west-2.api.aws/"},
           Row{{{"AWS_ENDPOINT_URL", "http://h/base"}}, "", "POST http://h/base"},
           Row{{{"AWS_ENDPOINT_URL", "http://h"}, {"AWS_ENDPOINT_URL_SSM", "http://s:1"}},
               "",
               "POST http://s:1/"},
           Row{{{"AWS_ENDPOINT_URL", "http://h"}, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}},
               "",
               "POST https://ssm.us-west-2.amazonaws.com/"},
           Row{{}, services, "POST http://all:1/"},
       }) {
    FakeOutside world = with_keys();
    for (const auto& [name, value] : row.variables) world.variables[name] = value;
    world.variables["AWS_CONFIG_FILE"] = "/c";
    world.files["/c"] = row.config;
    world.answers(200, R"({"Parameter":{"Value":"v"}})");
    EXPECT_EQ(get(world, "{type: aws_ssm, name: /n}"), "v");
    EXPECT_EQ(world.sent[0].first_line(), row.url);
  }
  FakeOutside world = with_keys();
  world.variables = {{"HOME", "/h"}, {"AWS_USE_DUALSTACK_ENDPOINT", "true"}};
  world.files["/h/.aws/config"] = services;
  world.answers(200, kSecretValue);
  EXPECT_EQ(get(world), "va\"lue");
  EXPECT_EQ(world.sent[0].first_line(), "POST http://sm:2/base");
  EXPECT_THAT(world.sent[0].field("Authorization"), HasSubstr("/eu-west-1/secretsmanager/"));
}

TEST(AwsSource, WithoutARegion) {
  FakeOutside world = with_keys();
  world.variables.clear();
  EXPECT_EQ(get(world),
            R"(!fetching secret "s": operation error Secrets Manager: GetSecretValue, failed to )"
            "resolve service endpoint, endpoint rule error, Invalid Configuration: Missing Region");
  world.variables["AWS_ENDPOINT_URL"] = "http://h";
  world.answers(200, kSecretValue);
  EXPECT_EQ(get(world), "va\"lue");
  EXPECT_THAT(world.sent[0].field("Authorization"), HasSubstr("//secretsmanager/aws4_request"));
  world.variables = {{"AWS_REGION", "evil.test/x"}};
  EXPECT_THAT(get(world), HasSubstr("Region is no host label"));
}

TEST(AwsSource, AProfileThatIsNotThere) {
  FakeOutside world = with_keys();
  world.variables["AWS_PROFILE"] = "nope";
  const std::string rest = "loading AWS config: failed to get shared config profile, nope";
  EXPECT_EQ(get(world), "!creating AWS SM client: " + rest);
  EXPECT_EQ(get(world, "{type: aws_ssm, name: /n}"), "!creating AWS SSM client: " + rest);
}

TEST(AwsSource, FilesThatStayReadable) {
  setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token", 1);
  setenv("AWS_CONFIG_FILE", "/etc/c", 1);
  const BuiltSource built("{type: aws_sm, secret_id: s}");
  unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
  unsetenv("AWS_CONFIG_FILE");
  EXPECT_THAT(built.needs.files, ::testing::IsSupersetOf({"/run/token", "/etc/c"}));
}

TEST(AwsSource, ProgramsThatAreNeeded) {
  const std::string path = ::testing::TempDir() + "aws_source_test_config";
  std::ofstream(path) << "[profile p]\ncredential_process = /bin/keys \"a b\"\n"
                         "[profile role]\nrole_arn = r\nsource_profile = p\n"
                         "[profile keys]\naws_access_key_id = A\ncredential_process = /bin/keys\n"
                         "[profile shell]\ncredential_process = /bin/keys | x\n"
                         "[profile loop]\nsource_profile = pool\n[profile pool]\n"
                         "source_profile = loop\ncredential_process = /bin/keys\n";
  setenv("AWS_CONFIG_FILE", path.c_str(), 1);
  const auto programs = [](const char* profile) {
    setenv("AWS_PROFILE", profile, 1);
    return BuiltSource("{type: aws_sm, secret_id: s}").needs.programs;
  };
  const ProgramNeed keys{"/bin/keys", {"a b"}, ""};
  EXPECT_THAT(programs("p"), ElementsAre(keys));
  EXPECT_THAT(programs("role"), ElementsAre(keys));
  for (const char* profile : {"keys", "shell", "loop", "none"}) {
    EXPECT_THAT(programs(profile), IsEmpty()) << profile;
  }
  // A search does not come to the profile.
  setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token", 1);
  EXPECT_THAT(programs("p"), IsEmpty());
  unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
  setenv("AWS_ACCESS_KEY_ID", "A", 1);
  EXPECT_THAT(programs("p"), ElementsAre(keys));
  setenv("AWS_ACCESS_KEY_ID", "A", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "k", 1);
  EXPECT_THAT(programs("p"), IsEmpty());
  for (const char* name :
       {"AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}) {
    unsetenv(name);
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace iron::transforms

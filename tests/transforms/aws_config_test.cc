#include "transforms/auth/aws_config.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::transforms {
namespace {

constexpr const char* kConfig =
    "# comment\n"
    "; another\n"
    "\n"
    "[default]\n"
    "region=us-east-1\r\n"
    "REGION = us-east-2\n"
    "aws_secret_access_key = ab/c+d#e;f=  # behind\n"
    "empty =\n"
    "[profile dev]\t; behind\n"
    "role_arn = arn:aws:iam::1:role/r\n"
    "s3 =\n"
    "  max_concurrent_requests = 20\n"
    "  # inside\n"
    "\tendpoint_url = http://profile\n"
    "services = own\n"
    "[profile \"with blank\"]\n"
    "region = r3\n"
    "[ services  own ]\n"
    "s3 =\n"
    "  endpoint_url = https://s3.example/base\n"
    "secrets_manager =\n"
    "  endpoint_url = https://sm.example\n"
    "  endpoint_url = https://sm2.example\n"
    "[profile dev]\n"
    "region = later\n"
    "[sso-session x]\n"
    "sso_region = eu-west-1\n"
    "[profile last]\n"
    "region = no-line-end";

std::string shown(const std::optional<std::string_view>& value) {
  return value ? std::string(*value) : "none";
}

AwsConfigFile parsed(std::string_view text) {
  auto file = AwsConfigFile::parse(Secret::copy_of(text));
  EXPECT_TRUE(file) << file.error().text;
  return file ? std::move(*file) : AwsConfigFile();
}

TEST(AwsConfig, FindsSettingsOfSections) {
  const AwsConfigFile file = parsed(kConfig);
  struct Case {
    const char *kind, *name, *setting, *value;
  };
  for (const Case& at : {
           Case{"", "default", "region", "us-east-2"},
           Case{"", "default", "aws_secret_access_key", "ab/c+d#e;f="},
           Case{"", "default", "AWS_Secret_Access_Key", "ab/c+d#e;f="},
           Case{"", "default", "empty", ""},
           Case{"", "default", "role_arn", "none"},
           Case{"profile", "default", "region", "none"},
           Case{"profile", "dev", "role_arn", "arn:aws:iam::1:role/r"},
           Case{"profile", "dev", "region", "later"},
           Case{"profile", "dev", "services", "own"},
           Case{"profile", "dev", "endpoint_url", "none"},
           Case{"profile", "dev", "s3", ""},
           Case{"profile", "with blank", "region", "r3"},
           Case{"sso-session", "x", "sso_region", "eu-west-1"},
           Case{"profile", "last", "region", "no-line-end"},
           Case{"profile", "Dev", "region", "none"},
       }) {
    EXPECT_EQ(shown(file.find(at.kind, at.name, at.setting)), at.value)
        << at.name << "." << at.setting;
  }
  EXPECT_TRUE(file.has("services", "own"));
  EXPECT_FALSE(file.has("profile", "own"));
  EXPECT_EQ(file.find_secret("", "default", "aws_secret_access_key")->reveal(), "ab/c+d#e;f=");
  EXPECT_FALSE(file.find_secret("", "default", "aws_session_token"));
}

TEST(AwsConfig, FindsWhatIsNested) {
  const AwsConfigFile file = parsed(kConfig);
  EXPECT_EQ(shown(file.find_nested("services", "own", "s3", "endpoint_url")),
            "https://s3.example/base");
  EXPECT_EQ(shown(file.find_nested("services", "own", "secrets_manager", "endpoint_url")),
            "https://sm2.example");
  EXPECT_EQ(shown(file.find_nested("profile", "dev", "s3", "endpoint_url")), "http://profile");
  EXPECT_EQ(shown(file.find_nested("services", "own", "sts", "endpoint_url")), "none");
  EXPECT_EQ(shown(file.find_nested("services", "own", "s3", "region")), "none");
}

TEST(AwsConfig, DefaultHasTwoSpellings) {
  constexpr const char* kPlain = "[default]\nregion = a\n";
  EXPECT_EQ(shown(find_in_profile(parsed(kPlain), "default", "region")), "a");
  const AwsConfigFile both = parsed(std::string("[profile default]\nregion = b\n") + kPlain);
  EXPECT_EQ(shown(find_in_profile(both, "default", "region")), "b");
  EXPECT_EQ(shown(find_in_profile(both, "dev", "region")), "none");
  EXPECT_EQ(shown(find_in_profile(parsed("[dev]\nregion = c"), "dev", "region")), "none");
}

TEST(AwsConfig, ViewsOutliveAMove) {
  AwsConfigFile first = parsed(kConfig);
  const AwsConfigFile second = std::move(first);
  EXPECT_EQ(shown(second.find("", "default", "region")), "us-east-2");
}

TEST(AwsConfig, ErrorsNameTheLineAndNoContent) {
  struct Case {
    std::string text, error;
  };
  for (const Case& at : {
           Case{"hunter2 = 1\n", "line 1: a setting in front of the first section"},
           Case{"[a]\n\n[hunter2\n", "line 3: a section without \"]\""},
           Case{"[a] hunter2\n", "line 1: text behind a section"},
           Case{"[a]\nhunter2\n", "line 2: neither a section nor a setting"},
           Case{"[a]\n=hunter2\n", "line 2: neither a section nor a setting"},
           Case{"[a]\n" + std::string(30000, '['), "line 2: a section without \"]\""},
           Case{std::string((1 << 20) + 1, '\n'), "larger than 1048576 bytes"},
       }) {
    const auto file = AwsConfigFile::parse(Secret::copy_of(at.text));
    ASSERT_FALSE(file) << at.text;
    EXPECT_EQ(file.error().text, at.error);
  }
  std::string many = "[a]\n";
  for (int i = 0; i < 10000; ++i) many += "a=1\n";
  EXPECT_FALSE(AwsConfigFile::parse(Secret::copy_of(many)));
}

}  // namespace
}  // namespace iron::transforms

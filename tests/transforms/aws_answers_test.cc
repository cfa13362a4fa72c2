#include "transforms/auth/aws_answers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transforms/auth/xml_text.h"

namespace iron::transforms {
namespace {

constexpr std::int64_t kNoTime = -1000000;

TEST(Rfc3339, ReadsTimes) {
  struct Case {
    const char* text;
    std::int64_t seconds;
  };
  for (const Case& at : {
           Case{"1970-01-01T00:00:00Z", 0},
           Case{"2026-11-24T08:44:34Z", 1795509874},
           Case{"2026-11-24T08:44:34.999Z", 1795509874},
           Case{"2026-11-24t10:44:34+02:00", 1795509874},
           Case{"2026-11-24 03:14:34.5-05:30", 1795509874},
           Case{"2024-02-29T00:00:00z", 1709164800},
           Case{"2025-02-29T00:00:00Z", kNoTime},
           Case{"2026-13-01T00:00:00Z", kNoTime},
           Case{"2026-00-01T00:00:00Z", kNoTime},
           Case{"2026-11-24T24:00:00Z", kNoTime},
           Case{"2026-11-24T08:60:34Z", kNoTime},
           Case{"2026-11-24T08:44:61Z", kNoTime},
           Case{"2026-11-24T08:44:34", kNoTime},
           Case{"2026-11-24T08:44:34.Z", kNoTime},
           Case{"2026-11-24T08:44:34Zx", kNoTime},
           Case{"2026-11-24T08:44:34+0200", kNoTime},
           Case{"2026-11-24T08:44:34+24:00", kNoTime},
           Case{"2026-11-24", kNoTime},
           Case{"26-11-24T08:44:34Z", kNoTime},
           Case{"1795509874", kNoTime},
           Case{"", kNoTime},
       }) {
    const auto time = parse_rfc3339(at.text);
    EXPECT_EQ(time ? time->time_since_epoch().count() : kNoTime, at.seconds) << at.text;
  }
}

TEST(XmlText, FindsAnElementByItsPath) {
  struct Case {
    std::string document;
    const char* text;  ///< of /r/a/b
  };
  for (const Case& at : {
           Case{"<r><a><b>x</b></a></r>", "x"},
           Case{"<?xml version=\"1.0\"?>\n<!-- <b> --><r xmlns=\"u/'>\">\n <a >\n<b i='<'/><b>",
                nullptr},
           Case{"<?xml version=\"1.0\"?>\n<!-- <b> --><r xmlns=\"u/'>\">\n <a >\n<b i='>'\n>x</b >",
                "x"},
           Case{"<r><b>no</b><a><c><b>no</b></c><b>x</b><b>second</b></a></r>", "x"},
           Case{"<r><a><b/></a><a><b>x</b></a></r>", "x"},
           Case{"<r><a><b>&lt;&gt;&amp;amp;&quot;&apos;</b></a></r>", "<>&amp;\"'"},
           Case{"<r><a><b></b></a></r>", ""},
           Case{"<r><a><b>a&b</b></a></r>", nullptr},
           Case{"<r><a><b>a&#47;b</b></a></r>", nullptr},
           Case{"<r><a><b>1<!-- -->2</b></a></r>", nullptr},
           Case{"<r><a><b>1<?p?>2</b></a></r>", nullptr},
           Case{"<r><a><b>1<c/>2</b></a></r>", nullptr},
           Case{"<r><a><b><c>1</c>2</b></a></r>", nullptr},
           Case{"<r><a><b><![CDATA[x]]></b></a></r>", nullptr},
           Case{"<!DOCTYPE r [<!ENTITY e 'x'>]><r><a><b>x</b></a></r>", nullptr},
           Case{"<r><a><b>x</a></b></r>", nullptr},
           Case{"</r><r><a><b>x</b></a></r>", nullptr},
           Case{"<r><a><b>x", nullptr},
           Case{"<r><a><b>x</b", nullptr},
           Case{"<r><a><b", nullptr},
           Case{"<r><a><B>x</B></a></r>", nullptr},
           Case{"<r><a><>x</><b>x</b></a></r>", nullptr},
           Case{"", nullptr},
       }) {
    const std::vector<std::string_view> path{"r", "a", "b"}, any{"*", "a", "b"};
    const auto text = xml_text(at.document, path);
    ASSERT_EQ(text.has_value(), at.text != nullptr) << at.document;
    if (text) {
      EXPECT_EQ(text->reveal(), at.text);
    }
    EXPECT_EQ(xml_text(at.document, any).has_value(), at.text != nullptr);
  }
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "<d>";
  for (int i = 0; i < 40; ++i) deep += "</d>";
  const std::vector<std::string_view> path{"r", "b"};
  EXPECT_TRUE(xml_text("<r><b>x</b>" + deep, path));
  EXPECT_FALSE(xml_text("<r>" + deep + "<b>x</b>", path));
}

constexpr const char* kSts =
    R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>x</SubjectFromWebIdentityToken>
    <Credentials>
      <SessionToken>tok/+==</SessionToken>
      <SecretAccessKey>sec</SecretAccessKey>
      <Expiration>2026-11-24T08:44:34Z</Expiration>
      <AccessKeyId>ASIA</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>)";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

void expect_keys(const Result<AwsCredentials>& keys) {
  ASSERT_TRUE(keys) << keys.error().text;
  EXPECT_EQ(keys->access_key_id.reveal(), "ASIA");
  EXPECT_EQ(keys->secret_access_key.reveal(), "sec");
  EXPECT_EQ(keys->session_token.reveal(), "tok/+==");
  ASSERT_TRUE(keys->expiry);
  EXPECT_EQ(keys->expiry->time_since_epoch().count(), 1795509874);
}

TEST(StsAnswer, ReadsBothActions) {
  expect_keys(read_sts_answer(Secret::copy_of(kSts), "AssumeRoleWithWebIdentity"));
  const std::string role = replaced(kSts, "WithWebIdentity", "");
  expect_keys(read_sts_answer(Secret::copy_of(role), "AssumeRole"));
  EXPECT_FALSE(read_sts_answer(Secret::copy_of(kSts), "AssumeRole"));
}

TEST(StsAnswer, SaysWhatIsMissing) {
  struct Case {
    const char *from, *to, *error;
  };
  for (const Case& at : {
           Case{"ASIA", "", "the answer has no AccessKeyId"},
           Case{"SecretAccessKey>", "S>", "the answer has no SecretAccessKey"},
           Case{"Expiration>", "E>", "the answer has no Expiration"},
           Case{"2026-11", "2026-31", "the Expiration of the answer is not a time"},
       }) {
    const auto keys = read_sts_answer(Secret::copy_of(replaced(kSts, at.from, at.to)),
                                      "AssumeRoleWithWebIdentity");
    ASSERT_FALSE(keys) << at.error;
    EXPECT_EQ(keys.error().text, at.error);
  }
}

TEST(AwsJsonAnswer, ReadsThreeKinds) {
  const std::string container =
      R"({"AccessKeyId":"ASIA","SecretAccessKey":"sec","Token":"tok\/+==",)"
      R"("Expiration":"2026-11-24T08:44:34Z"})";
  const std::string instance = replaced(container, "{", R"({"Code":"Success",)");
  const std::string process =
      replaced(replaced(container, "{", R"({"Version": 1,)"), "Token", "SessionToken");
  using Kind = AwsJsonAnswer;
  expect_keys(read_aws_json_answer(Secret::copy_of(container), Kind::container));
  expect_keys(read_aws_json_answer(Secret::copy_of(instance), Kind::instance));
  expect_keys(read_aws_json_answer(Secret::copy_of(process), Kind::process));
  const auto lasting = read_aws_json_answer(
      Secret::copy_of(R"({"Version":1,"AccessKeyId":"A","SecretAccessKey":"s"})"), Kind::process);
  ASSERT_TRUE(lasting);
  EXPECT_FALSE(lasting->expiry);
  EXPECT_TRUE(lasting->session_token.empty());
  struct Case {
    Kind kind;
    std::string body;
    const char* error;
  };
  for (const Case& at : {
           Case{Kind::container, "[]", "the answer is not a JSON object"},
           Case{Kind::container, "hunter2", "the answer is not a JSON object"},
           Case{Kind::container, "{}", "the answer has no AccessKeyId"},
           Case{Kind::container, replaced(container, "\"sec\"", "1"),
                "the answer has no SecretAccessKey"},
           Case{Kind::container, replaced(container, "T08", "X08"),
                "the Expiration of the answer is not a time"},
           Case{Kind::instance, container, "the Code of the answer is not Success"},
           Case{Kind::instance, replaced(instance, "Success", "Failed"),
                "the Code of the answer is not Success"},
           Case{Kind::process, container, "the Version of the answer is not 1"},
           Case{Kind::process, replaced(process, ": 1", ": 2"),
                "the Version of the answer is not 1"},
       }) {
    const auto keys = read_aws_json_answer(Secret::copy_of(at.body), at.kind);
    ASSERT_FALSE(keys) << at.body;
    EXPECT_EQ(keys.error().text, at.error);
  }
}

}  // namespace
}  // namespace iron::transforms

#include "transforms/auth/sigv4.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transforms/auth/sigv4_scope.h"

namespace iron::transforms {
namespace {

constexpr const char* kNoBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// 2026-11-24T08:44:34Z
constexpr std::chrono::sys_seconds kTime{std::chrono::seconds{1795509874}};

AwsCredentials credentials_of(std::string_view token) {
  return {Secret::copy_of("AKIDEXAMPLE"),
          Secret::copy_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Secret::copy_of(token),
          std::nullopt};
}

struct Case {
  const char *method, *path, *query;
  std::vector<SignedField> fields;
  const char *payload_hash, *region, *service, *token, *names, *signature;
};

AwsRequest request_of(const Case& at) {
  return {at.method, at.path, at.query, at.fields, at.payload_hash, at.region, at.service, kTime};
}

// Made with botocore 1.43, whose clock was set: SigV4Auth, for the S3 family S3SigV4Auth, over a
// request with these fields and X-Amz-Content-SHA256.
const std::vector<Case> kCases{
    Case{"GET",
         "/b/a%20b",
         "",
         {{"Host", "b.example"}},
         kNoBody,
         "us-west-2",
         "s3",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "222f609a4114ab428d2bb7d7aea26c13149fbe62f7ba7117b09dec18a9c383d5"},
    Case{"GET",
         "/b/a%2Bb/%C3%BC~",
         "list-type=2&prefix=a%2Fb",
         {{"Host", "b.example"}},
         kNoBody,
         "us-west-2",
         "s3",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "0278671c341c8f4fbe01996c19ce13d2b2676e36eae7f7af0229f94d3b8f19fc"},
    Case{"GET",
         "/b//x/../y/.",
         "",
         {{"Host", "b.example"}},
         kNoBody,
         "us-west-2",
         "s3",
         "tok",
         "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
         "d1ee34501af0d4ede60665f1eed14c4e18b1e46d5b526e87b9fdf721c907fcfe"},
    Case{"PUT",
         "/b/k",
         "",
         {{"Host", "b.example"},
          {"Content-Type", "text/plain"},
          {"X-Amz-Meta-A", "one"},
          {"X-Amz-Acl", "private"}},
         "UNSIGNED-PAYLOAD",
         "eu-central-1",
         "s3",
         "session/token+==",
         "content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-security-"
         "token",
         "78073ca4b5ee31f722c9114f99162baba3456340b3850a6fd023de5ed7fc6a6f"},
    Case{"PUT",
         "/b/k",
         "partNumber=1&uploadId=x",
         {{"Host", "b.example"}, {"Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="}},
         "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
         "eu-central-1",
         "s3-outposts",
         "",
         "content-md5;host;x-amz-content-sha256;x-amz-date",
         "0028663a41d0d33fa4b93cbaa04dea7f377d6c85718c84334cb58286cfdc762b"},
    Case{"POST",
         "/model/a%3Ab/invoke",
         "",
         {{"Host", "bedrock.example"}, {"Content-Type", "application/json"}},
         "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
         "us-east-1",
         "bedrock",
         "",
         "content-type;host;x-amz-content-sha256;x-amz-date",
         "0f06516ff7ee35b6c3fb2b51d673b0e28e9064416b1f638099f60a74e80079db"},
    Case{"POST",
         "/model/a:b/invoke",
         "",
         {{"Host", "bedrock.example"}},
         kNoBody,
         "us-east-1",
         "bedrock",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "ff574050dc76ca5ef33a80ea400e1051dd62c854a3106c63b0cb3d128bf225fc"},
    Case{"GET",
         "//x/../y",
         "",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "b237be92321f2a040e25e63afcbae71e15871d9affbe2418130b06f76ff0e69a"},
    Case{"GET",
         "/a/./b//c/",
         "",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "d150f02f5aa5ee8c9a6cce669c953ff64f41373134361fa0ea5b26ce39240fd3"},
    Case{"GET",
         "/..",
         "",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "8fc1bb8f68df8615efc8167da41fc50a23f0cfbdb8c51f03e4f807fc07d04963"},
    Case{"GET",
         "/b%20a/%25",
         "",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "579cfa0715108304a3a3ffd87729a1af7e36f42d04536283e869ff855df6955d"},
    Case{"GET",
         "/",
         "z=1&a=2",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "f789698fb3a8d7faca53082d7ccf0c8375a966137cec3cd7697ec7b838305849"},
    Case{"GET",
         "/",
         "acl",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "s3",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "00c81244cf77f08264befe81296caa169f46dfdf8826089eb084043fc917f2e9"},
    Case{"GET",
         "/",
         "a-b=1&a=2&a=1&a.b=&a",
         {{"Host", "h.example"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "0c24a5a7a092d8c712158f8e9bf31f01b2534c355b477fb641402bdd897a4674"},
    Case{"GET",
         "/",
         "Action=x&k=a%20b%2B~%2F",
         {{"Host", "h.example:8443"}},
         kNoBody,
         "us-east-1",
         "iam",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "68fecde632900f45b1fc179b4407765652a38af2b8b8b48769a7d0af62842b67"},
    Case{"POST",
         "/",
         "",
         {{"Host", "h.example"},
          {"X-Amz-Target", "secretsmanager.GetSecretValue"},
          {"Content-Type", "application/x-amz-json-1.1"}},
         "2fc14863a8eef3fe3217bc8bd71ac90b137293bc5d094d1a864962bddc1afc2b",
         "us-west-2",
         "secretsmanager",
         "sess-tok",
         "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target",
         "4e4dc1cdbbfaa69c57a76ae962aac81158ac829ab730884b6fd50ceb884e60c9"},
    Case{"POST",
         "/",
         "",
         {{"Host", "h.example"}},
         kNoBody,
         "",
         "secretsmanager",
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "0707323d6772009a212e09c2ae70b0c315c31669aa4a8f35f6e405a839b31281"},
    Case{"GET",
         "/",
         "",
         {{"Host", "h.example"},
          {"X-Amz-Meta-B", " a  b \t c "},
          {"X-Amz-Meta-A", "2"},
          {"x-amz-meta-a", "1"}},
         kNoBody,
         "us-east-1",
         "execute-api",
         "",
         "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b",
         "43c1348e5f1ba19e3042df0cddc84781155e3347f93b543d5236c5582790207e"},
};

TEST(SigV4, SignsLikeAnIndependentSigner) {
  for (const Case& at : kCases) {
    const auto signature = sign_aws(request_of(at), credentials_of(at.token));
    ASSERT_TRUE(signature) << at.path;
    const std::string scope =
        std::string("20261124/") + at.region + "/" + at.service + "/aws4_request";
    EXPECT_EQ(signature->authorization.reveal(), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" +
                                                     scope + ", SignedHeaders=" + at.names +
                                                     ", Signature=" + at.signature)
        << at.path << "?" << at.query;
    EXPECT_EQ(signature->signature.reveal(), at.signature);
    EXPECT_EQ(signature->scope, scope);
    EXPECT_EQ(signature->date, "20261124T084434Z");
  }
}

// The worked example of AWS, "Signature Calculations for the Authorization Header", GET Object.
TEST(SigV4, SignsTheExampleOfTheManual) {
  const std::vector<SignedField> fields{{"Host", "examplebucket.s3.amazonaws.com"},
                                        {"Range", "bytes=0-9"}};
  const std::chrono::sys_days day{std::chrono::year(2013) / 5 / 24};
  const AwsCredentials credentials{Secret::copy_of("AKIAIOSFODNN7EXAMPLE"),
                                   Secret::copy_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                   {},
                                   std::nullopt};
  const auto signature =
      sign_aws({"GET", "/test.txt", "", fields, kNoBody, "us-east-1", "s3", day}, credentials);
  ASSERT_TRUE(signature);
  EXPECT_EQ(signature->signature.reveal(),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, HashesAPayload) {
  const auto none = payload_hash_of(""), some = payload_hash_of("abc");
  ASSERT_TRUE(none && some);
  EXPECT_EQ(view(*none), kNoBody);
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(view(*some), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// RFC 4231, test case 2.
TEST(SigV4, SigningKeySignsFurtherTexts) {
  const auto signature = aws_signature_of(Secret::copy_of("Jefe"), "what do ya want for nothing?");
  ASSERT_TRUE(signature);
  EXPECT_EQ(signature->reveal(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

std::string written(auto&& write) {
  std::string out;
  write([&out](std::string_view text) { out += text; });
  return out;
}

TEST(SigV4, QueryHasOneSpelling) {
  struct Row {
    const char *query, *canonical;
  };
  for (const Row& at : {
           Row{"", ""},
           Row{"acl", "acl="},
           Row{"=v", "=v"},
           Row{"&&a=1&&", "a=1"},
           Row{"a=b=c", "a=b%3Dc"},
           Row{"q=a+b", "q=a%20b"},
           Row{"q=%61%2f%2F", "q=a%2F%2F"},
           Row{"q=%", "q=%25"},
           Row{"q=%4", "q=%254"},
           Row{"q=%zz", "q=%25zz"},
           Row{"b=1&a=2&a=1&a", "a=&a=1&a=2&b=1"},
           Row{"a-=1&a=2&aa=3", "a=2&a-=1&aa=3"},
           Row{"\xc3\xbc=1&z=2&%7e=3", "%C3%BC=1&z=2&~=3"},
           Row{"a%26b=1", "a%26b=1"},
       }) {
    EXPECT_EQ(written([&](const TextSink& sink) { canonical_query(at.query, sink); }), at.canonical)
        << at.query;
  }
}

TEST(SigV4, PathIsEncodedOnceOrTwice) {
  struct Row {
    const char *path, *s3, *other;
  };
  for (const Row& at : {
           Row{"", "/", "/"},
           Row{"/", "/", "/"},
           Row{"//", "//", "/"},
           Row{"/a//b", "/a//b", "/a/b"},
           Row{"/a/./b/", "/a/./b/", "/a/b/"},
           Row{"/a/..", "/a/..", "/"},
           Row{"/../..", "/../..", "/"},
           Row{"/a/b/..", "/a/b/..", "/a/"},
           Row{"/a/.", "/a/.", "/a/"},
           Row{"/a..", "/a..", "/a.."},
           Row{"/a%20b+c", "/a%20b+c", "/a%2520b%2Bc"},
           Row{"/%2e%2e/a", "/%2e%2e/a", "/%252e%252e/a"},
       }) {
    EXPECT_EQ(written([&](const TextSink& sink) { canonical_path(at.path, true, sink); }), at.s3);
    EXPECT_EQ(written([&](const TextSink& sink) { canonical_path(at.path, false, sink); }),
              at.other)
        << at.path;
  }
}

TEST(SigV4, FieldsAreTrimmedAndJoined) {
  const std::vector<SignedField> fields{{"A", ""},  {"Host", "\t x "}, {"X", "a \t b"},
                                        {"x", "c"}, {"X", " "},        {"Y", "\"a  b\""}};
  EXPECT_EQ(written([&](const TextSink& sink) { canonical_fields(fields, sink); }),
            "a:\nhost:x\nx:a b,c,\ny:\"a b\"\n");
  EXPECT_EQ(written([&](const TextSink& sink) { canonical_names(fields, sink); }), "a;host;x;y");
}

TEST(SigV4, KnowsWhichFieldsAreSigned) {
  for (const char* name : {"Host", "content-TYPE", "Content-MD5", "X-Amz-Target", "x-amz-"})
    EXPECT_TRUE(is_signed_field(name)) << name;
  for (const char* name : {"Connection", "User-Agent", "X-Amzn-Trace-Id", "", "Authorization"})
    EXPECT_FALSE(is_signed_field(name)) << name;
  for (const char* name :
       {"AUTHORIZATION", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256"}) {
    EXPECT_TRUE(is_signature_field(name)) << name;
    EXPECT_FALSE(is_signed_field(name)) << name;
  }
  EXPECT_FALSE(is_signature_field("X-Amz-Target"));
}

TEST(SigV4Scope, ReadsTheField) {
  for (const char* value : {
           "AWS4-HMAC-SHA256 Credential=K/20261124/us-west-2/s3/aws4_request, "
           "SignedHeaders=host;x-amz-date, Signature=abc",
           "AWS4-HMAC-SHA256 "
           "Signature=abc,SignedHeaders=host;x-amz-date,Credential=K/20261124/us-west-2/s3/"
           "aws4_request",
           " AWS4-HMAC-SHA256\tCredential = K/20261124/us-west-2/s3/aws4_request ,, "
           "SignedHeaders=host;x-amz-date,  Signature=abc,Other=1,Signature=def ",
       }) {
    const auto scope = client_aws_scope(value, "X-Amz-Credential=other");
    ASSERT_TRUE(scope) << value;
    EXPECT_EQ(scope->access_key, "K");
    EXPECT_EQ(scope->date, "20261124");
    EXPECT_EQ(scope->region, "us-west-2");
    EXPECT_EQ(scope->service, "s3");
    EXPECT_EQ(scope->signed_headers, "host;x-amz-date");
    EXPECT_EQ(scope->signature, "abc");
  }
}

TEST(SigV4Scope, ReadsTheQuery) {
  const auto scope = client_aws_scope(std::nullopt,
                                      "a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F"
                                      "20261124%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-"
                                      "SignedHeaders=host%3Bx-amz-acl&X-Amz-Signature=00ff");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->access_key, "K");
  EXPECT_EQ(scope->region, "eu-west-1");
  EXPECT_EQ(scope->service, "s3");
  EXPECT_EQ(scope->signed_headers, "host;x-amz-acl");
  EXPECT_EQ(scope->signature, "00ff");
  EXPECT_TRUE(client_aws_scope("", "X-Amz-Credential=K/1/r/s/aws4_request"));
}

TEST(SigV4Scope, SaysWhatIsMissing) {
  constexpr const char* kNone =
      "request has no SigV4 signature (no Authorization header or X-Amz-Credential query param)";
  struct Row {
    const char *authorization, *query, *error;
  };
  for (
      const Row& at : {
          Row{nullptr, "", kNone},
          Row{nullptr, "x-amz-credential=K/1/r/s/aws4_request", kNone},
          Row{nullptr, "X-Amz-Credential=%zz", kNone},
          Row{"Bearer t", "X-Amz-Credential=K/1/r/s/aws4_request",
              "not a AWS4-HMAC-SHA256 Authorization header"},
          Row{"AWS4-HMAC-SHA256X Credential=K/1/r/s/aws4_request", "",
              "not a AWS4-HMAC-SHA256 Authorization header"},
          Row{"AWS4-HMAC-SHA256", "", "missing Credential field in Authorization header"},
          Row{"AWS4-HMAC-SHA256 XCredential=a", "",
              "missing Credential field in Authorization header"},
          Row{"AWS4-HMAC-SHA256 Credential=a/b/c", "",
              R"(malformed credential scope "a/b/c": expected 5 path segments, got 3)"},
          Row{"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4", "",
              R"(malformed credential scope "a/b/c/d/aws4": expected aws4_request terminator)"},
          Row{"AWS4-HMAC-SHA256 Credential=a/b//d/aws4_request", "",
              R"(malformed credential scope "a/b//d/aws4_request": empty region or service)"},
          Row{"AWS4-HMAC-SHA256 Credential=a/b/c//aws4_request", "",
              R"(malformed credential scope "a/b/c//aws4_request": empty region or service)"},
          Row{nullptr, "X-Amz-Credential=a/b/c%0d%0aX:1/s3/aws4_request",
              R"(malformed credential scope "a/b/c\r\nX:1/s3/aws4_request": unexpected character)"},
      }) {
    const auto scope = client_aws_scope(
        at.authorization ? std::optional<std::string_view>(at.authorization) : std::nullopt,
        at.query);
    ASSERT_FALSE(scope) << at.error;
    EXPECT_EQ(scope.error().text, at.error);
  }
  const auto scope = client_aws_scope("AWS4-HMAC-SHA256 Credential=" + std::string(10000, 'a'), "");
  ASSERT_FALSE(scope);
  EXPECT_LT(scope.error().text.size(), 400U);
}

TEST(SigV4Scope, KnowsTheSevenParameters) {
  for (const char* parameter :
       {"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=", "X-Amz-Date", "X-Amz-Expires=1",
        "X-Amz-SignedHeaders=host", "X-Amz-Signature=1", "X-Amz-Security-Token=t",
        "X-Amz-%53ignature=1"}) {
    EXPECT_TRUE(is_presigning_parameter(parameter)) << parameter;
  }
  for (const char* parameter : {"", "a=X-Amz-Signature", "X-Amz-Signature2=1", "X-Amz-Acl=x"})
    EXPECT_FALSE(is_presigning_parameter(parameter)) << parameter;
}

}  // namespace
}  // namespace iron::transforms

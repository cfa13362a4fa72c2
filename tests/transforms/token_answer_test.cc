#include "transforms/auth/token_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transforms/auth/answer_quote.h"
#include "transforms/auth/secret_base64.h"

namespace iron::transforms {
namespace {

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds{1000000}};
constexpr std::int64_t kKept = -1;  // no expiry
constexpr const char* kJson = "application/json";
constexpr const char* kForm = "Application/X-WWW-Form-URLencoded; charset=utf-8";

MintResult read(
    int status, const char* reason, const char* type, std::string_view body, TokenAnswerForm form) {
  const Secret text = Secret::copy_of(body);
  return read_token_answer({status, reason, type, text, kNow, {}}, form);
}

struct Good {
  const char *type, *body, *access_token, *refresh_token;
  std::int64_t life;  ///< seconds behind now
};

void expect_good(const Good& at, TokenAnswerForm form) {
  const auto token = read(200, "OK", at.type, at.body, form);
  ASSERT_TRUE(token) << at.body << token.error().text;
  EXPECT_EQ(token->access_token.reveal(), at.access_token) << at.body;
  EXPECT_EQ(token->refresh_token.reveal(), at.refresh_token) << at.body;
  EXPECT_EQ(token->expiry ? (*token->expiry - kNow).count() : kKept, at.life) << at.body;
}

TEST(TokenAnswer, ReadsTokensOfThreeGrants) {
  for (const Good& at : {
           Good{kJson, R"({"access_token":"t"})", "t", "", kKept},
           Good{"", R"({"access_token":"t","expires_in":3600,"x":[1]})", "t", "", 3600},
           Good{"x/y", R"({"access_token":"\u0074","expires_in":"3600"})", "t", "", 3600},
           Good{kJson, R"({"access_token":"t","refresh_token":"r1"})", "t", "r1", kKept},
           Good{kJson, R"({"access_token":"t","expires_in":0,"error":""})", "t", "", kKept},
           Good{kJson, R"({"access_token":"t","expires_in":null,"error":null})", "t", "", kKept},
           Good{kJson, R"({"access_token":"t","expires_in":99999999999})", "t", "", 2147483647},
           Good{kJson, R"({"access_token":"t","expires_in":-5})", "t", "", -5},
           Good{kJson, R"({"access_token":"t","id_token":7})", "t", "", kKept},
           Good{kForm, "access_token=t%2B1&expires_in=7&refresh_token=r", "t+1", "r", 7},
           Good{"text/plain", "access_token=t&expires_in=soon", "t", "", kKept},
           Good{"text/plain", "access_token=t&expires_in=1.5", "t", "", kKept},
       }) {
    expect_good(at, TokenAnswerForm::oauth2);
  }
  EXPECT_TRUE(read(299, "", kJson, R"({"access_token":"t"})", TokenAnswerForm::oauth2));
}

std::string token_with(std::string_view claims) {
  SecretWriter out;
  out.put("e30.");
  put_base64_url(out, claims);
  out.put(".c2ln");
  return std::string(out.reveal());
}

TEST(TokenAnswer, ReadsTokensOfSignedAssertions) {
  const std::string claims = R"(,"id_token":")" + token_with(R"({"exp":1000123})") + "\"}";
  const std::string both = R"({"access_token":"t","expires_in":9)" + claims;
  const std::string no_end =
      R"({"access_token":"t","expires_in":9,"id_token":")" + token_with("{}") + "\"}";
  for (const Good& at : {
           Good{kJson, R"({"access_token":"t"})", "t", "", kKept},
           Good{kForm, R"({"access_token":"t","expires_in":3600})", "t", "", 3600},
           Good{kJson, R"({"access_token":"t","expires_in":-5})", "t", "", kKept},
           Good{kJson, R"({"access_token":"t","error":"no","refresh_token":"r"})", "t", "", kKept},
           Good{kJson, both.c_str(), "t", "", 123},
           Good{kJson, no_end.c_str(), "t", "", 9},
       }) {
    expect_good(at, TokenAnswerForm::jwt);
  }
  expect_good({kJson, both.c_str(), "t", "", 123}, TokenAnswerForm::id_token);
  const std::string alone = R"({"a":1)" + claims;
  expect_good({kJson, alone.c_str(), "", "", 123}, TokenAnswerForm::id_token);
}

struct Bad {
  TokenAnswerForm form;
  int status;
  const char *reason_phrase, *type, *body, *text, *reason;
};

TEST(TokenAnswer, SaysWhatFailed) {
  constexpr auto oauth2 = TokenAnswerForm::oauth2;
  constexpr auto jwt = TokenAnswerForm::jwt, id_token = TokenAnswerForm::id_token;
  constexpr const char* kGrant = R"({"error":"invalid_grant","error_description":"revoked"})";
  constexpr const char* kBadJson =
      "oauth2: cannot parse json: not an object of the expected members";
  constexpr const char* kBadAnswer =
      "oauth2: cannot fetch token: the answer is not an object of the expected members";
  for (const Bad& at : {
           Bad{oauth2, 400, "Bad Request", kJson, kGrant, R"(oauth2: "invalid_grant" "revoked")",
               "invalid_grant"},
           Bad{oauth2, 200, "OK", kJson, R"({"error":"weird","access_token":"t"})",
               R"(oauth2: "weird")", "weird"},
           Bad{oauth2, 200, "OK", kJson, R"({"error":"a","error_uri":"http://e/1"})",
               R"(oauth2: "a" "http://e/1")", "a"},
           Bad{oauth2, 401, "", kForm, "error=invalid_client&error_description=a+b&error_uri=u",
               R"(oauth2: "invalid_client" "a b" "u")", "invalid_client"},
           Bad{oauth2, 500, "Internal Server Error", kJson, "boom",
               "oauth2: cannot fetch token: 500 Internal Server Error\nResponse: boom",
               "token_endpoint_http_500"},
           Bad{oauth2, 503, "", "text/plain", "a;b",
               "oauth2: cannot fetch token: 503\nResponse: a;b", "token_endpoint_http_503"},
           Bad{oauth2, 404, "Not Found", kJson, "{}",
               "oauth2: cannot fetch token: 404 Not Found\nResponse: {}",
               "token_endpoint_http_404"},
           Bad{oauth2, 302, "Found", kJson, "",
               "oauth2: cannot fetch token: 302 Found\nResponse: ", "token_endpoint_http_302"},
           Bad{oauth2, 200, "OK", kJson, "{}", "oauth2: server response missing access_token",
               "mint_failed"},
           Bad{oauth2, 200, "OK", kForm, "", "oauth2: server response missing access_token",
               "mint_failed"},
           Bad{oauth2, 200, "OK", kForm, "access_token=%",
               "oauth2: cannot parse response: malformed form", "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, "[]", kBadJson, "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, "no", kBadJson, "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, R"({"access_token":1})", kBadJson, "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, R"({"access_token":"t","expires_in":1.5})", kBadJson,
               "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, R"({"access_token":"t","expires_in":"1.5"})", kBadJson,
               "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, R"({"access_token":"t","expires_in":""})", kBadJson,
               "mint_failed"},
           Bad{oauth2, 200, "OK", kJson, R"({"access_token":"t","expires_in":true})", kBadJson,
               "mint_failed"},
           Bad{jwt, 400, "Bad Request", kJson, R"({"error":"invalid_grant"})",
               "oauth2: cannot fetch token: 400 Bad Request\nResponse: "
               R"({"error":"invalid_grant"})",
               "token_endpoint_http_400"},
           Bad{jwt, 200, "OK", kJson, R"({"error":"weird"})",
               "jwt_bearer token endpoint returned an empty access_token", "mint_failed"},
           Bad{jwt, 200, "OK", kForm, "access_token=t", kBadAnswer, "mint_failed"},
           Bad{jwt, 200, "OK", kJson, R"({"access_token":"t","expires_in":"3600"})", kBadAnswer,
               "mint_failed"},
           Bad{jwt, 200, "OK", kJson, R"({"access_token":"t","expires_in":2.5})", kBadAnswer,
               "mint_failed"},
           Bad{jwt, 200, "OK", kJson, R"({"access_token":"t","id_token":"x"})",
               "oauth2: error decoding JWT token: jws: invalid token received", "mint_failed"},
           Bad{id_token, 200, "OK", kJson, R"({"access_token":"t"})",
               "response doesn't have JWT token", "mint_failed"},
           Bad{id_token, 500, "", kJson, "boom", "oauth2: cannot fetch token: 500\nResponse: boom",
               "token_endpoint_http_500"},
       }) {
    const auto token = read(at.status, at.reason_phrase, at.type, at.body, at.form);
    ASSERT_FALSE(token) << at.body;
    EXPECT_EQ(token.error().text, at.text);
    EXPECT_EQ(token.error().reason, at.reason) << at.text;
    EXPECT_EQ(token.error().empty_token, token.error().text.starts_with("jwt_bearer"));
  }
}

TEST(TokenAnswer, ErrorsShowNoToken) {
  const Secret sent = Secret::copy_of("p w?");
  const std::vector<const Secret*> all{&sent};
  struct Case {
    std::string answer, shown;
  };
  for (const Case& at : {
           Case{"", ""},
           Case{"boom", "boom"},
           Case{"the password p w? is wrong: xp w?y", "the password *** is wrong: x***y"},
           Case{R"(the password p w\u003f is wrong)", "(not shown: it has escapes)"},
           Case{"the password p%20w? is wrong", "(not shown: it has escapes)"},
           Case{"the login is u:cCB3Pw==", "(not shown: it repeats a credential)"},
           Case{"the key is 7020773F", "(not shown: it repeats a credential)"},
           Case{"assertion eyJhbGciOiJSUzI1NiJ9.e30.c2ln is old", "assertion *** is old"},
           Case{"key 0123456789abcde, 0123456789abcdef", "key 0123456789abcde, ***"},
           Case{"unsupported_response_type", "unsupported_response_type"},
           Case{"AbcdefghijklmnopQ", "***"},
           Case{std::string(40, 'a'), "***"},
           Case{std::string(39, 'a'), std::string(39, 'a')},
           Case{R"({"access_token": "tok"})", "(not shown: it names a token)"},
           Case{R"({\"id_token\":\"tok\"})", "(not shown: it names a token)"},
           Case{"a=1&client_assertion=tok", "(not shown: it names a token)"},
           Case{std::string(300, '.') + "refresh_token=", "(not shown: it names a token)"},
           Case{"the refresh_token is gone", "the refresh_token is gone"},
       }) {
    EXPECT_EQ(quotable_answer(at.answer, all), at.shown);
  }
  std::string words;
  while (words.size() < 1000) words += "word ";
  EXPECT_EQ(quotable_answer(words, all), words.substr(0, 256));
  EXPECT_EQ(quotable_answer(words.substr(0, 250) + "0123456789abcdef", all),
            words.substr(0, 250) + "***");
}

TEST(TokenAnswer, ErrorsOfTheEndpointRepeatNothing) {
  const Secret sent = Secret::copy_of("r-token");
  const std::vector<const Secret*> all{&sent};
  for (const char* body :
       {R"({"error":"r-token","error_description":"no r-token","error_uri":"/r-token"})",
        R"({"a":"r-token"})"}) {
    const Secret text = Secret::copy_of(body);
    for (const auto form : {TokenAnswerForm::oauth2, TokenAnswerForm::jwt}) {
      const auto token = read_token_answer({400, "", kJson, text, kNow, all}, form);
      ASSERT_FALSE(token);
      EXPECT_EQ(token.error().text.find("r-token"), std::string::npos) << token.error().text;
      EXPECT_EQ(token.error().reason.find("r-token"), std::string::npos);
    }
  }
}

TEST(TokenAnswer, ReadsOneMebibyte) {
  std::string body = R"({"access_token":"t"})";
  body.append((std::size_t{1} << 20) - body.size(), ' ');
  EXPECT_TRUE(read(200, "", kJson, body, TokenAnswerForm::oauth2));
  EXPECT_TRUE(read(200, "", kJson, body + "x", TokenAnswerForm::jwt));
}

}  // namespace
}  // namespace iron::transforms

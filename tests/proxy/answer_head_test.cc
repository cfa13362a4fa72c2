#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/http/field_text.h"
#include "proxy/http1/head_parser.h"
#include "tests/proxy/judged_head.h"

namespace iron::proxy {
namespace {

using test::Framing;
using test::rendered;
using test::Status;
using testing::HasSubstr;

struct JudgedAnswer {
  Status status = Status::incomplete;
  std::string error;  ///< of the parser or of the checks
  std::string text;
  Framing framing = Framing::none;
  std::uint64_t length = 0;
  bool operator==(const JudgedAnswer&) const = default;
};

JudgedAnswer judge_answer(const std::string& bytes,
                          std::string_view method = "GET",
                          std::size_t stop = 0,
                          const HeadLimits& limits = {}) {
  HeadParser parser(HeadParser::Kind::response);
  Response response;
  JudgedAnswer judged;
  judged.status = parser.parse(std::string_view(bytes).substr(0, stop), limits, response);
  if (judged.status == Status::incomplete) judged.status = parser.parse(bytes, limits, response);
  judged.error = parser.fault_text();
  if (judged.status != Status::complete) return judged;
  judged.text = std::to_string(response.status) + " 1." + std::to_string(response.minor_version) +
                " [" + std::string(response.reason) + "]" + rendered(response.headers);
  const ResponseChecks checks = check_response(response, method);
  judged.error = checks.error;
  judged.framing = checks.framing.kind;
  judged.length = checks.framing.length;
  return judged;
}

std::string answer_with(std::string_view lines) {
  return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n";
}

std::vector<std::pair<const char*, std::string>> bad_answers() {
  return {
      {"not HTTP", "hello world\r\n\r\n"},
      {"leading empty line", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"},
      {"HTTP/0.9", "HTTP/0.9 200 OK\r\n\r\n"},
      {"lower case", "http/1.1 200 OK\r\n\r\n"},
      {"no status", "HTTP/1.1\r\n\r\n"},
      {"empty status", "HTTP/1.1 \r\n\r\n"},
      {"two digits", "HTTP/1.1 20 OK\r\n\r\n"},
      {"four digits", "HTTP/1.1 1000 OK\r\n\r\n"},
      {"letters", "HTTP/1.1 2x0 OK\r\n\r\n"},
      {"sign", "HTTP/1.1 +20 OK\r\n\r\n"},
      {"status 000", "HTTP/1.1 000 OK\r\n\r\n"},
      {"status 099", "HTTP/1.1 099 OK\r\n\r\n"},
      {"two blanks before the status", "HTTP/1.1  200 OK\r\n\r\n"},
      {"TAB before the status", "HTTP/1.1\t200 OK\r\n\r\n"},
      {"bare LF behind the status line", "HTTP/1.1 200 OK\nA: b\r\n\r\n"},
      {"bare LF behind a field", answer_with("A: b\n")},
      {"bare LF at the end", "HTTP/1.1 200 OK\r\nA: b\r\n\n"},
      {"bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"},
      {"NUL in the reason", std::string("HTTP/1.1 200 O\0K\r\n\r\n", 20)},
      {"bare CR in a value", answer_with("A: b\rc\r\n")},
      {"NUL in a value", answer_with(std::string_view("A: b\0c\r\n", 8))},
      {"line fold", answer_with("A: b\r\n c\r\n")},
      {"line fold at once", answer_with(" A: b\r\n")},
      {"no colon", answer_with("Foo Bar\r\n")},
      {"empty name", answer_with(": b\r\n")},
      {"blank before the colon of a length", answer_with("Content-Length : 5\r\n")},
      {"TAB before the colon of a length", answer_with("content-length\t: 5\r\n")},
      {"blank before the colon of a coding", answer_with("Transfer-Encoding : chunked\r\n")},
      {"blanks before the colon of a coding",
       answer_with("TRANSFER-ENCODING \t : chunked\r\nContent-Length: 5\r\n")},
      {"blank in a name", answer_with("Foo Bar : b\r\n")},
      {"name of a blank", answer_with(" : b\r\n")},
      {"vertical tab before the colon", answer_with("Foo\v: b\r\n")},
      {"NUL before the colon", answer_with(std::string_view("Foo\0: b\r\n", 9))},
      {"no-break space before the colon", answer_with("Foo\xc2\xa0: b\r\n")},
      {"bad length", answer_with("Content-Length: x\r\n")},
      {"length with a plus", answer_with("Content-Length: +5\r\n")},
      {"length of 19 digits", answer_with("Content-Length: 1000000000000000000\r\n")},
      {"empty length", answer_with("Content-Length:\r\n")},
      {"list of lengths", answer_with("Content-Length: 3, 3\r\n")},
      {"equal lengths", answer_with("Content-Length: 3\r\nContent-Length: 3\r\n")},
      {"different lengths", answer_with("Content-Length: 3\r\nContent-Length: 4\r\n")},
      {"both framings", answer_with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")},
      {"both framings, other order",
       answer_with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")},
      {"unknown coding", answer_with("Transfer-Encoding: gzip\r\n")},
      {"gzip, chunked", answer_with("Transfer-Encoding: gzip, chunked\r\n")},
      {"two codings", answer_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"empty coding", answer_with("Transfer-Encoding:\r\n")},
      {"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
  };
}

TEST(AnswerHead, FaultsAreNotRelayed) {
  for (const auto& [name, input] : bad_answers()) {
    const JudgedAnswer judged = judge_answer(input);
    EXPECT_NE(judged.status, Status::incomplete) << name;
    EXPECT_NE(judged.error, "") << name;
    for (std::size_t stop = 0; stop <= input.size(); ++stop) {
      EXPECT_EQ(judge_answer(input, "GET", stop), judged) << name << ", split at " << stop;
    }
  }
}

TEST(AnswerHead, ErrorsAreNamedAsRecordsHaveThem) {
  const std::pair<std::string, std::string> rows[] = {
      {"HTTP/1.1 world x\r\n\r\n", "malformed HTTP status code \"world\""},
      {"HTTP/1.1 1000 OK\r\n\r\n", "malformed HTTP status code \"1000\""},
      {"hello\r\n\r\n", "malformed HTTP response \"hello\""},
      {answer_with("Foo Bar\r\n"), "malformed MIME header: missing colon: \"Foo Bar\""},
      {answer_with("Content-Length: x\r\n"), "bad Content-Length \"x\""},
      {answer_with("Content-Length: 3\r\nContent-Length: 4\r\n"),
       "http: message cannot contain multiple Content-Length headers; got [\"3\" \"4\"]"},
      {answer_with("Transfer-Encoding: gzip\r\n"), "unsupported transfer encoding: \"gzip\""},
  };
  for (const auto& [input, text] : rows) EXPECT_THAT(judge_answer(input).error, HasSubstr(text));
}

struct AnswerCase {
  const char* name;
  std::string input;
  const char* method;
  std::string text;
  Framing framing;
  std::uint64_t length = 0;
};

TEST(AnswerHead, FramingFollowsRfc9112) {
  const AnswerCase rows[] = {
      {"length", answer_with("Content-Length: 3\r\n"), "GET", "200 1.1 [OK]\n[Content-Length] [3]",
       Framing::length, 3},
      {"chunked", answer_with("Transfer-Encoding: Chunked\r\n"), "GET",
       "200 1.1 [OK]\n[Transfer-Encoding] [Chunked]", Framing::chunked},
      {"until the end", answer_with(""), "GET", "200 1.1 [OK]", Framing::until_close},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", "GET", "200 1.0 [OK]", Framing::until_close},
      {"HEAD with length", answer_with("Content-Length: 3\r\n"), "HEAD",
       "200 1.1 [OK]\n[Content-Length] [3]", Framing::none},
      {"HEAD, chunked", answer_with("Transfer-Encoding: chunked\r\n"), "HEAD",
       "200 1.1 [OK]\n[Transfer-Encoding] [chunked]", Framing::none},
      {"HEAD without framing", answer_with(""), "HEAD", "200 1.1 [OK]", Framing::none},
      {"head in lower case is another method", answer_with("Content-Length: 3\r\n"), "head",
       "200 1.1 [OK]\n[Content-Length] [3]", Framing::length, 3},
      {"204 with length", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "GET",
       "204 1.1 [No Content]\n[Content-Length] [3]", Framing::none},
      {"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET",
       "304 1.1 [Not Modified]\n[Content-Length] [3]", Framing::none},
      {"103", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "GET",
       "103 1.1 [Early Hints]\n[Link] [x]", Framing::none},
      {"205 without length", "HTTP/1.1 205 Reset Content\r\n\r\n", "GET", "205 1.1 [Reset Content]",
       Framing::until_close},
      {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET",
       "200 1.1 []\n[Content-Length] [0]", Framing::length, 0},
      {"empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "GET",
       "200 1.1 []\n[Content-Length] [0]", Framing::length, 0},
      {"long reason with high bytes", "HTTP/1.1 299 Any  thing\t\xc3\xa9!\r\n\r\n", "GET",
       "299 1.1 [Any  thing\t\xc3\xa9!]", Framing::until_close},
      {"blanks before colons", answer_with("Server : old\r\nX\t \t: a:b\r\nContent-Length: 3\r\n"),
       "GET", "200 1.1 [OK]\n[Server] [old]\n[X] [a:b]\n[Content-Length] [3]", Framing::length, 3},
      {"unregistered status", "HTTP/1.1 999 x\r\n\r\n", "GET", "999 1.1 [x]", Framing::until_close},
  };
  for (const AnswerCase& row : rows) {
    const JudgedAnswer judged = judge_answer(row.input, row.method);
    EXPECT_EQ(judged.status, Status::complete) << row.name;
    EXPECT_EQ(judged.error, "") << row.name;
    EXPECT_EQ(judged.text, row.text) << row.name;
    // A body of no bytes may be called none or a length of zero.
    const bool empty = row.framing == Framing::length && row.length == 0;
    if (!empty) {
      EXPECT_EQ(judged.framing, row.framing) << row.name;
    }
    EXPECT_EQ(judged.length, row.length) << row.name;
    for (std::size_t stop = 0; stop <= row.input.size(); ++stop) {
      EXPECT_EQ(judge_answer(row.input, row.method, stop), judged) << row.name << " " << stop;
    }
  }
}

TEST(AnswerHead, LimitsHold) {
  HeadLimits limits;
  limits.bytes = 200;
  limits.fields = 4;
  EXPECT_EQ(judge_answer(answer_with("A: b\r\n"), "GET", 0, limits).error, "");
  EXPECT_NE(
      judge_answer(answer_with("A: " + std::string(300, 'x') + "\r\n"), "GET", 0, limits).error,
      "");
  EXPECT_NE(judge_answer("HTTP/1.1 200 " + std::string(300, 'x'), "GET", 0, limits).error, "");
  EXPECT_NE(
      judge_answer(answer_with("A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n"), "GET", 0, limits).error,
      "");
}

TEST(Tokens, AreCommaSeparated) {
  const auto tokens = [](std::string_view value) {
    std::string all;
    for_each_token(value, [&all](std::string_view token) { all.append(token).append("|"); });
    return all;
  };
  EXPECT_EQ(tokens("a, b ,\tc\t"), "a|b|c|");
  EXPECT_EQ(tokens(""), "");
  EXPECT_EQ(tokens(" , ,, "), "");
  EXPECT_EQ(tokens("a b"), "a b|");
  EXPECT_TRUE(has_token("keep-alive, Close", "close"));
  EXPECT_FALSE(has_token("closed, xclose", "close"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
  EXPECT_FALSE(is_token("a\x80"));
  EXPECT_TRUE(is_token("!#$%&'*+-.^_`|~"));
}

}  // namespace
}  // namespace iron::proxy

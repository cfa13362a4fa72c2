#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/http1/head_parser.h"
#include "tests/proxy/judged_head.h"

namespace iron::proxy {
namespace {

using test::rendered;
using test::Status;
using testing::HasSubstr;

struct JudgedAnswer {
  Status status = Status::incomplete;
  std::string error, text;
  bool operator==(const JudgedAnswer&) const = default;
};

JudgedAnswer judge_answer(const std::string& bytes,
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
  };
}

TEST(AnswerHead, FaultsAreNotRelayed) {
  for (const auto& [name, input] : bad_answers()) {
    const JudgedAnswer judged = judge_answer(input);
    EXPECT_NE(judged.status, Status::incomplete) << name;
    EXPECT_NE(judged.error, "") << name;
    for (std::size_t stop = 0; stop <= input.size(); ++stop) {
      EXPECT_EQ(judge_answer(input, stop), judged) << name << ", split at " << stop;
    }
  }
}

TEST(AnswerHead, ErrorsAreNamedAsRecordsHaveThem) {
  const std::pair<std::string, std::string> rows[] = {
      {"HTTP/1.1 world x\r\n\r\n", "malformed HTTP status code \"world\""},
      {"HTTP/1.1 1000 OK\r\n\r\n", "malformed HTTP status code \"1000\""},
      {"hello\r\n\r\n", "malformed HTTP response \"hello\""},
      {answer_with("Foo Bar\r\n"), "malformed MIME header: missing colon: \"Foo Bar\""},
  };
  for (const auto& [input, text] : rows) EXPECT_THAT(judge_answer(input).error, HasSubstr(text));
}

TEST(AnswerHead, WhatIsLegalIsKeptByteForByte) {
  const struct {
    const char* name;
    std::string input, text;
  } rows[] = {
      {"no field", answer_with(""), "200 1.1 [OK]"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", "200 1.0 [OK]"},
      {"casing is kept", answer_with("transfer-ENCODING: Chunked\r\n"),
       "200 1.1 [OK]\n[transfer-ENCODING] [Chunked]"},
      {"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
       "103 1.1 [Early Hints]\n[Link] [x]"},
      {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
       "200 1.1 []\n[Content-Length] [0]"},
      {"empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
       "200 1.1 []\n[Content-Length] [0]"},
      {"long reason with high bytes", "HTTP/1.1 299 Any  thing\t\xc3\xa9!\r\n\r\n",
       "299 1.1 [Any  thing\t\xc3\xa9!]"},
      {"blanks before colons", answer_with("Server : old\r\nX\t \t: a:b\r\nContent-Length: 3\r\n"),
       "200 1.1 [OK]\n[Server] [old]\n[X] [a:b]\n[Content-Length] [3]"},
      {"unregistered status", "HTTP/1.1 999 x\r\n\r\n", "999 1.1 [x]"},
  };
  for (const auto& row : rows) {
    const JudgedAnswer judged = judge_answer(row.input);
    EXPECT_EQ(judged.status, Status::complete) << row.name;
    EXPECT_EQ(judged.error, "") << row.name;
    EXPECT_EQ(judged.text, row.text) << row.name;
    for (std::size_t stop = 0; stop <= row.input.size(); ++stop) {
      EXPECT_EQ(judge_answer(row.input, stop), judged) << row.name << " " << stop;
    }
  }
}

TEST(AnswerHead, LimitsHold) {
  HeadLimits limits;
  limits.bytes = 200;
  limits.fields = 4;
  EXPECT_EQ(judge_answer(answer_with("A: b\r\n"), 0, limits).error, "");
  EXPECT_NE(judge_answer(answer_with("A: " + std::string(300, 'x') + "\r\n"), 0, limits).error, "");
  EXPECT_NE(judge_answer("HTTP/1.1 200 " + std::string(300, 'x'), 0, limits).error, "");
  EXPECT_NE(judge_answer(answer_with("A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n"), 0, limits).error,
            "");
}

}  // namespace
}  // namespace iron::proxy

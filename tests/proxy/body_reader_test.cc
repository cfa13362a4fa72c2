#include "proxy/http1/body_reader.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace iron::proxy {
namespace {

using Framing = BodyFraming::Kind;

struct Decoded {
  std::string data;
  std::size_t consumed = 0;  ///< of the whole input; at a fault: its offset
  bool fault = false;
  bool done = false;
  std::string trailers;
  bool operator==(const Decoded&) const = default;
};

void PrintTo(const Decoded& decoded, std::ostream* out) {
  *out << decoded.data.size() << " bytes of data, " << decoded.consumed << " consumed"
       << (decoded.fault ? ", fault" : "") << (decoded.done ? ", done" : "") << ", trailers "
       << testing::PrintToString(decoded.trailers);
}

/// Feeds `input` cut at each of `cuts`.
Decoded decode(BodyFraming framing,
               std::string_view input,
               const std::vector<std::size_t>& cuts = {},
               ChunkLines lines = ChunkLines::of_client) {
  BodyReader reader(framing, lines);
  reader.keep_trailers();
  Decoded decoded;
  std::size_t begin = 0;
  std::vector<std::size_t> ends = cuts;
  ends.push_back(input.size());
  for (const std::size_t end : ends) {
    std::string_view part = input.substr(begin, end - begin);
    begin = end;
    while (!part.empty() && !decoded.fault) {
      const BodyReader::Piece piece = reader.next(part);
      decoded.data += piece.data;
      decoded.consumed += piece.consumed;
      decoded.fault = piece.fault;
      EXPECT_LE(piece.consumed, part.size());
      EXPECT_LE(piece.data.size(), piece.consumed);
      if (piece.consumed == 0) break;
      part.remove_prefix(piece.consumed);
    }
    if (decoded.fault) break;
  }
  decoded.done = reader.done();
  decoded.trailers = reader.trailers();
  return decoded;
}

Decoded chunked(std::string_view input, const std::vector<std::size_t>& cuts = {}) {
  return decode({Framing::chunked, 0}, input, cuts);
}

Decoded chunked_of_origin(std::string_view input, const std::vector<std::size_t>& cuts = {}) {
  return decode({Framing::chunked, 0}, input, cuts, ChunkLines::of_origin);
}

struct GoodCase {
  const char* name;
  std::string input;
  std::string data;
  std::string trailers = {};
};

std::vector<GoodCase> good_chunked() {
  return {
      {"empty", "0\r\n\r\n", ""},
      {"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"},
      {"digits in both cases", "a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n",
       "0123456789abcdefghij"},
      {"two digits", "0f\r\n0123456789abcde\r\n0\r\n\r\n", "0123456789abcde"},
      {"sixteen digits", "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello"},
      {"data that looks like framing", "9\r\n\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "\r\n0\r\n\r\n0\r"},
      {"extensions are dropped", "5;a=b\r\nhello\r\n0;c=\"d;e\"\r\n\r\n", "hello"},
      {"extension without value", "5;a\r\nhello\r\n0;b;c\r\n\r\n", "hello"},
      {"blanks in an extension", "5; a\t= b\r\nhello\r\n0\r\n\r\n", "hello"},
      {"blanks before an extension", "5 ;a=b\r\nhello\r\n0\t ;c\r\n\r\n", "hello"},
      {"blanks between extensions", "5;a ;\tb=c ; d\r\nhello\r\n0\r\n\r\n", "hello"},
      {"quoted value", "5;a=\"b;\t=\xc3\xa9\\\"\\\\\";c\r\nhello\r\n0;d=\"\" ;e\r\n\r\n", "hello"},
      {"trailers", "1\r\nx\r\n0\r\nA: b\r\nX-Sum: \t1\xc3\xa9\r\n\r\n", "x",
       "A: b\r\nX-Sum: \t1\xc3\xa9\r\n"},
      {"trailer without value", "0\r\nA:\r\n\r\n", "", "A:\r\n"},
  };
}

TEST(ChunkedBody, IsTakenOutOfItsFraming) {
  for (const GoodCase& row : good_chunked()) {
    const Decoded decoded = chunked(row.input + "GET /next");
    EXPECT_EQ(decoded.data, row.data) << row.name;
    EXPECT_TRUE(decoded.done) << row.name;
    EXPECT_FALSE(decoded.fault) << row.name;
    EXPECT_EQ(decoded.consumed, row.input.size()) << row.name;
    EXPECT_EQ(decoded.trailers, row.trailers) << row.name;
  }
}

struct BadCase {
  const char* name;
  std::string input;
  std::size_t offset;  ///< of the byte that cannot be
  std::string data = {};
};

std::vector<BadCase> bad_chunked() {
  return {
      {"no size", "\r\n\r\n", 0},
      {"blank before the size", " 5\r\nhello\r\n", 0},
      {"TAB before the size", "\t5\r\n", 0},
      {"plus", "+5\r\nhello\r\n", 0},
      {"minus", "-5\r\nhello\r\n", 0},
      {"hexadecimal prefix", "0x5\r\nhello\r\n", 1},
      {"underscore", "1_0\r\n", 1},
      {"letter outside hexadecimal", "5g\r\n", 1},
      {"blank behind the size", "5 \r\nhello\r\n", 2},
      {"TAB behind the size", "5\t\r\nhello\r\n", 2},
      {"blank between digits", "5 5\r\n", 2},
      {"blank behind the last size", "5\r\nhello\r\n0 \r\n\r\n", 12, "hello"},
      {"extension of nothing", "5;\r\nhello\r\n", 2},
      {"extension without the value it announces", "5;a=\r\n", 4},
      {"blank behind an extension's value", "5;a=b\t\r\n", 6},
      {"open quotes", "5;a=\"b\r\n", 6},
      {"high bytes in an extension", "5;\xc3\xa9\r\nhello\r\n", 2},
      {"comma", "5,5\r\n", 1},
      {"NUL behind the size", std::string("5\0\r\n", 4), 1},
      {"seventeen digits", "00000000000000005\r\n", 16},
      {"size of 2^63", "8000000000000000\r\n", 15},
      {"size of 2^64 - 1", "ffffffffffffffff\r\n", 15},
      {"size that would wrap", "10000000000000005\r\n", 16},
      {"bare LF behind the size", "5\nhello\r\n", 1},
      {"bare CR behind the size", "5\rhello\r\n", 2},
      {"CR CR LF behind the size", "5\r\r\nhello\r\n", 2},
      {"bare LF behind an extension", "5;a\nhello\r\n", 3},
      {"bare CR in an extension", "5;a\rb\r\nhello\r\n", 4},
      {"NUL in an extension", std::string("5;a\0b\r\n", 7), 3},
      {"control byte in an extension", "5;a\x01z\r\n", 3},
      {"DEL in an extension", "5;\x7f\r\n", 2},
      {"size too small", "4\r\nhello\r\n", 7, "hell"},
      {"size too large", "6\r\nhello\r\n0\r\n\r\n", 9, "hello\r"},
      {"bare LF behind the data", "5\r\nhello\n0\r\n\r\n", 8, "hello"},
      {"bare CR behind the data", "5\r\nhello\r0\r\n\r\n", 9, "hello"},
      {"nothing behind the data", "5\r\nhello0\r\n\r\n", 8, "hello"},
      {"bare LF at the end", "0\r\n\n", 3},
      {"bare CR at the end", "0\r\n\rX", 4},
      {"last size ends in a bare LF", "0\n\r\n", 1},
      {"trailer without colon", "0\r\nA\r\n\r\n", 5},
      {"trailer without name", "0\r\n: b\r\n\r\n", 7},
      {"blank before the colon of a trailer", "0\r\nA : b\r\n\r\n", 9},
      {"trailer that is folded", "0\r\nA: b\r\n c\r\n\r\n", 12},
      {"trailer with NUL", std::string("0\r\nA: \0\r\n\r\n", 11), 8},
      {"trailer with a bare CR", "0\r\nA: b\rc\r\n\r\n", 8},
      {"trailer ends in a bare LF", "0\r\nA: b\n\r\n", 7},
      {"request instead of a trailer", "0\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n", 23},
  };
}

TEST(ChunkedBody, FaultsAreSeenWhereTheyAre) {
  for (const BadCase& row : bad_chunked()) {
    const Decoded decoded = chunked(row.input);
    EXPECT_TRUE(decoded.fault) << row.name;
    EXPECT_FALSE(decoded.done) << row.name;
    EXPECT_EQ(decoded.data, row.data) << row.name;
    EXPECT_EQ(decoded.consumed, row.offset) << row.name;
  }
}

/// What only origins are let through.
std::vector<GoodCase> good_of_origin() {
  return {
      {"blank behind the size", "5 \r\nhello\r\n0 \r\n\r\n", "hello"},
      {"blanks and TABs behind the size", "5 \t  \r\nhello\r\n0\t\t\r\n\r\n", "hello"},
      {"extension of nothing", "5;\r\nhello\r\n0;\r\n\r\n", "hello"},
      {"extension without name", "5;=b\r\nhello\r\n0\r\n\r\n", "hello"},
      {"extension of words", "5 ; a b=c \r\nhello\r\n0\r\n\r\n", "hello"},
      {"open quotes", "5;a=\"\r\nhello\r\n0\r\n\r\n", "hello"},
      {"high bytes in an extension", "5;\xc3\xa9\r\nhello\r\n0\r\n\r\n", "hello"},
      {"blank before the colon of a trailer", "0\r\nA : b\r\nX\t \t: c\r\n\r\n", "",
       "A: b\r\nX: c\r\n"},
  };
}

std::vector<BadCase> bad_of_origin() {
  return {
      {"blank before the size", " 5\r\nhello\r\n", 0},
      {"blank between digits", "5 5\r\n", 2},
      {"TAB between digits", "5\t5\r\n", 2},
      {"word behind the size", "5 a\r\n", 2},
      {"bare LF behind a blank", "5 \nhello\r\n", 2},
      {"bare CR behind a blank", "5 \rhello\r\n", 3},
      {"NUL behind a blank", std::string("5 \0\r\n", 5), 2},
      {"control byte in an extension", "5;a\x01z\r\n", 3},
      {"DEL in an extension", "5;\x7f\r\n", 2},
      {"bare CR in an extension", "5;a\rb\r\nhello\r\n", 4},
      {"blank before the colon of a length", "0\r\nContent-Length : 5\r\n\r\n", 22},
      {"TAB before the colon of a coding", "0\r\ntransfer-encoding\t: chunked\r\n\r\n", 31},
      {"blank in the name of a trailer", "0\r\nA B : c\r\n\r\n", 11},
      {"blank before the name of a trailer", "0\r\n A: b\r\n\r\n", 9},
      {"trailer of a blank name", "0\r\n : b\r\n\r\n", 8},
  };
}

TEST(ChunkedBody, OriginsAreLetThroughALittleMore) {
  for (const GoodCase& row : good_of_origin()) {
    const Decoded decoded = chunked_of_origin(row.input + "more");
    EXPECT_EQ(decoded.data, row.data) << row.name;
    EXPECT_TRUE(decoded.done) << row.name;
    EXPECT_FALSE(decoded.fault) << row.name;
    EXPECT_EQ(decoded.consumed, row.input.size()) << row.name;
    EXPECT_EQ(decoded.trailers, row.trailers) << row.name;
    EXPECT_TRUE(chunked(row.input).fault) << row.name;
  }
  for (const GoodCase& row : good_chunked()) {
    EXPECT_EQ(chunked_of_origin(row.input), chunked(row.input)) << row.name;
  }
  for (const BadCase& row : bad_of_origin()) {
    const Decoded decoded = chunked_of_origin(row.input);
    EXPECT_TRUE(decoded.fault) << row.name;
    EXPECT_EQ(decoded.consumed, row.offset) << row.name;
  }
}

TEST(ChunkedBody, OfAnOriginDoesNotDependOnHowTheBytesArrive) {
  std::vector<std::string> inputs;
  for (const GoodCase& row : good_of_origin()) inputs.push_back(row.input + "more");
  for (const BadCase& row : bad_of_origin()) inputs.push_back(row.input);
  for (const std::string& input : inputs) {
    const Decoded whole = chunked_of_origin(input);
    for (std::size_t at = 1; at < input.size(); ++at) {
      EXPECT_EQ(chunked_of_origin(input, {at}), whole) << input << ", cut at " << at;
    }
  }
}

TEST(ChunkedBody, TheResultDoesNotDependOnHowTheBytesArrive) {
  std::vector<std::string> inputs;
  for (const GoodCase& row : good_chunked()) inputs.push_back(row.input + "more");
  for (const BadCase& row : bad_chunked()) inputs.push_back(row.input);
  for (const std::string& input : inputs) {
    const Decoded whole = chunked(input);
    std::vector<std::size_t> each_byte;
    for (std::size_t at = 1; at < input.size(); ++at) {
      each_byte.push_back(at);
      EXPECT_EQ(chunked(input, {at}), whole) << input << ", cut at " << at;
      for (std::size_t second = at; second < input.size(); ++second) {
        EXPECT_EQ(chunked(input, {at, second}), whole) << input << " " << at << " " << second;
      }
    }
    EXPECT_EQ(chunked(input, each_byte), whole) << input << ", byte by byte";
  }
}

TEST(ChunkedBody, APrefixIsNeverComplete) {
  for (const GoodCase& row : good_chunked()) {
    for (std::size_t size = 0; size < row.input.size(); ++size) {
      const Decoded decoded = chunked(row.input.substr(0, size));
      EXPECT_FALSE(decoded.done) << row.name << " " << size;
      EXPECT_FALSE(decoded.fault) << row.name << " " << size;
    }
  }
}

TEST(ChunkedBody, AnEndOfStreamDoesNotCompleteIt) {
  BodyReader reader({Framing::chunked, 0});
  reader.next("5\r\nhello\r\n0\r\n");
  EXPECT_FALSE(reader.finish_at_eof());
  EXPECT_FALSE(reader.done());
}

TEST(ChunkedBody, ALargeChunkIsHandedOnAsItComes) {
  BodyReader reader({Framing::chunked, 0});
  const std::string part(100000, 'x');
  EXPECT_EQ(reader.next("7fffffffffffffff\r\n").consumed, 18u);
  for (int i = 0; i < 10; ++i) {
    const BodyReader::Piece piece = reader.next(part);
    EXPECT_EQ(piece.data.data(), part.data());
    EXPECT_EQ(piece.data.size(), part.size());
  }
  EXPECT_EQ(reader.remaining(), 0u) << "only a length tells what is to come";
}

TEST(ChunkedBody, ExtensionsAreBoundedPerLine) {
  EXPECT_FALSE(chunked("1;" + std::string(4000, 'a') + "\r\nx\r\n0\r\n\r\n").fault);
  EXPECT_TRUE(chunked("1;" + std::string(4200, 'a')).fault) << "without waiting for the line's end";
}

TEST(ChunkedBody, BlanksBehindASizeAreBoundedLikeAnExtension) {
  EXPECT_TRUE(chunked_of_origin("1" + std::string(4000, ' ') + "\r\nx\r\n0\r\n\r\n").done);
  EXPECT_TRUE(chunked_of_origin("1" + std::string(4200, ' ')).fault);
  EXPECT_TRUE(chunked("1" + std::string(4200, ' ')).fault);
}

TEST(ChunkedBody, ExtensionsAreBoundedPerBody) {
  std::string input;
  for (int i = 0; i < 16; ++i) input += "1;" + std::string(4000, 'a') + "\r\nx\r\n";
  EXPECT_FALSE(chunked(input).fault);
  input += "1;" + std::string(4000, 'a') + "\r\nx\r\n";
  EXPECT_TRUE(chunked(input).fault);
}

TEST(ChunkedBody, TrailersAreBounded) {
  EXPECT_TRUE(chunked("0\r\nA: " + std::string(16000, 'a') + "\r\n\r\n").done);
  EXPECT_TRUE(chunked("0\r\nA: " + std::string(16384, 'a')).fault);
  std::string lines = "0\r\n";
  for (int i = 0; i < 4000; ++i) lines += "A: b\r\n";
  EXPECT_TRUE(chunked(lines).fault);
}

TEST(ChunkedBody, TrailersAreKeptOnlyOnRequest) {
  BodyReader reader({Framing::chunked, 0});
  reader.next("0\r\nA: b\r\n\r\n");
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.trailers(), "");
}

TEST(LengthBody, EndsAfterItsBytes) {
  const std::string input = "helloGET /";
  for (std::size_t at = 1; at < input.size(); ++at) {
    const Decoded decoded = decode({Framing::length, 5}, input, {at});
    EXPECT_EQ(decoded.data, "hello") << at;
    EXPECT_EQ(decoded.consumed, 5u) << at;
    EXPECT_TRUE(decoded.done) << at;
  }
}

TEST(LengthBody, CutShortIsNotComplete) {
  BodyReader reader({Framing::length, 5});
  EXPECT_EQ(reader.remaining(), 5u);
  EXPECT_EQ(reader.next("hell").data, "hell");
  EXPECT_EQ(reader.remaining(), 1u);
  EXPECT_FALSE(reader.done());
  EXPECT_FALSE(reader.finish_at_eof());
}

TEST(LengthBody, OfNoBytesIsCompleteAtOnce) {
  EXPECT_TRUE(BodyReader({Framing::length, 0}).done());
  EXPECT_TRUE(BodyReader({Framing::none, 0}).done());
  EXPECT_TRUE(BodyReader().done());
  EXPECT_EQ(decode({Framing::none, 0}, "x").consumed, 0u);
}

TEST(UntilCloseBody, EndsWithTheStream) {
  BodyReader reader({Framing::until_close, 0});
  EXPECT_EQ(reader.next("abc").data, "abc");
  EXPECT_EQ(reader.next("0\r\n\r\n").data, "0\r\n\r\n");
  EXPECT_FALSE(reader.done());
  EXPECT_TRUE(reader.finish_at_eof());
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.next("x").consumed, 0u);
}

TEST(BodyReader, TellsWhetherTheRestHasCome) {
  BodyReader sized(BodyFraming{BodyFraming::Kind::length, 5});
  EXPECT_FALSE(sized.completes_with("hell"));
  EXPECT_TRUE(sized.completes_with("hello"));
  EXPECT_TRUE(sized.completes_with("hello and more"));
  BodyReader chunked(BodyFraming{BodyFraming::Kind::chunked, 0});
  const std::string_view whole = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(chunked.completes_with(whole.substr(0, size))) << size;
  }
  EXPECT_TRUE(chunked.completes_with(whole));
  EXPECT_FALSE(chunked.completes_with("5\r\nhello\n"));
  EXPECT_TRUE(BodyReader(BodyFraming{}).completes_with(""));
}

}  // namespace
}  // namespace iron::proxy

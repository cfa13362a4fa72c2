#include "proxy/exchange/content_decoder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <string>

namespace iron::proxy {
namespace {

using Coding = ContentDecoder::Coding;
using Status = ContentDecoder::Status;

constexpr int kGzip = 31, kZlib = 15, kRaw = -15;

std::string encoded(std::string_view text, int window_bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct Decoded {
  std::string text;
  Status status = Status::ok;
  bool complete = false;
  bool operator==(const Decoded&) const = default;
};

Decoded decoded(Coding coding, std::string_view bytes, std::size_t step) {
  ContentDecoder decoder(coding);
  Decoded result;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::string_view part = bytes.substr(at, step);
    ContentDecoder::Piece piece;
    do {
      piece = decoder.next(part);
      result.text += piece.text;
      result.status = piece.status;
      if (piece.status != Status::ok) return result;
    } while (piece.more);
    EXPECT_TRUE(part.empty());
  }
  result.complete = decoder.complete();
  return result;
}

/// Hex digits: they pack to a half.
std::string text_of(std::size_t size) {
  std::mt19937 random(3);
  std::string text;
  while (text.size() < size) text += "0123456789abcdef"[random() % 16];
  return text;
}

TEST(ContentDecoder, DecodesHoweverItIsCut) {
  const std::string text = text_of(100000), other = text_of(70);
  struct Case {
    const char* name;
    Coding coding;
    std::string bytes, text;
  };
  for (const Case& at : {
           Case{"gzip", Coding::gzip, encoded(text, kGzip), text},
           Case{"two members", Coding::gzip, encoded(text, kGzip) + encoded(other, kGzip),
                text + other},
           Case{"empty text", Coding::gzip, encoded("", kGzip), ""},
           Case{"zlib", Coding::deflate, encoded(text, kZlib), text},
           Case{"bare deflate", Coding::deflate, encoded(text, kRaw), text},
           Case{"nothing", Coding::gzip, "", ""},
       }) {
    const Decoded expected{at.text, Status::ok, true};
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{65536}}) {
      EXPECT_TRUE(decoded(at.coding, at.bytes, step) == expected) << at.name << " by " << step;
    }
    for (const std::size_t cut : {1, 5, 11}) {
      if (at.bytes.size() <= cut) continue;
      const auto cut_off = decoded(at.coding, at.bytes.substr(0, at.bytes.size() - cut), 4096);
      EXPECT_FALSE(cut_off.status == Status::ok && cut_off.complete) << at.name << " less " << cut;
    }
  }
}

TEST(ContentDecoder, RefusesWhatIsNotEncoded) {
  std::string broken = encoded(text_of(1000), kGzip);
  broken[broken.size() / 2] ^= 0x55;
  for (const auto& [coding, bytes] : std::vector<std::pair<Coding, std::string>>{
           {Coding::gzip, "plain text"},
           {Coding::gzip, encoded("x", kZlib)},
           {Coding::gzip, broken},
           {Coding::gzip, encoded("x", kGzip) + "more"},
           {Coding::deflate, encoded("x", kZlib) + "more"},
           {Coding::deflate, "\xff\xff\xff\xff"},
       }) {
    for (const std::size_t step : {std::size_t{1}, bytes.size()}) {
      EXPECT_EQ(decoded(coding, bytes, step).status, Status::fault);
    }
  }
}

TEST(ContentDecoder, BoundsWhatComesOut) {
  const std::string zeros(60000, '\0');
  EXPECT_EQ(decoded(Coding::gzip, encoded(zeros, kGzip), 4096).status, Status::ok);
  const std::string bomb = encoded(std::string(10 << 20, '\0'), kGzip);
  for (const std::size_t step : {std::size_t{1}, bomb.size()}) {
    const Decoded result = decoded(Coding::gzip, bomb, step);
    EXPECT_EQ(result.status, Status::too_large);
    EXPECT_LE(result.text.size(), 65536 + 100 * bomb.size());
  }
  // Within the ratio, but more than 64 MiB in all.
  ContentDecoder decoder(Coding::gzip);
  const std::string member = encoded(text_of(1 << 20), kGzip);
  Status status = Status::ok;
  std::size_t members = 0;
  for (; status == Status::ok && members < 100; ++members) {
    std::string_view rest = member;
    ContentDecoder::Piece piece;
    do {
      piece = decoder.next(rest);
      status = piece.status;
    } while (piece.more);
  }
  EXPECT_EQ(status, Status::too_large);
  EXPECT_EQ(members, 65U);
}

}  // namespace
}  // namespace iron::proxy

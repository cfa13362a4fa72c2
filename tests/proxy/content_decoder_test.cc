#include "proxy/exchange/content_decoder.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/proxy/deflated.h"

namespace iron::proxy {
namespace {

using test::deflated;

using Coding = ContentDecoder::Coding;
using Status = ContentDecoder::Status;

constexpr int kGzip = 31, kZlib = 15, kRaw = -15;

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
           Case{"gzip", Coding::gzip, deflated(text, kGzip), text},
           Case{"two members", Coding::gzip, deflated(text, kGzip) + deflated(other, kGzip),
                text + other},
           Case{"empty text", Coding::gzip, deflated("", kGzip), ""},
           Case{"zlib", Coding::deflate, deflated(text, kZlib), text},
           Case{"bare deflate", Coding::deflate, deflated(text, kRaw), text},
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
  std::string broken = deflated(text_of(1000), kGzip);
  broken[broken.size() / 2] ^= 0x55;
  for (const auto& [coding, bytes] : std::vector<std::pair<Coding, std::string>>{
           {Coding::gzip, "plain text"},
           {Coding::gzip, deflated("x", kZlib)},
           {Coding::gzip, broken},
           {Coding::gzip, deflated("x", kGzip) + "more"},
           {Coding::deflate, deflated("x", kZlib) + "more"},
           {Coding::deflate, "\xff\xff\xff\xff"},
       }) {
    for (const std::size_t step : {std::size_t{1}, bytes.size()}) {
      EXPECT_EQ(decoded(coding, bytes, step).status, Status::fault);
    }
  }
}

TEST(ContentDecoder, BoundsWhatComesOut) {
  const std::string zeros(60000, '\0');
  EXPECT_EQ(decoded(Coding::gzip, deflated(zeros, kGzip), 4096).status, Status::ok);
  const std::string bomb = deflated(std::string(10 << 20, '\0'), kGzip);
  for (const std::size_t step : {std::size_t{1}, bomb.size()}) {
    const Decoded result = decoded(Coding::gzip, bomb, step);
    EXPECT_EQ(result.status, Status::too_large);
    EXPECT_LE(result.text.size(), 65536 + 100 * bomb.size());
  }
  // Within the ratio, but more than 64 MiB in all.
  ContentDecoder decoder(Coding::gzip);
  const std::string member = deflated(text_of(1 << 20), kGzip);
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

#include "proxy/http1/chunk_extension.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <string_view>

#include "proxy/http/field_text.h"

namespace iron::proxy {
namespace {

constexpr std::string_view kRefused = "refused", kOpen = "open", kWhole = "whole";

/// What is said of a line: whole, open (more must come), or refused.
std::string_view judge(std::string_view line, ChunkLines lines = ChunkLines::of_client) {
  ChunkExtension extension(lines);
  extension.begin();
  for (const char c : line) {
    if (!extension.take(c)) return kRefused;
  }
  return extension.may_end() ? kWhole : kOpen;
}

/// The bytes that may follow `before`.
std::string next_of(std::string_view before, ChunkLines lines = ChunkLines::of_client) {
  std::string found;
  for (int byte = 0; byte < 256; ++byte) {
    std::string line(before);
    line += static_cast<char>(byte);
    if (judge(line, lines) != kRefused) found += static_cast<char>(byte);
  }
  return found;
}

std::string bytes_of(CharacterKind kind, std::string_view less = "") {
  std::string found;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (all(std::string_view(&c, 1), kind) && less.find(c) == less.npos) found += c;
  }
  return found;
}

std::string sorted(std::string bytes) {
  std::sort(bytes.begin(), bytes.end(), [](char a, char b) {
    return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
  });
  return bytes;
}

TEST(ChunkExtension, WhatMayFollowIsTheGrammarsForEveryByte) {
  const std::string token = bytes_of(kToken), text = bytes_of(kValue);
  const struct {
    std::string_view before;
    std::string next;
  } rows[] = {
      {"", "\t ;"},
      {" ", "\t ;"},
      {";", "\t " + token},
      {"; ", "\t " + token},
      {";a", "\t ;=" + token},
      {";a ", "\t ;="},
      {";a=", "\t \"" + token},
      {";a= ", "\t \"" + token},
      {";a=b", "\t ;" + token},
      {";a=b ", "\t ;"},
      {";a=\"", text},
      {";a=\"\\", text},
      {";a=\"\\\"", text},
      {";a=\"\"", "\t ;"},
      {";a=\"\" ", "\t ;"},
  };
  for (const auto& row : rows) EXPECT_EQ(next_of(row.before), sorted(row.next)) << row.before;
}

/// Calls `each` for every text of up to `longest` bytes of the alphabet.
template <class Each>
void for_each_text(std::string_view alphabet, std::size_t longest, std::string& text, Each& each) {
  each(text);
  if (text.size() == longest) return;
  for (const char c : alphabet) {
    text.push_back(c);
    for_each_text(alphabet, longest, text, each);
    text.pop_back();
  }
}

TEST(ChunkExtension, OfAClientIsWholeWhereRfc9112SaysSo) {
  // Section 7.1.1. One byte stands for each kind, so each text stands for many.
  const std::regex grammar(
      R"re(([ \t]*;[ \t]*a+([ \t]*=[ \t]*(a+|"([ \t;=a/]|\\[ \t;=a/"\\])*"))?)*)re");
  std::string text;
  std::size_t whole = 0;
  auto each = [&](const std::string& line) {
    const bool good = std::regex_match(line, grammar);
    if (good) ++whole;
    ASSERT_EQ(judge(line) == kWhole, good) << line;
  };
  for_each_text(" ;=a\"\\/", 6, text, each);
  EXPECT_GT(whole, 100U);
}

TEST(ChunkExtension, OfAnOriginIsAnythingWithoutControlBytes) {
  const std::string text = bytes_of(kValue);
  const struct {
    std::string_view before;
    std::string next;
  } rows[] = {
      {"", "\t ;"}, {" \t", "\t ;"},  {";", text},
      {" ;", text}, {";a=\"b", text}, {";\xff ;;", text},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(next_of(row.before, ChunkLines::of_origin), sorted(row.next)) << row.before;
    EXPECT_EQ(judge(row.before, ChunkLines::of_origin), kWhole) << row.before;
  }
}

TEST(ChunkExtension, NothingOfALineIsLeftForTheNext) {
  for (const ChunkLines lines : {ChunkLines::of_client, ChunkLines::of_origin}) {
    ChunkExtension extension(lines);
    extension.begin();
    for (const char c : std::string_view(";a=\"b")) ASSERT_TRUE(extension.take(c));
    extension.begin();
    EXPECT_TRUE(extension.may_end());
    EXPECT_FALSE(extension.take('"'));
  }
}

}  // namespace
}  // namespace iron::proxy

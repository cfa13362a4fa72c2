#include "transforms/key_net.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace iron::transforms {
namespace {

std::vector<Secret> secrets_of(const std::vector<std::string>& values) {
  std::vector<Secret> all;
  for (const std::string& value : values) all.push_back(Secret::copy_of(value));
  return all;
}

KeyNet net_of(const std::vector<Secret>& secrets) {
  std::vector<const Secret*> keys;
  for (const Secret& secret : secrets) keys.push_back(&secret);
  return KeyNet(keys);
}

std::string masked(const KeyNet& net, std::string text) {
  const std::string before = text;
  EXPECT_EQ(net.mask(text), text != before);
  return text;
}

TEST(KeyNet, MasksEverySpellingWhereverItStands) {
  const auto secrets = secrets_of({"sk-real-0123456789", R"(quo"te\slash/and?more)",
                                   "-----BEGIN KEY\n\tMC4C\x01\x7f\xff\u2028\u00e9\r\nEND\n"});
  const KeyNet net = net_of(secrets);
  for (const std::string spelling : {
           "sk-real-0123456789",             // as it is
           R"(quo\"te\\slash/and?more)",     // in a JSON string
           "quo%22te%5Cslash%2Fand%3Fmore",  // in a query, and in a path
           "c2stcmVhbC0wMTIzNDU2Nzg5",       // base64 of the first
           "NrLXJlYWwtMDEyMzQ1Njc4O",        // behind one byte
           "zay1yZWFsLTAxMjM0NTY3OD",        // behind two
           "F1byJ0ZVxzbGFzaC9hbmQ/bW9yZ",    // of one that the alphabets tell apart
           "F1byJ0ZVxzbGFzaC9hbmQ_bW9yZ",    // in that of URLs
           "-----BEGIN KEY\\n\\tMC4C\\u0001\x7f\\ufffd\\u2028\u00e9\\r\\nEND",
       }) {
    for (std::size_t before = 0; before < 9; ++before) {
      for (const std::size_t after : {0u, 1u, 7u, 100u}) {
        const std::string left(before, '<'), right(after, '>');
        const std::string stars(spelling.size(), '*');
        EXPECT_EQ(masked(net, left + spelling + right), left + stars + right);
      }
    }
  }
}

TEST(KeyNet, LeavesWhatIsNoWholeKey) {
  const auto secrets = secrets_of({"sk-real-0123456789", "fifteen-letters", ""});
  const KeyNet net = net_of(secrets);
  for (const std::string text : {
           "",
           "sk-real-012345678",
           "k-real-0123456789",
           "sk-real-0123456788",
           "sk-raal-0123456789",
           "SK-REAL-0123456789",
           "fifteen-letters",
           "-0123456789-0123456789-0123456789",
       }) {
    EXPECT_EQ(masked(net, text), text);
  }
}

TEST(KeyNet, TakesTheLongestOfThoseThatEndAlike) {
  const auto secrets = secrets_of({"key-0123456789abcdef", "longer-key-0123456789abcdef"});
  const KeyNet net = net_of(secrets);
  EXPECT_EQ(masked(net, "[longer-key-0123456789abcdef]"), "[" + std::string(27, '*') + "]");
  EXPECT_EQ(masked(net, "[other-key-0123456789abcdef]"), "[other-" + std::string(20, '*') + "]");
}

TEST(KeyNet, FindsEachOfManyAsOftenAsItIsThere) {
  std::mt19937 random(7);
  std::vector<std::string> values;
  for (int i = 0; i < 500; ++i) {
    std::string value = "sk-";
    for (std::size_t left = 16 + random() % 40; left > 0; --left)
      value += static_cast<char>('!' + 5 + random() % 60);
    values.push_back(value);
  }
  const auto secrets = secrets_of(values);
  const KeyNet net = net_of(secrets);
  std::string text, expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string& value = values[random() % values.size()];
    const std::string between(random() % 30, ' ');
    text += between + value + "\n";
    // A key with a character that JSON escapes is looked for as records write it.
    const bool is_escaped = value.find('\\') != value.npos;
    expected += between + (is_escaped ? value : std::string(value.size(), '*')) + "\n";
  }
  EXPECT_EQ(masked(net, text), expected);
}

TEST(KeyNet, WithoutKeysNothingIsMasked) {
  EXPECT_EQ(masked(KeyNet({}), "sk-real-0123456789"), "sk-real-0123456789");
}

}  // namespace
}  // namespace iron::transforms

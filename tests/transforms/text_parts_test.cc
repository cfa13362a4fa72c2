#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "transforms/encoding.h"
#include "transforms/header_name.h"
#include "transforms/secrets/token_search.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {

using Hits = std::vector<std::pair<std::size_t, std::uint32_t>>;

Hits found(const TokenSearch& search, std::string_view text) {
  Hits hits;
  search.find_all(text, [&](std::size_t begin, std::uint32_t id) { hits.emplace_back(begin, id); });
  std::sort(hits.begin(), hits.end());
  return hits;
}

TEST(TokenSearch, FindsOverlappingAndNestedTokens) {
  TokenSearch search;
  EXPECT_EQ(search.add("he"), 0U);
  EXPECT_EQ(search.add("she"), 1U);
  EXPECT_EQ(search.add("hers"), 2U);
  EXPECT_EQ(search.add("he"), 0U);
  search.build();
  EXPECT_EQ(found(search, "ushers"), (Hits{{1, 1}, {2, 0}, {2, 2}}));
  EXPECT_EQ(found(search, ""), Hits{});
  TokenSearch none;
  none.build();
  EXPECT_EQ(found(none, "abc"), Hits{});
}

TEST(TokenSearch, AgreesWithASearchForEachToken) {
  std::mt19937 random(7);
  const auto text_of = [&](std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>("ab\xff"[random() % 3]);
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    TokenSearch search;
    for (int i = 0; i < 12; ++i) search.add(text_of(1 + random() % 5));
    search.build();
    const std::string text = text_of(random() % 60);
    Hits expected;
    for (std::uint32_t id = 0; id < search.size(); ++id) {
      for (std::size_t at = text.find(search.token(id)); at != std::string::npos;
           at = text.find(search.token(id), at + 1)) {
        expected.emplace_back(at, id);
      }
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(found(search, text), expected);
  }
}

TEST(Encoding, Base64GoesBothWays) {
  std::string bytes;
  for (int size = 0; size < 50; ++size) {
    std::string encoded(Base64Writer::length(bytes.size()), '\0');
    Base64Writer writer(encoded.data());
    writer.feed(std::string_view(bytes).substr(0, bytes.size() / 2));
    writer.feed(std::string_view(bytes).substr(bytes.size() / 2));
    EXPECT_EQ(writer.finish(), encoded.data() + encoded.size());
    std::string decoded;
    ASSERT_TRUE(decode_base64(encoded, decoded)) << encoded;
    EXPECT_EQ(decoded, bytes);
    bytes += static_cast<char>(size * 37 + 200);
  }
  std::string out;
  for (const char* bad :
       {"a", "ab", "abc", "ab=c", "a===", "====", "ab==cd==", "a-b_", "ab c", "abcd="}) {
    EXPECT_FALSE(decode_base64(bad, out)) << bad;
  }
}

TEST(Encoding, FormDecodingRefusesBrokenEscapes) {
  std::string out;
  EXPECT_TRUE(decode_form("a+b%20%c3%A9", out));
  EXPECT_EQ(out, "a b \xc3\xa9");
  for (const char* bad : {"%", "%1", "%zz", "a%g0"}) EXPECT_FALSE(decode_form(bad, out)) << bad;
}

TEST(HeaderName, CanonicalForms) {
  const std::pair<const char*, const char*> names[] = {{"x-api-KEY", "X-Api-Key"},
                                                       {"x_under", "X_under"},
                                                       {"Sec-WebSocket-Key", "Sec-Websocket-Key"},
                                                       {"a b", "a b"},
                                                       {"-x--y", "-X--Y"},
                                                       {"", ""}};
  for (const auto& [name, canonical] : names) EXPECT_EQ(canonical_name(name), canonical);
  EXPECT_EQ(compare_canonical("x-a", "X-A"), 0);
  EXPECT_LT(compare_canonical("x-a", "X-B"), 0);
  EXPECT_GT(compare_canonical("x-ab", "X-a"), 0);
  EXPECT_TRUE(is_token("a!#$"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a:"));
}

struct JsonCase {
  const char* text;
  const char* value;  ///< null: not available
};

TEST(JsonMember, FindsATextOrNothing) {
  for (const JsonCase& at : {
           JsonCase{R"({"k":"v"})", "v"},
           JsonCase{" \t\r\n{ \"a\" : [1, -2.5e+3, {\"k\":\"no\"}, true, false, null, \"\"] , "
                    "\"k\" : \"v\" } \n",
                    "v"},
           JsonCase{R"({"k":"a","k":"b"})", "b"},
           JsonCase{R"({"k":"a","k":1})", nullptr},
           JsonCase{R"({"k":1,"k":"a"})", "a"},
           JsonCase{R"({"\u006b":"esc"})", "esc"},
           JsonCase{R"({"k":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"})",
                    "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
           JsonCase{R"({"k":"\ud83d\u0041\udc00x"})",
                    "\xef\xbf\xbd"
                    "A\xef\xbf\xbdx"},
           JsonCase{"{\"k\":\"a\xff\xc3z\"}", "a\xef\xbf\xbd\xef\xbf\xbdz"},
           JsonCase{"{\"k\":\"\"}", ""},
           JsonCase{"{}", nullptr},
           JsonCase{"", nullptr},
           JsonCase{"{\"k\":\"v\"", nullptr},
           JsonCase{"{\"k\":\"v\"}x", nullptr},
           JsonCase{"{\"k\":\"v\",}", nullptr},
           JsonCase{"{\"k\":\"v\" \"b\":1}", nullptr},
           JsonCase{"[\"k\"]", nullptr},
           JsonCase{"\"k\"", nullptr},
           JsonCase{"{\"k\":\"a\nb\"}", nullptr},
           JsonCase{"{\"k\":\"\\x\"}", nullptr},
           JsonCase{"{\"k\":\"\\u12g4\"}", nullptr},
           JsonCase{"{\"k\":\"\\", nullptr},
           JsonCase{"{\"a\":01,\"k\":\"v\"}", nullptr},
           JsonCase{"{\"a\":1.,\"k\":\"v\"}", nullptr},
           JsonCase{"{\"a\":-,\"k\":\"v\"}", nullptr},
           JsonCase{"{\"a\":tru,\"k\":\"v\"}", nullptr},
           JsonCase{"{\"k\":{\"k\":\"v\"}}", nullptr},
           JsonCase{"{\"K\":\"v\"}", nullptr},
       }) {
    const auto found = json_string_member(Secret::copy_of(at.text), "k");
    ASSERT_EQ(found.has_value(), at.value != nullptr) << at.text;
    if (found) {
      EXPECT_EQ(found->reveal(), at.value);
    }
  }
  const std::string deep = "{\"a\":" + std::string(100000, '[');
  EXPECT_FALSE(json_string_member(Secret::copy_of(deep), "k").has_value());
}

}  // namespace
}  // namespace iron::transforms

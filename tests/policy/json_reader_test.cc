#include "policy/json/json_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "policy/secret/secret.h"

namespace iron::policy {
namespace {

using namespace std::string_view_literals;
using Kind = JsonValue::Kind;

constexpr JsonLimits kLimits{.bytes = 1 << 20};

/// The error of reading `document`, or nothing.
std::string fault_of(std::string_view document, const JsonLimits& limits = kLimits) {
  JsonReader reader;
  const auto root = reader.parse(document, limits);
  return root ? std::string() : root.error().text;
}

template <class T>
std::string text_of(const Result<T>& result) {
  return result ? std::string() : result.error().text;
}

TEST(JsonReader, TakesWhatIsJson) {
  const std::pair<std::string_view, Kind> cases[] = {
      {"null", Kind::null},
      {" \t\r\n true \t\r\n ", Kind::boolean},
      {"false", Kind::boolean},
      {"0", Kind::number},
      {"-0", Kind::number},
      {"-0.0e+00", Kind::number},
      {"1E5", Kind::number},
      {"123456789012345678901234567890", Kind::number},
      {"1e999", Kind::number},
      {R"("")", Kind::string},
      {R"("\"\\\/\b\f\n\r\t\u0000\uD83D\ude00")", Kind::string},
      {"\"\x7f\u00e9\u20ac\U0001f600\"", Kind::string},
      {"[]", Kind::array},
      {"[ [ ] , { } ]", Kind::array},
      {"{}", Kind::object},
      {R"({"":{"":""},"":0})", Kind::object},
  };
  for (const auto& [document, kind] : cases) {
    JsonReader reader;
    const auto root = reader.parse(document, kLimits);
    ASSERT_TRUE(root) << document << ": " << root.error().text;
    EXPECT_EQ(root->kind(), kind) << document;
    EXPECT_EQ(root->path(), "$");
    const std::size_t first = document.find_first_not_of(" \t\r\n");
    const std::size_t last = document.find_last_not_of(" \t\r\n");
    EXPECT_EQ(root->raw(), document.substr(first, last + 1 - first));
  }
}

TEST(JsonReader, RefusesWhatIsNotAndTellsWhere) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "$: expected a value, found nothing"},
      {" \n", "$: expected a value, found nothing"},
      {"nul", "$: expected a value at byte 0"},
      {"True", "$: expected a value at byte 0"},
      {"nulll", "$: expected a value at byte 0"},
      {"'a'", "$: expected a value at byte 0"},
      {"\0"sv, "$: expected a value at byte 0"},
      {"\xef\xbb\xbf{}", "$: expected a value at byte 0"},
      {"/* */ 1", "$: expected a value at byte 0"},
      {"NaN", "$: expected a value at byte 0"},
      {"1 2", "$: expected the end at byte 2"},
      {"{}x", "$: expected the end at byte 2"},
      {"[]]", "$: expected the end at byte 2"},
      {"1\0"sv, "$: expected a number at byte 0"},
      {"01", "$: expected a number at byte 0"},
      {"-", "$: expected a number at byte 0"},
      {"+1", "$: expected a value at byte 0"},
      {"1.", "$: expected a number at byte 0"},
      {".5", "$: expected a value at byte 0"},
      {"1e", "$: expected a number at byte 0"},
      {"1e+", "$: expected a number at byte 0"},
      {"0x10", "$: expected a number at byte 0"},
      {"1\"a\"", "$: expected a number at byte 0"},
      {"[1,]", "$[1]: expected a value at byte 3"},
      {"[,1]", "$[0]: expected a value at byte 1"},
      {"[1 2]", "$: expected \",\" or \"]\" at byte 3"},
      {"[1", "$: expected \",\" or \"]\" at byte 2"},
      {"[1}", "$: expected \",\" or \"]\" at byte 2"},
      {"[", "$[0]: expected a value at byte 1"},
      {"]", "$: expected a value at byte 0"},
      {"[\"a\" \"b\"]", "$: expected \",\" or \"]\" at byte 5"},
      {"[\"a\"b]", "$: expected \",\" or \"]\" at byte 4"},
      {"{\"a\"}", "$: expected \":\" at byte 4"},
      {"{\"a\":}", "$.a: expected a value at byte 5"},
      {"{\"a\":1,}", "$: expected the name of a member at byte 7"},
      {"{a:1}", "$: expected the name of a member at byte 1"},
      {"{1:1}", "$: expected the name of a member at byte 1"},
      {"{\"a\":1", "$: expected \",\" or \"}\" at byte 6"},
      {"{\"a\":1]", "$: expected \",\" or \"}\" at byte 6"},
      {"{\"a\":[{\"b\":[0,nope]}]}", "$.a[0].b[1]: expected a value at byte 14"},
      {"\"a", "$: a string has no end"},
      {"\"a\\\"", "$: a string has no end"},
      {"\"\n\"", "$: a string has a control character that is not escaped"},
      {"[\"\x1f\"]", "$: a string has a control character that is not escaped"},
      {R"("\x41")", "$: expected a string at byte 0"},
      {R"("\u12g4")", "$: expected a string at byte 0"},
      {R"("\u12")", "$: expected a string at byte 0"},
      {R"("\ud800")", "$: expected a string at byte 0"},
      {R"("\ud800\u0041")", "$: expected a string at byte 0"},
      {R"(["\udc00"])", "$[0]: expected a string at byte 1"},
      {R"({"\q":1})", "$: expected the name of a member at byte 1"},
      {"\"\xff\"", "$: not UTF-8"},
      {"\"\xc0\xaf\"", "$: not UTF-8"},
      {"\"\xed\xa0\x80\"", "$: not UTF-8"},
      {"\"\xf4\x90\x80\x80\"", "$: not UTF-8"},
      {"\"\xe2\x82\"", "$: not UTF-8"},
      {"{}\xff", "$: not UTF-8"},
  };
  for (const auto& [document, error] : cases) EXPECT_EQ(fault_of(document), error) << document;
}

TEST(JsonReader, EveryCutOfADocumentIsRefused) {
  const std::string document =
      R"({"a":[1,-2.5e3,true,false,null,"\u00e9"],"b":{"c":"x\\","d":[[],{}]}})";
  ASSERT_EQ(fault_of(document), "");
  for (std::size_t size = 0; size < document.size(); ++size) {
    EXPECT_NE(fault_of(document.substr(0, size)), "") << size;
  }
}

TEST(JsonReader, KeepsItsLimits) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  const JsonLimits four{.bytes = 100, .values = 4, .depth = 4};
  EXPECT_EQ(fault_of(std::string(100, ' ').replace(0, 1, "1"), four), "");
  EXPECT_EQ(fault_of(std::string(101, '1'), four), "$: 101 bytes, at most 100 are read");
  EXPECT_EQ(fault_of("[1,2,3]", four), "");
  EXPECT_EQ(fault_of("[1,2,3,4]", four), "$: more than 4 values");
  EXPECT_EQ(fault_of(nested(4), four), "");
  EXPECT_EQ(fault_of(R"([{"a":[{"b":[]}]}])", {.bytes = 100, .values = 9, .depth = 4}),
            "$[0].a[0].b: nested deeper than 4");
  EXPECT_EQ(fault_of(nested(64)), "");
  EXPECT_EQ(fault_of(nested(65), {.bytes = 200, .values = 200, .depth = 1000}).substr(0, 4),
            "$[0]");
  EXPECT_NE(fault_of(nested(100000)).find("nested deeper than 64"), std::string::npos);
}

TEST(JsonReader, UnescapesStrings) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("")", ""},
      {R"("plain")", "plain"},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("a\u0000b")", "a\0b"sv},
      {R"("\u00E9\u20ac\ud83d\ude00\uffff")", "\u00e9\u20ac\U0001f600\uffff"},
      {"\"\u00e9\\n\U0001f600\"", "\u00e9\n\U0001f600"},
  };
  for (const auto& [document, want] : cases) {
    JsonReader reader;
    const auto root = reader.parse(document, kLimits);
    ASSERT_TRUE(root) << document;
    EXPECT_EQ(root->read<std::string_view>().value(), want) << document;
  }
}

TEST(JsonReader, ManyStringsWithEscapesStayApart) {
  std::string document = "[";
  std::vector<std::string> wanted;
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    document += (i == 0 ? "\"" : ",\"") + std::string(i, 'x') + "\\n" + number + "\"";
    wanted.push_back(std::string(i, 'x') + "\n" + number);
  }
  JsonReader reader;
  const auto root = reader.parse(document + "]", kLimits);
  ASSERT_TRUE(root);
  std::vector<std::string> got;
  for (const JsonValue value : root->read<JsonArray>().value()) {
    got.emplace_back(value.read<std::string_view>().value());
  }
  EXPECT_EQ(got, wanted);
}

TEST(JsonReader, NumbersAreExactOrTheCallerKnows) {
  struct Case {
    std::string_view text;
    std::optional<std::int64_t> integer;
    std::optional<std::uint64_t> natural;
    std::optional<double> nearest;
  };
  const Case cases[] = {
      {"0", 0, 0U, 0.0},
      {"-1", -1, {}, -1.0},
      {"9007199254740993", 9007199254740993, 9007199254740993U, 9007199254740992.0},
      {"9223372036854775807", INT64_MAX, INT64_MAX, 9223372036854775808.0},
      {"-9223372036854775808", INT64_MIN, {}, -9223372036854775808.0},
      {"9223372036854775808", {}, 9223372036854775808U, 9223372036854775808.0},
      {"18446744073709551615", {}, UINT64_MAX, 18446744073709551616.0},
      {"18446744073709551616", {}, {}, 18446744073709551616.0},
      {"5.0", {}, {}, 5.0},
      {"5e0", {}, {}, 5.0},
      {"0.1", {}, {}, 0.1},
      {"1.7976931348623157e308", {}, {}, std::numeric_limits<double>::max()},
      {"1e309", {}, {}, {}},
      {"-1e309", {}, {}, {}},
      {"4.9e-324", {}, {}, std::numeric_limits<double>::denorm_min()},
      {"1e-400", {}, {}, 0.0},
  };
  for (const auto& [text, integer, natural, nearest] : cases) {
    JsonReader reader;
    const auto number = reader.parse(text, kLimits)->read<JsonNumber>();
    ASSERT_TRUE(number) << text;
    EXPECT_EQ(number->text, text);
    EXPECT_EQ(number->integer, integer) << text;
    EXPECT_EQ(number->natural, natural) << text;
    EXPECT_EQ(number->nearest, nearest) << text;
  }
}

TEST(JsonReader, ReadingAsSomethingElseNamesThePlaceAndNoValue) {
  JsonReader reader;
  const auto root = reader.parse(
      R"({"a":[0,{"b c":"hidden","":5.5,"n":null,"x":-3,"big":1e999}],"twice":1,"twice":2})",
      kLimits);
  ASSERT_TRUE(root);
  const JsonObject object = root->read<JsonObject>().value();
  const auto inner =
      (*object.required<JsonArray>("a").value().begin().operator++()).read<JsonObject>().value();
  EXPECT_EQ(text_of(root->read<JsonArray>()), "$: expected an array, found an object");
  EXPECT_EQ(text_of(object.required<JsonObject>("a")), "$.a: expected an object, found an array");
  EXPECT_EQ(text_of(inner.required<bool>("b c")),
            "$.a[1][member 0]: expected a boolean, found a string");
  EXPECT_EQ(text_of(inner.required<std::int64_t>("")),
            "$.a[1][member 1]: expected an integer of 64 bits, found another number");
  EXPECT_EQ(text_of(inner.required<std::string_view>("n")),
            "$.a[1].n: expected a string, found null");
  EXPECT_EQ(text_of(inner.required<std::uint64_t>("x")),
            "$.a[1].x: expected an integer of 64 bits that is not negative, found another number");
  EXPECT_EQ(text_of(inner.required<double>("big")),
            "$.a[1].big: expected a number in the range of a double, found another number");
  EXPECT_EQ(text_of(inner.required<double>("b c")),
            "$.a[1][member 0]: expected a number, found a string");
  EXPECT_EQ(text_of(inner.required<std::string_view>("y")), "$.a[1].y: expected, found nothing");
  EXPECT_EQ(text_of(inner.optional<std::string_view>("x")),
            "$.a[1].x: expected a string, found a number");
  EXPECT_EQ(text_of(object.optional<double>("twice")), "$.twice: there twice");
  EXPECT_EQ(text_of(object.required<double>("twice")), "$.twice: there twice");
}

TEST(JsonReader, MembersAreRequiredOrOptional) {
  JsonReader reader;
  const auto root = reader.parse(
      R"({"access_token":"t","expires_in":3600,"scope":null,"n\u0061me":true,"u":18446744073709551615})",
      kLimits);
  const JsonObject object = root->read<JsonObject>().value();
  EXPECT_EQ(object.required<std::string_view>("access_token").value(), "t");
  EXPECT_EQ(object.optional<std::int64_t>("expires_in").value(), 3600);
  EXPECT_EQ(object.optional<std::string_view>("scope").value(), std::nullopt);
  EXPECT_EQ(object.optional<std::string_view>("Access_Token").value(), std::nullopt);
  EXPECT_TRUE(object.required<bool>("name").value());
  EXPECT_EQ(object.required<std::uint64_t>("u").value(), UINT64_MAX);
  EXPECT_EQ(object.required<JsonValue>("scope").value().kind(), Kind::null);
  EXPECT_EQ(object.find("gone").value().has_value(), false);
}

TEST(JsonReader, IteratesInOrderAndTellsRepeatedNames) {
  JsonReader reader;
  const auto root = reader.parse(R"({"b":[1,[2,3],{"x":{}}],"a":{"y":0,"y":0},"B":[]})", kLimits);
  const JsonObject object = root->read<JsonObject>().value();
  std::string seen;
  for (const JsonMember member : object) {
    seen.append(member.name).append("=").append(member.value.raw()).append(" ");
  }
  EXPECT_EQ(seen, R"(b=[1,[2,3],{"x":{}}] a={"y":0,"y":0} B=[] )");
  std::string paths;
  for (const JsonValue value : object.required<JsonArray>("b").value()) paths += value.path() + " ";
  EXPECT_EQ(paths, "$.b[0] $.b[1] $.b[2] ");
  EXPECT_FALSE(object.repeats_a_name());
  EXPECT_TRUE(object.required<JsonObject>("a")->repeats_a_name());
  EXPECT_TRUE(object.required<JsonArray>("B")->empty());
  EXPECT_FALSE(object.required<JsonArray>("b")->empty());
  EXPECT_FALSE(object.empty());
}

TEST(JsonReader, ReadsOneDocumentAfterAnother) {
  JsonReader reader;
  EXPECT_EQ(reader.parse(R"(["\n"])", kLimits)->raw(), R"(["\n"])");
  EXPECT_FALSE(reader.parse("[", kLimits));
  EXPECT_EQ(reader.parse("7", kLimits)->read<std::int64_t>().value(), 7);
}

/// How often the bytes that `reversed` has from its end to its front are in this process's memory.
/// What it copies to look at, it wipes.
int occurrences(std::string_view reversed) {
  std::ifstream maps("/proc/self/maps");
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  int found = 0;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
    if (std::string_view(rights) != "rw-p" || end - begin > (64U << 20)) continue;
    std::vector<char> block(end - begin);
    const ssize_t got = ::pread(memory, block.data(), block.size(), static_cast<off_t>(begin));
    const auto behind = block.begin() + std::max<ssize_t>(got, 0);
    auto at = block.begin();
    while ((at = std::search(at, behind, reversed.rbegin(), reversed.rend())) != behind) {
      ++at;
      ++found;
    }
    wipe(block);
  }
  ::close(memory);
  return found;
}

/// Reads a document that has `reversed`, turned round, in a plain string, in one with an escape,
/// and among its last bytes, of which the parser makes a copy; then looks for it.
[[gnu::noinline]] int occurrences_after_reading(std::string_view reversed, bool keep) {
  std::optional<JsonReader> reader(std::in_place);
  {
    std::string document;
    document.reserve(4000);
    for (const std::string_view before : {"[\"", "\",\"\\n", "\",\""}) {
      document.append(before).append(reversed.rbegin(), reversed.rend());
    }
    document += "\"]";
    EXPECT_TRUE(reader->parse(document, kLimits));
    wipe(document);
  }
  if (!keep) reader.reset();
  return occurrences(reversed);
}

TEST(JsonReader, LeavesNothingInMemory) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer keeps frames and has copies of its own";
#endif
#endif
  constexpr std::string_view kReversed = "51d0c7-daer-eb-ot-eulav-a";
  EXPECT_GE(occurrences_after_reading(kReversed, true), 4);
  EXPECT_EQ(occurrences_after_reading(kReversed, false), 0);
}

TEST(JsonReader, LongNamesAreNotShown) {
  const std::string name(41, 'n');
  EXPECT_EQ(fault_of("{\"" + name + "\":x}"), "$[member 0]: expected a value at byte 45");
  EXPECT_EQ(fault_of("{\"" + name.substr(1) + "\":x}"),
            "$." + name.substr(1) + ": expected a value at byte 44");
}

}  // namespace
}  // namespace iron::policy

#include "policy/yaml/yaml_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/config_error.h"

namespace iron::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string parse_fault(std::string_view text) {
  try {
    parse_yaml(text);
  } catch (const ConfigError& error) {
    return error.text();
  }
  return "accepted";
}

/// What the file's reader would see of one block with a key of each type.
struct Values {
  std::string text = "default";
  std::string scalar = "default";
  std::int64_t number = -7;
  bool flag = false;
  std::vector<std::string> list = {"default"};
  std::vector<int> lines;
  std::string errors;
  std::vector<ConfigWarning> warnings;
};

Values read(std::string_view text, UnknownKeys unknown = UnknownKeys::are_errors) {
  Values out;
  const auto root = parse_yaml(text);
  YamlErrors errors;
  BlockReader block(root.get(), "config.Thing", "thing",
                    {&errors, unknown, &out.warnings, "f.yaml"});
  block.text("text", out.text);
  block.scalar("scalar", out.scalar);
  block.integer("number", out.number);
  block.boolean("flag", out.flag);
  block.texts("list", out.list, &out.lines);
  block.finish();
  if (!errors.empty()) out.errors = errors.text();
  return out;
}

std::string errors_of(std::string_view text) {
  constexpr std::string_view kHead = "yaml: unmarshal errors:\n  ";
  const std::string errors = read(text).errors;
  EXPECT_THAT(errors, StartsWith(std::string(kHead))) << text;
  return errors.size() < kHead.size() ? errors : errors.substr(kHead.size());
}

TEST(YamlReader, ConvertsScalarsToText) {
  const struct {
    const char *written, *value;
  } cases[] = {
      {"foo", "foo"},     {"'foo'", "foo"},    {"\"a\\tb\"", "a\tb"},
      {"53", "53"},       {"0x1F", "0x1F"},    {"1.50", "1.50"},
      {"true", "true"},   {"off", "off"},      {"2001-01-02", "2001-01-02"},
      {"~", "default"},   {"null", "default"}, {"", "default"},
      {"'null'", "null"}, {"\"\"", ""},        {"::1/128", "::1/128"},
      {":8080", ":8080"}, {"!!str 5", "5"},    {"a?b", "a?b"},
      {"*x", "anchored"},
  };
  for (const auto& row : cases) {
    const Values values = read("base: &x anchored\ntext: " + std::string(row.written) + "\n",
                               UnknownKeys::are_warnings);
    EXPECT_EQ(values.text, row.value) << row.written;
    EXPECT_EQ(values.errors, "") << row.written;
  }
}

TEST(YamlReader, ConvertsScalarsToIntegers) {
  const struct {
    const char* written;
    std::int64_t value;
  } cases[] = {
      {"5", 5},
      {"-5", -5},
      {"+5", 5},
      {"0x1F", 31},
      {"0o17", 15},
      {"0b101", 5},
      {"010", 8},
      {"1_000", 1000},
      {"5.5", 5},
      {"-5.5", -5},
      {"1e3", 1000},
      {".5", 0},
      {"08", 8},
      {"~", -7},
      {"!!int \"5\"", 5},
      {"9223372036854775807", INT64_MAX},
      {"-9223372036854775808", INT64_MIN},
  };
  for (const auto& row : cases) {
    const Values values = read("number: " + std::string(row.written));
    EXPECT_EQ(values.number, row.value) << row.written;
    EXPECT_EQ(values.errors, "") << row.written;
  }
}

TEST(YamlReader, ConvertsScalarsToBooleans) {
  for (const char* yes :
       {"true", "True", "TRUE", "y", "Y", "yes", "on", "ON", "\"yes\"", "'On'", "!!bool \"true\""})
    EXPECT_TRUE(read("flag: " + std::string(yes)).flag) << yes;
  for (const char* no : {"false", "False", "FALSE", "n", "No", "off", "\"off\"", "~"}) {
    const Values values = read("flag: " + std::string(no));
    EXPECT_FALSE(values.flag) << no;
    EXPECT_EQ(values.errors, "") << no;
  }
}

TEST(YamlReader, ReadsABooleanOrAWord) {
  const struct {
    const char* written;
    bool word, flag;
    const char* error;
  } cases[] = {
      {"sometimes", true, false, ""},
      {"'sometimes'", true, false, ""},
      {"!!str sometimes", true, false, ""},
      {"true", false, true, ""},
      {"on", false, true, ""},
      {"false", false, false, ""},
      {"~", false, false, ""},
      {"Sometimes", false, false, "cannot unmarshal !!str `Sometimes` into bool"},
      {"sometimes_not", false, false, "cannot unmarshal !!str `sometim...` into bool"},
      {"1", false, false, "cannot unmarshal !!int `1` into bool"},
      {"[sometimes]", false, false, "cannot unmarshal !!seq into bool"},
  };
  for (const auto& at : cases) {
    const auto root = parse_yaml("flag: " + std::string(at.written));
    YamlErrors errors;
    BlockReader block(root.get(), "config.Thing", "thing",
                      {&errors, UnknownKeys::are_errors, nullptr, "f.yaml"});
    bool flag = false;
    EXPECT_EQ(block.boolean_or("flag", "sometimes", flag), at.word) << at.written;
    EXPECT_FALSE(block.boolean_or("other", "sometimes", flag)) << at.written;
    block.finish();
    EXPECT_EQ(flag, at.flag) << at.written;
    const std::string expected = "yaml: unmarshal errors:\n  line 1: " + std::string(at.error);
    EXPECT_EQ(errors.empty() ? "" : errors.text(), *at.error == '\0' ? "" : expected);
  }
}

TEST(YamlReader, NamesWrongTypes) {
  const struct {
    const char *text, *error;
  } cases[] = {
      {"number: x", "line 1: cannot unmarshal !!str `x` into int64"},
      {"number: '5'", "line 1: cannot unmarshal !!str `5` into int64"},
      {"number: \"\"", "line 1: cannot unmarshal !!str `` into int64"},
      {"number: true", "line 1: cannot unmarshal !!bool `true` into int64"},
      {"number: 1e30", "line 1: cannot unmarshal !!float `1e30` into int64"},
      {"number: .nan", "line 1: cannot unmarshal !!float `.nan` into int64"},
      {"number: 99999999999999999999", "line 1: cannot unmarshal !!float `9999999...` into int64"},
      {"number: 9223372036854775808", "line 1: cannot unmarshal !!int `9223372...` into int64"},
      {"number: 2001-01-02", "line 1: cannot unmarshal !!timestamp `2001-01-02` into int64"},
      {"number: 2001-1-2T3:4:5Z", "line 1: cannot unmarshal !!timestamp `2001-1-...` into int64"},
      {"number: 2001-13-02", "line 1: cannot unmarshal !!str `2001-13-02` into int64"},
      {"number: [1]", "line 1: cannot unmarshal !!seq into int64"},
      {"flag: \"true\"", "line 1: cannot unmarshal !!str `true` into bool"},
      {"flag: tRUE", "line 1: cannot unmarshal !!str `tRUE` into bool"},
      {"flag: 1", "line 1: cannot unmarshal !!int `1` into bool"},
      {"flag: {a: b}", "line 1: cannot unmarshal !!map into bool"},
      {"text:\n  - a", "line 2: cannot unmarshal !!seq into string"},
      {"text:\n  a: b", "line 2: cannot unmarshal !!map into string"},
      {"scalar: [a]", "line 1: cannot unmarshal !!seq into string"},
      {"list: foo", "line 1: cannot unmarshal !!str `foo` into []string"},
      {"list: {a: b}", "line 1: cannot unmarshal !!map into []string"},
      {"list:\n- a\n- [b]\n- {c: d}",
       "line 3: cannot unmarshal !!seq into string\n  line 4: cannot unmarshal !!map into string"},
      {"foo", "line 1: cannot unmarshal !!str `foo` into config.Thing"},
      {"- a", "line 1: cannot unmarshal !!seq into config.Thing"},
      {"12345678901", "line 1: cannot unmarshal !!int `1234567...` into config.Thing"},
      {"1234567890", "line 1: cannot unmarshal !!int `1234567890` into config.Thing"},
      {"[a]: b", "line 1: cannot unmarshal !!seq into string"},
  };
  for (const auto& row : cases) EXPECT_EQ(errors_of(row.text), row.error) << row.text;
}

TEST(YamlReader, ReportsFaultsInTheOrderOfTheFile) {
  EXPECT_EQ(errors_of("zzz: 1\nlist: 5\nflag: 7\nnumber: x\nyyy: 2\n"),
            "line 1: field zzz not found in type config.Thing\n"
            "  line 2: cannot unmarshal !!int `5` into []string\n"
            "  line 3: cannot unmarshal !!int `7` into bool\n"
            "  line 4: cannot unmarshal !!str `x` into int64\n"
            "  line 5: field yyy not found in type config.Thing");
}

TEST(YamlReader, ADuplicateHidesTheRestOfItsBlock) {
  EXPECT_EQ(errors_of("text: a\nnumber: x\ntext: b\n\"text\": c\n"),
            "line 3: mapping key \"text\" already defined at line 1\n"
            "  line 4: mapping key \"text\" already defined at line 1\n"
            "  line 4: mapping key \"text\" already defined at line 3");
}

TEST(YamlReader, ATagThatContradictsItsValueHidesAllOtherFaults) {
  EXPECT_EQ(read("zzz: 1\nnumber: !!int x\ntext: !thing x\n").errors,
            "yaml: cannot decode !!str `x` as a !!int");
}

TEST(YamlReader, DropsNullElementsAndGivesLines) {
  const Values values = read("list:\n- a\n- null\n- 5\n- ~\n- ''\n");
  EXPECT_THAT(values.list, ElementsAre("a", "5", ""));
  EXPECT_THAT(values.lines, ElementsAre(2, 4, 6));
  EXPECT_THAT(read("list: ~").list, ElementsAre("default"));
  EXPECT_THAT(read("list: []").list, ElementsAre());
}

TEST(YamlReader, MergesMappings) {
  const Values values = read(
      "list: &unused [x]\ntext: own\n<<: [{text: first, number: 1}, {number: 2, flag: true}]\n");
  EXPECT_EQ(values.errors, "");
  EXPECT_EQ(values.text, "own");
  EXPECT_EQ(values.number, 1);
  EXPECT_TRUE(values.flag);
  EXPECT_EQ(read("<<: 5").errors, "yaml: map merge requires map or sequence of maps as the value");
  EXPECT_EQ(errors_of("text: a\n<<: {zzz: 1}\n"),
            "line 2: field zzz not found in type config.Thing");
}

TEST(YamlReader, UnknownKeysCanBeWarnings) {
  const Values values = read("text: a\nzzz: 1\n", UnknownKeys::are_warnings);
  EXPECT_EQ(values.errors, "");
  ASSERT_EQ(values.warnings.size(), 1u);
  EXPECT_EQ(values.warnings[0].message, "transform config key ignored");
  const auto& attributes = values.warnings[0].attributes;
  ASSERT_EQ(attributes.size(), 3u);
  EXPECT_EQ(attributes[0].text, "f.yaml");
  EXPECT_EQ(attributes[1].text, "2");
  EXPECT_TRUE(attributes[1].is_number);
  EXPECT_EQ(attributes[2].text, "thing.zzz");
}

TEST(YamlReader, TellsPresenceAndLines) {
  const auto root = parse_yaml("a: ~\nb:\n  c: 1\nd: {}\n");
  YamlErrors errors;
  BlockReader block(root.get(), "T", "", {&errors, UnknownKeys::are_errors, nullptr, ""});
  EXPECT_FALSE(block.present("a"));
  EXPECT_FALSE(block.present("z"));
  EXPECT_TRUE(block.present("b"));
  EXPECT_EQ(block.line_of("b"), 3);
  EXPECT_EQ(block.line_of("z"), 0);
  EXPECT_EQ(block.line(), 1);
  EXPECT_EQ(block.block("a"), nullptr);
  EXPECT_NE(block.block("b"), nullptr);
  EXPECT_NE(block.any("d"), nullptr);
}

TEST(YamlReader, NodesOutliveTheReader) {
  std::shared_ptr<const YamlNode> kept;
  {
    const auto root = parse_yaml("a:\n  text: kept\n");
    YamlErrors errors;
    BlockReader block(root.get(), "T", "", {&errors, UnknownKeys::are_errors, nullptr, ""});
    kept = block.any("a");
  }
  YamlErrors errors;
  BlockReader block(kept.get(), "T", "", {&errors, UnknownKeys::are_errors, nullptr, ""});
  std::string text;
  block.text("text", text);
  EXPECT_EQ(text, "kept");
}

TEST(YamlParser, AcceptsEmptyDocumentsButNotEmptyStreams) {
  for (const char* text : {"{}", "null", "~", "---", "---\n", "# c\n---\n"})
    EXPECT_EQ(parse_fault(text), "accepted") << text;
  for (const char* text : {"", "\n", "# only a comment", "  \n\t\n# x\n"})
    EXPECT_EQ(parse_fault(text), "parsing config: EOF") << text;
}

TEST(YamlParser, ReadsTheFirstDocumentAlone) {
  for (const char* rest : {"---\n- x\n", "...\n[\n", "---\nzzz: 1\n", "...\nzzz: 1\n", "--- @\n",
                           "---\t'\n", "...\n%\n"}) {
    const Values values = read(std::string("text: a\n") + rest);
    EXPECT_EQ(values.text, "a");
    EXPECT_EQ(values.errors, "") << rest;
  }
}

TEST(YamlParser, ReadsUtf16AndByteOrderMarks) {
  using namespace std::string_view_literals;
  EXPECT_EQ(read("\xEF\xBB\xBFtext: a\n").text, "a");
  EXPECT_EQ(read("\xFF\xFEt\0e\0x\0t\0:\0 \0\xE9\0\n\0"sv).text, "\xC3\xA9");
  EXPECT_EQ(read("\xFE\xFF\0t\0e\0x\0t\0:\0 \xD8\x3D\xDE\x00\0\n"sv).text, "\xF0\x9F\x98\x80");
}

TEST(YamlParser, RefusesWrongEncodings) {
  using namespace std::string_view_literals;
  const struct {
    std::string_view text;
    const char* fault;
  } cases[] = {
      {"a: \xC3", "incomplete UTF-8 octet sequence"},
      {"# \xC3\x28", "invalid trailing UTF-8 octet"},
      {"a: \x80", "invalid leading UTF-8 octet"},
      {"a: \xC0\x80", "invalid length of a UTF-8 sequence"},
      {"a: \xED\xA0\x80", "invalid Unicode character"},
      {"a: \x01", "control characters are not allowed"},
      {"a: b\0"sv, "control characters are not allowed"},
      {"\xFF\xFE"
       "a"sv,
       "incomplete UTF-16 character"},
      {"\xFF\xFE\x00\xDC"sv, "unexpected low surrogate area"},
      {"\xFF\xFE\x00\xD8"sv, "incomplete UTF-16 surrogate pair"},
      {"\xFF\xFE\x00\xD8\x20\x00"sv, "expected low surrogate area"},
  };
  for (const auto& row : cases)
    EXPECT_EQ(parse_fault(row.text), std::string("parsing config: yaml: ") + row.fault);
}

TEST(YamlParser, NamesLineAndFaultOfABrokenFile) {
  const struct {
    const char *text, *fault;
  } cases[] = {
      {"a: b: c\n", "line 1: illegal map value"},
      {"x: 1\rdns: b: c\r", "line 2: illegal map value"},
      {"dns:\n\tlisten: x\n", "line 2: illegal map value"},
      {"log:\n  level: a\n\t  audit_path: b\n", "line 3: illegal tab when looking for indentation"},
      {"a: 1\nb: @x\n", "line 2: unknown token"},
      {"dns:\n  listen: [\n", "line 2: end of sequence flow not found"},
      {"x: [1, 2\ny: 3\n", "line 2: end of sequence flow not found"},
      {"a: 1\nb: {c: d", "line 2: end of map flow not found"},
      {"a: 1\n}\n", "line 2: illegal flow end"},
      {"a: - b\n", "line 1: illegal block entry"},
      {"dns:\n    listen: x\n  proxy_ip: y\n", "line 3: end of map not found"},
      {"x: 1\ndns:\n  listen: x\n    proxy_ip: y\n", "line 4: illegal map value"},
      {"l:\n- a\n- b\n  c: d\n", "line 4: illegal map value"},
      {"a: 'x", "line 1: illegal EOF in scalar"},
      {"dns:\n  listen: \"x\n  proxy_ip: y\n", "line 3: illegal EOF in scalar"},
      {"a: 'x\n---\ny'\n", "line 1: illegal EOF in scalar"},
      {"a: 1\nb: * x\n", "line 2: alias not found after *"},
      {"a: \"\\q\"\n", "line 1: unknown escape character: q"},
      {"a: \"\\\xC3\xA9\"\n", "line 1: unknown escape character: \\xc3"},
      {"x: 1\na: |x\n b\n", "line 2: unexpected character in block scalar"},
      {"%YAML 2.0\n---\na: 1\n", "line 1: YAML major version too large"},
  };
  for (const auto& row : cases)
    EXPECT_EQ(parse_fault(row.text), std::string("parsing config: yaml: ") + row.fault) << row.text;
}

// What the library reads without a word.
TEST(YamlParser, CutsNoConfigurationSilently) {
  constexpr const char* kEnded = "the outermost block has ended: check the indentation";
  constexpr const char* kNoKey = "key not found before ':'";
  constexpr const char* kNoColon = "':' not found behind a key";
  const struct {
    const char* text;
    int line;
    const char* fault;
  } cases[] = {
      {"  a: 1\nb: 2\n", 2, kEnded},
      {"- a\nb: c\n", 2, kEnded},
      {"  a: 1\n---b: 2\n", 2, kEnded},
      {"  a: 1\n ---\n", 2, kEnded},
      {"a: 1\n%b: 2\n", 2, kEnded},
      {"a: 1\n: 2\n", 2, kNoKey},
      {"a: 1\n? b\n: c\n: d\n", 4, kNoKey},
      {"dns:\n  listen: x\nhardening\n", 3, kNoColon},
      {"dns:\n  listen\n", 2, "accepted"},
      {"a: {b, c: d}\n", 1, "accepted"},
      {"? a\n", 1, "accepted"},
  };
  for (const auto& row : cases) {
    const std::string head = "parsing config: yaml: line " + std::to_string(row.line) + ": ";
    const bool accepted = row.fault == std::string_view("accepted");
    EXPECT_EQ(parse_fault(row.text), accepted ? row.fault : head + row.fault) << row.text;
  }
}

TEST(YamlParser, AQuestionMarkInAWordIsPartOfIt) {
  EXPECT_THAT(read("list: [api?.test, 'b?', c?d?e]").list, ElementsAre("api?.test", "b?", "c?d?e"));
  EXPECT_THAT(read("list:\n- a?\n- \xEE\x80\xBF\n- c?d\n").list,
              ElementsAre("a?", "\xEE\x80\xBF", "c?d"));
}

TEST(YamlParser, ACarriageReturnEndsALine) {
  EXPECT_EQ(read("\r# c\rtext: a\r").text, "a");
  EXPECT_EQ(read("text: a\r\n\r\n").text, "a");
  EXPECT_EQ(read("text: |\r  a\r  b\r").text, "a\nb\n");
}

TEST(YamlParser, RefusesUnknownAndEndlessAliases) {
  EXPECT_EQ(parse_fault("a: 1\nb: *nope\n"),
            "parsing config: yaml: unknown anchor 'nope' referenced");
  EXPECT_EQ(parse_fault("a: &b [*b]\n"), "parsing config: yaml: anchor 'b' value contains itself");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += "*a" + std::to_string(i - 1) + ", ";
    bomb += "]\n";
  }
  EXPECT_EQ(parse_fault(bomb), "parsing config: yaml: document contains excessive aliasing");
}

TEST(YamlParser, BoundsSizeAndDepth) {
  EXPECT_EQ(parse_fault(std::string((8u << 20) + 1, '\n')),
            "parsing config: file is larger than 8 MiB");
  EXPECT_EQ(parse_fault(std::string(1u << 20, '[')),
            "parsing config: yaml: line 1: nested too deeply");
  EXPECT_THAT(parse_fault(std::string(900, '[') + std::string(900, ']')),
              HasSubstr("nested too deeply"));
  EXPECT_THAT(parse_fault("a: " + std::string(2u << 20, 'x')), HasSubstr("longer than 1 MiB"));
  std::string many = "a: [";
  for (int i = 0; i < 200000; ++i) many += "x,\n";
  EXPECT_THAT(parse_fault(many + "]"), HasSubstr("too many values in brackets"));
  many = "a:\n";
  for (int i = 0; i < 300000; ++i) many += "- x\n";
  EXPECT_THAT(parse_fault(many), HasSubstr("document has too many values"));
}

TEST(YamlErrors, KeepsTheOrderOfTheFile) {
  YamlErrors errors;
  errors.add(9, "second");
  errors.add(2, "first");
  EXPECT_EQ(errors.text(), "yaml: unmarshal errors:\n  line 2: first\n  line 9: second");
}

}  // namespace
}  // namespace iron::policy

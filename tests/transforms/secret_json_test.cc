#include "transforms/sources/secret_json.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/transforms/built_source.h"
#include "transforms/sources/json_member.h"

namespace iron::transforms {
namespace {

std::string compact(const std::string& text) {
  const auto document = SecretJson::parse(text);
  return document ? text_of(document->compact()) : "none";
}

TEST(SecretJson, IsWrittenCompactAndSorted) {
  struct Row {
    const char* text;
    const char* written;
  };
  for (const Row& row : {
           Row{" {} ", "{}"},
           Row{"[ 1 , [ ] , { } ]", "[1,[],{}]"},
           Row{R"({"b":1,"a":{"z":null,"y":[true,false]}})",
               R"({"a":{"y":[true,false],"z":null},"b":1})"},
           Row{R"({"a":1,"a":2,"\u0061":3})", R"({"a":3})"},
           Row{R"({"ab":1,"a":2,"B":3})", R"({"B":3,"a":2,"ab":1})"},
           Row{R"([1.50,1e+3,-0,12345678901234567890])", R"([1.50,1e+3,-0,12345678901234567890])"},
           Row{R"("<a>&\/\u0041\u00fc")", "\"\\u003ca\\u003e\\u0026/A\xc3\xbc\""},
           Row{R"("\"\\\b\f\n\r\t\u0001\u007f")", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f\""},
           Row{R"("\u2028\u2029\u202a\u20ac\u2000")",
               "\"\\u2028\\u2029\xe2\x80\xaa\xe2\x82\xac\xe2\x80\x80\""},
           Row{"\"a\xff\xe2\x80\"", "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
           Row{R"("\ud83d\ude00\ud83d")", "\"\xf0\x9f\x98\x80\xef\xbf\xbd\""},
           Row{R"({"<k>":"v"})", R"({"\u003ck\u003e":"v"})"},
           Row{"", "none"},
           Row{"{\"a\":1", "none"},
           Row{"{} {}", "none"},
           Row{"nul", "none"},
       }) {
    EXPECT_EQ(compact(row.text), row.written) << row.text;
  }
}

TEST(SecretJson, DepthHasALimit) {
  EXPECT_TRUE(SecretJson::parse("[[[1]]]", 3).has_value());
  EXPECT_FALSE(SecretJson::parse("[[[1]]]", 2).has_value());
  EXPECT_FALSE(SecretJson::parse(std::string(100000, '[')).has_value());
}

TEST(SecretJson, MembersAreFoundByWhatTheyStandFor) {
  const auto document = SecretJson::parse(R"({"a":"x","\u0062":[1,"two"],"a":"y"})");
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ(text_of(document->member("a")->text()), "y");
  EXPECT_TRUE(document->member("a")->is("y"));
  EXPECT_FALSE(document->member("a")->is("yy"));
  EXPECT_FALSE(document->string("b").has_value());
  EXPECT_EQ(document->member("b")->elements().size(), 2U);
  EXPECT_FALSE(document->member("c").has_value());
  EXPECT_TRUE(document->elements().empty());
  EXPECT_TRUE(document->member("b")->members().empty());
  EXPECT_EQ(text_of(document->member("b")->text()), "");
}

TEST(JsonKey, ErrorsOfEachType) {
  struct Row {
    const char* value;
    const char* error;
  };
  for (const Row& row : {
           Row{"plain", "secret value is not valid JSON: invalid syntax"},
           Row{"", "secret value is not valid JSON: invalid syntax"},
           Row{"[1]",
               "secret value is not valid JSON: json: cannot unmarshal array into Go value of "
               "type map[string]interface {}"},
           Row{"1",
               "secret value is not valid JSON: json: cannot unmarshal number into Go value of "
               "type map[string]interface {}"},
           Row{"true",
               "secret value is not valid JSON: json: cannot unmarshal bool into Go value of "
               "type map[string]interface {}"},
           Row{"\"x\"",
               "secret value is not valid JSON: json: cannot unmarshal string into Go value "
               "of type map[string]interface {}"},
           Row{"null", R"(key "k" not found in JSON)"},
           Row{"{}", R"(key "k" not found in JSON)"},
           Row{"{\"k\":1}", R"(key "k" is not a string (type float64))"},
           Row{"{\"k\":true}", R"(key "k" is not a string (type bool))"},
           Row{"{\"k\":{}}", R"(key "k" is not a string (type map[string]interface {}))"},
           Row{"{\"k\":[]}", R"(key "k" is not a string (type []interface {}))"},
           Row{"{\"k\":null}", R"(key "k" is not a string (type <nil>))"},
       }) {
    const auto found = json_string_member(Secret::copy_of(row.value), "k");
    ASSERT_TRUE(found.has_error()) << row.value;
    EXPECT_EQ(found.error().text, row.error) << row.value;
  }
}

TEST(JsonKey, TheErrorNamesTheSecret) {
  BuiltSource built("{type: file, path: /k, json_key: zz}");
  FakeOutside outside;
  outside.files["/k"] = R"({"a":"x"})";
  EXPECT_EQ(built.get(outside),
            R"(!extracting json_key "zz" from secret "/k": key "zz" not found in JSON)");
  EXPECT_TRUE(outside.notes.empty());
}

}  // namespace
}  // namespace iron::transforms

#include "transforms/formatter/formatter.h"

#include <gtest/gtest.h>

#include "policy/config_error.h"

namespace iron::transforms {
namespace {

struct TextCase {
  const char* text;
  const char* expected;
};

TEST(Formatter, MakesTexts) {
  for (const TextCase& at : {
           TextCase{"", ""},
           TextCase{"fixed", "fixed"},
           TextCase{"{{ .Value }}", "real-secret"},
           TextCase{"Bearer {{.Value}}!", "Bearer real-secret!"},
           TextCase{"{{ . }}", "{real-secret}"},
           TextCase{R"({{ base64 "x:" .Value }})", "eDpyZWFsLXNlY3JldA=="},
           TextCase{"{{ .Value | base64 }}", "cmVhbC1zZWNyZXQ="},
           TextCase{R"({{ .Value | base64 "a" "b" }})", "YWJyZWFsLXNlY3JldA=="},
           TextCase{"{{base64}}", ""},
           TextCase{R"({{ "a\x41\u00e9\101\n\"\\" }})",
                    "aA\xc3\xa9"
                    "A\n\"\\"},
           TextCase{"{{ `a\\n` }}", "a\\n"},
           TextCase{"a \n {{- .Value -}} \t b", "areal-secretb"},
           TextCase{"a {{- /* c */ -}} b{{/* d */}}", "ab"},
           TextCase{"{{- \"\" -}}   x", "x"},
           TextCase{"{{ 3 }}{{ -3 }}{{true}}", "3-3true"},
           TextCase{R"({{ printf "%s-%d" .Value 3 }})", "real-secret-3"},
           TextCase{R"({{ .Value | printf "%q%%%v" "a\"b" }})", "\"a\\\"b\"%real-secret"},
           TextCase{R"({{ printf "%d" .Value }})", "%!d(string=real-secret)"},
           TextCase{R"({{ printf "%v" . }})", "{real-secret}"},
           TextCase{R"({{ print .Value 1 2 "x" }})", "real-secret1 2x"},
           TextCase{"{{ len .Value }}", "11"},
           TextCase{"{{ index .Value 0 }}", "114"},
           TextCase{"{{if .Value}}yes{{else}}no{{end}}", "yes"},
           TextCase{"{{if not .Value}}yes{{else}}no{{end}}", "no"},
           TextCase{"{{if eq .Value \"x\"}}1{{else if eq .Value \"y\" "
                    "\"real-secret\"}}2{{else}}3{{end}}",
                    "2"},
           TextCase{"{{if ne (len .Value) 11}}a{{end}}b", "b"},
           TextCase{"{{with .Value}}<{{.}}>{{end}}{{with \"\"}}x{{else}}{{.Value}}{{end}}",
                    "<real-secret>real-secret"},
           TextCase{"{{ and .Value \"b\" }}{{ or \"\" .Value }}", "breal-secret"},
           TextCase{"{{ or .Value (index .Value 99) }}", "real-secret"},
           TextCase{"{{ (base64 (print .Value)) }}", "cmVhbC1zZWNyZXQ="},
           TextCase{"{{\n.Value\n}}", "real-secret"},
           TextCase{"}} { {", "}} { {"},
       }) {
    const Formatter formatter("secrets[0]", at.text);
    const auto result = formatter.run(Secret::copy_of("real-secret"));
    ASSERT_TRUE(result.has_value()) << at.text << ": " << result.error().text;
    EXPECT_EQ(result->reveal(), at.expected) << at.text;
  }
}

TEST(Formatter, RefusesAtStart) {
  for (const TextCase& at : {
           TextCase{"{{ .Value", "1: unclosed action"},
           TextCase{"a\n{{ .Value", "2: unclosed action"},
           TextCase{"{{ foo }}", "1: function \"foo\" not defined"},
           TextCase{"{{}}", "1: missing value for command"},
           TextCase{"{{ .Value | }}", "1: missing value for command"},
           TextCase{"{{if}}x{{end}}", "1: missing value for if"},
           TextCase{"{{if .Value}}x", "1: unexpected EOF"},
           TextCase{"{{end}}", "1: unexpected {{end}}"},
           TextCase{"{{else}}", "1: unexpected {{else}}"},
           TextCase{"{{if .Value}}a{{else}}b{{else}}c{{end}}", "1: expected end; found {{else}}"},
           TextCase{"{{ \"a }}", "1: unterminated quoted string"},
           TextCase{"{{ `a }}", "1: unterminated raw quoted string"},
           TextCase{"{{/* a }}", "1: unclosed comment"},
           TextCase{"{{/* a */ b}}", "1: comment ends before closing delimiter"},
           TextCase{"{{ (.Value }}", "1: unclosed left paren"},
           TextCase{"{{ .Value) }}", "1: unexpected right paren"},
           TextCase{"{{ .Value | .Value }}", "1: non executable command in pipeline stage 2"},
           TextCase{"{{range .Value}}x{{end}}", "1: \"range\" is not supported"},
           TextCase{"{{ slice .Value 0 4 }}", "1: \"slice\" is not supported"},
           TextCase{"{{define \"x\"}}{{end}}", "1: \"define\" is not supported"},
           TextCase{"{{template \"x\"}}", "1: \"template\" is not supported"},
           TextCase{"{{ html .Value }}", "1: \"html\" is not supported"},
           TextCase{"{{ $x := .Value }}", "1: \"$\" is not supported"},
           TextCase{"{{ 1.5 }}", "1: \"1.5\" is not supported"},
           TextCase{"{{ 0x10 }}", "1: \"0x10\" is not supported"},
           TextCase{"{{ 'a' }}", "1: \"'\" is not supported"},
           TextCase{R"({{ printf "%x" .Value }})", "1: \"%x\" is not supported"},
           TextCase{"{{ printf .Value }}",
                    "1: \"printf without a literal format\" is not supported"},
           TextCase{R"({{ printf "%s" }})",
                    "1: \"printf with more or fewer values than verbs\" is not supported"},
       }) {
    try {
      const Formatter formatter("secrets[0]", at.text);
      FAIL() << at.text;
    } catch (const policy::ConfigError& error) {
      EXPECT_EQ(std::string(error.what()), std::string("template: secrets[0]:") + at.expected)
          << at.text;
    }
  }
}

TEST(Formatter, FailsWhileRunningWithoutShowingTheValue) {
  for (
      const TextCase& at : {
          TextCase{"{{ .Nope }}",
                   "1:3: executing \"secrets[0]\" at <.Nope>: can't evaluate field Nope in type "
                   "secrets.formatterData"},
          TextCase{"a\nb{{ .Nope }}",
                   "2:4: executing \"secrets[0]\" at <.Nope>: can't evaluate field Nope in type "
                   "secrets.formatterData"},
          TextCase{"{{with .Value}}{{.Value}}{{end}}",
                   "1:17: executing \"secrets[0]\" at <.Value>: can't evaluate field Value in type "
                   "string"},
          TextCase{"{{ base64 3 }}",
                   "1:3: executing \"secrets[0]\" at <base64>: wrong type for value; expected "
                   "string; got int"},
          TextCase{"{{ index .Value 40 }}",
                   "1:3: executing \"secrets[0]\" at <index>: error calling index: index out of "
                   "range: 40"},
          TextCase{"{{ eq .Value 1 }}",
                   "1:3: executing \"secrets[0]\" at <eq>: error calling eq: incompatible types "
                   "for comparison"},
          TextCase{
              "{{ .Value 1 }}",
              "1:3: executing \"secrets[0]\" at <.Value>: Value is not a method but has arguments"},
          TextCase{"{{ \"a\" 1 }}",
                   "1:3: executing \"secrets[0]\" at <\"a\">: can't give argument to non-function "
                   "\"a\""},
          TextCase{
              "{{ len }}",
              "1:3: executing \"secrets[0]\" at <len>: wrong number of args for len: want 1 got 0"},
      }) {
    const Formatter formatter("secrets[0]", at.text);
    const auto result = formatter.run(Secret::copy_of("real-secret"));
    ASSERT_FALSE(result.has_value()) << at.text;
    EXPECT_EQ(result.error().text, std::string("template: secrets[0]:") + at.expected);
  }
}

}  // namespace
}  // namespace iron::transforms

// A template is refused with a text or makes a bounded text; errors never show the value; what the
// documented grammar makes of a template is what comes out.
#include "transforms/formatter/formatter.h"

#include <algorithm>
#include <string>

#include "policy/config_error.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"

namespace iron::fuzz {
namespace {

constexpr const char* kValue = "key~of~the~fuzzer";

/// A template put together from pieces, and the text that docs/secrets.md, "Formatters" promises
/// for it.
void check_grammar(Cutter cutter) {
  std::string source, expected;
  const std::string value = "v+/\"\\`{{}}\xc3\xa9";
  const std::size_t pieces = cutter.up_to(12);
  bool trims = false;         // the piece before ended in `-}}`
  std::size_t run_begin = 0;  // in `expected`, of the text since the last action or comment
  const auto literal = [&](std::string text) {
    source += text;
    if (trims) text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.empty()) trims = false;
    expected += text;
  };
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::size_t piece = cutter.up_to(7);
    switch (piece) {
      case 0:
        literal("text ");
        break;
      case 1:
        literal(" { }} \n\t");
        break;
      case 2:
        source += "{{ .Value }}";
        expected += value;
        trims = false;
        break;
      case 3:
        source += "{{.Value|base64}}";
        expected += reference::base64(value);
        trims = false;
        break;
      case 4:
        source += "{{ base64 \"a:\" .Value `\\x` }}";
        expected += reference::base64("a:" + value + "\\x");
        trims = false;
        break;
      case 5:
        source += "{{- \"\\\"\\x41\\u00e9\" -}}";
        expected.erase(std::max(run_begin, expected.find_last_not_of(" \t\r\n") + 1));
        expected += "\"A\xc3\xa9";
        trims = true;
        break;
      case 6:
        source += "{{/* nothing }} */}}";
        trims = false;
        break;
      default:
        source += "{{ .Value | base64 | base64 \"x\" }}";
        expected += reference::base64("x" + reference::base64(value));
        trims = false;
        break;
    }
    if (piece > 1) run_begin = expected.size();
  }
  const transforms::Formatter formatter("secrets[0]", source);
  const auto made = formatter.run(Secret::copy_of(value));
  FUZZ_CHECK(made);
  FUZZ_CHECK(made->reveal() == expected);
}

void check_anything(std::string_view source) {
  try {
    const transforms::Formatter formatter("secrets[0]", source);
    const auto made = formatter.run(Secret::copy_of(kValue));
    if (!made) {
      FUZZ_CHECK(made.error().text.find(kValue) == std::string::npos);
      FUZZ_CHECK(made.error().text.starts_with("template: secrets[0]:"));
      return;
    }
    // Each character of the template adds at most the value, grown by base64 once per eight
    // characters or so.
    double most = 64;
    for (std::size_t i = 0; i < source.size(); i += 9) most *= 4.0 / 3;
    FUZZ_CHECK(static_cast<double>(made->size()) <= most * static_cast<double>(source.size() + 32));
  } catch (const policy::ConfigError& error) {
    FUZZ_CHECK(std::string_view(error.what()).starts_with("template: secrets[0]:"));
  }
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(formatter) {
  check_anything(input.substr(0, 400));
  check_grammar(Cutter(input));
}

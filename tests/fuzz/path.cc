// The path that policy judges is the path sent upstream, decoded exactly once; patterns match what
// a slow reading of docs/policy.md says; no dot segment passes.
#include "policy/path.h"

#include <string>

#include "policy/rules.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"
#include "transforms/rewrite.h"

FUZZ_TARGET(path) {
  using namespace iron;
  Cutter cutter(input.substr(0, 400));
  const bool has_query = cutter.flag();
  const std::string pattern(cutter.text());
  std::string raw(cutter.rest());
  if (has_query) raw = raw.substr(0, raw.find('?'));

  std::string path;
  const bool decodes = policy::percent_decode(raw, path);
  const auto expected = reference::decoded(raw);
  FUZZ_CHECK(decodes == expected.has_value());
  if (!decodes) return;
  FUZZ_CHECK(path == *expected);

  transforms::Exchange exchange;
  exchange.raw_path = raw;
  exchange.has_query = has_query;
  if (has_query) exchange.raw_query = "q=%zz";
  exchange.path = path;
  std::string target(transforms::target_bound(exchange), '\0');
  target.resize(
      static_cast<std::size_t>(transforms::write_target(exchange, target.data()) - target.data()));
  const std::string sent = raw.empty() ? "/" : raw;
  FUZZ_CHECK(target == (has_query ? sent + "?q=%zz" : sent));

  std::string kept;
  const bool separators = policy::decode_keeping_separators(raw, kept);
  const auto expected_kept = reference::decoded_but_separators(raw);
  FUZZ_CHECK(separators == (*expected_kept != *expected));
  if (separators) FUZZ_CHECK(kept == *expected_kept);

  FUZZ_CHECK(policy::has_dot_segments(path) == reference::has_dot_segments(path, false));
  FUZZ_CHECK(policy::has_dot_segments(path, policy::DotSegments::strict) ==
             reference::has_dot_segments(path, true));

  policy::Subject subject;
  subject.path = path;
  if (separators) subject.path_kept = kept;
  const bool matches = reference::path_matches(pattern, path) &&
                       (!separators || reference::path_matches(pattern, kept));
  FUZZ_CHECK(policy::path_matches(pattern, subject) == matches);
}

// The path that policy judges is the path sent upstream, decoded exactly once; patterns match what
// a slow reading of docs/policy.md says, in every reading of the path; no dot segment passes.
#include "policy/match/path.h"

#include <iterator>
#include <string>

#include "policy/match/rules.h"
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

  // What policy sees of it: every way in which an origin may read the path, or nothing.
  transforms::Exchange seen;
  seen.raw_path = raw;
  FUZZ_CHECK(seen.decode_path());
  FUZZ_CHECK(seen.path == path && seen.path_kept.has_value() == separators);
  FUZZ_CHECK(seen.refuses_dot_segments(policy::DotSegments::strict) ==
             reference::has_dot_segments(path, true));
  const std::string without_dots = reference::without_dots(raw);
  const std::string reduced = *reference::decoded(without_dots);
  const bool refused = seen.refuses_dot_segments(policy::DotSegments::plain);
  FUZZ_CHECK(refused == reference::has_dot_segments(reduced, false));
  if (refused) return;
  const std::string kept_reduced = *reference::decoded_but_separators(without_dots);
  FUZZ_CHECK(seen.path_reduced.value_or(path) == reduced);
  FUZZ_CHECK(!seen.path_reduced || seen.path_kept_reduced.value_or(reduced) == kept_reduced);
  policy::Rule rule;
  rule.paths = {pattern};
  std::size_t matching = 0;
  const std::string readings[] = {path, *expected_kept, reduced, kept_reduced};
  for (const std::string& reading : readings) matching += reference::path_matches(pattern, reading);
  FUZZ_CHECK(rule.admits(seen.subject()) == (matching == std::size(readings)));
  FUZZ_CHECK(rule.concerns(seen.subject()) == (matching > 0));
}

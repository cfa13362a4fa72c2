// The real values are in what leaves exactly where the tokens were in what came, in the place's own
// encoding, and nothing else changes. Compared with a slow reading of docs/secrets.md.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"
#include "tests/transforms/rig.h"

namespace iron::fuzz {
namespace {

using transforms::Rig;

struct Pair {
  std::string token, value;
};
/// The tokens can overlap: `token-one-two`. The values need every encoding.
const std::array<Pair, 2> kPairs = {Pair{"token-one", "Real+One/=&?#%;\"\\\xc3\xa9 <1>"},
                                    Pair{"one-two", "Real:Two,;~!$'()* @[]"}};

/// What a rig does.
struct Places {
  bool everywhere;  ///< all fields, else Authorization and X-Key
  bool query, path, body;
  bool two_transforms = false;  ///< an entry in each
  bool many = false;            ///< further entries, whose tokens never come
  bool injects = false;         ///< a field and a query parameter are put in, too
};
const std::array<Places, 6> kRigs = {Places{true, true, true, true},
                                     Places{false, false, false, false},
                                     Places{false, true, false, true},
                                     Places{true, true, true, true, true},
                                     Places{true, true, true, true, false, true},
                                     Places{true, true, true, true, false, false, true}};
constexpr std::string_view kInjected = "Injected 1+2%";

std::string entry_of(const Places& places, const std::string& variable, const std::string& token) {
  std::string yaml = "  - source: {type: env, var: " + variable + "}\n";
  yaml += "    rules: [{host: \"*\"}]\n    replace:\n      proxy_value: " + token + "\n";
  if (!places.everywhere) yaml += "      match_headers: [Authorization, x-KEY]\n";
  const auto flag = [&yaml](const char* key, bool on) {
    yaml += "      " + std::string(key) + ": " + (on ? "true\n" : "false\n");
  };
  flag("match_query", places.query);
  flag("match_path", places.path);
  flag("match_body", places.body);
  return yaml;
}

constexpr const char* kInjects =
    "  - source: {type: env, var: FUZZ_SWAP_2}\n    rules: [{host: \"*\"}]\n"
    "    inject: {header: X-Injected}\n"
    "  - source: {type: env, var: FUZZ_SWAP_2}\n    rules: [{host: \"*\"}]\n"
    "    inject: {query_param: inj}\n";

std::unique_ptr<Rig> make_rig(const Places& places) {
  auto rig = std::make_unique<Rig>(transforms::Env{{"FUZZ_SWAP_0", kPairs[0].value},
                                                   {"FUZZ_SWAP_1", kPairs[1].value},
                                                   {"FUZZ_SWAP_2", std::string(kInjected)}});
  std::string yaml = "\n" + entry_of(places, "FUZZ_SWAP_0", kPairs[0].token);
  if (places.two_transforms) {
    rig->secrets(yaml);
    yaml = "\n";
  }
  yaml += entry_of(places, "FUZZ_SWAP_1", kPairs[1].token);
  for (int i = 0; places.many && i < 6; ++i) {
    yaml += entry_of(places, "FUZZ_SWAP_2", "never-comes-" + std::to_string(i));
  }
  if (places.injects) yaml += kInjects;
  rig->secrets(yaml);
  rig->pipeline();
  return rig;
}

Rig& rig_of(std::size_t index) {
  static std::array<std::unique_ptr<Rig>, kRigs.size()> rigs;
  if (!rigs[index]) rigs[index] = make_rig(kRigs[index]);
  return *rigs[index];
}

/// A hit in a text: where, and of which pair.
struct Hit {
  std::size_t at, pair;
};

/// Left to right; where two begin together the earlier entry wins. `wanted`: pairs to look for.
std::vector<Hit> hits_in(std::string_view text, const std::vector<bool>& wanted) {
  std::vector<Hit> hits;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t step = 1;
    for (std::size_t pair = 0; pair < kPairs.size(); ++pair) {
      if (!wanted[pair] || !text.substr(at).starts_with(kPairs[pair].token)) continue;
      hits.push_back({at, pair});
      step = kPairs[pair].token.size();
      break;
    }
    at += step;
  }
  return hits;
}

/// `coded(hit)` is what is put in for a hit.
template <class Coded>
std::string swapped(std::string_view text, const std::vector<bool>& wanted, Coded coded) {
  std::string out;
  std::size_t from = 0;
  for (const Hit& hit : hits_in(text, wanted)) {
    out.append(text.substr(from, hit.at - from)).append(coded(hit));
    from = hit.at + kPairs[hit.pair].token.size();
  }
  return out.append(text.substr(from));
}

std::string swapped(std::string_view text, const std::vector<bool>& wanted = {true, true}) {
  return swapped(text, wanted, [](const Hit& hit) { return kPairs[hit.pair].value; });
}

std::string escaped(std::string_view text, std::string_view kept, bool blank_is_plus) {
  std::string out;
  for (const char c : text) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alnum || kept.find(c) != kept.npos) {
      out.push_back(c);
    } else if (c == ' ' && blank_is_plus) {
      out.push_back('+');
    } else {
      constexpr const char* kDigits = "0123456789ABCDEF";
      out.push_back('%');
      out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
    }
  }
  return out;
}

std::string expected_field(std::string_view name, std::string_view value, const Places& places) {
  const bool authorization = iequals(name, "Authorization");
  if (iequals(name, "Host")) return std::string(value);
  if (!places.everywhere && !authorization && !iequals(name, "x-key")) return std::string(value);
  if (authorization && value.size() > 6 && iequals(value.substr(0, 6), "Basic ")) {
    if (const auto decoded = reference::from_base64(value.substr(6))) {
      const std::string after = swapped(*decoded);
      if (after == *decoded) return std::string(value);
      return std::string(value.substr(0, 6)) + reference::base64(after);
    }
  }
  return swapped(value);
}

std::string expected_pair(std::string_view pair) {
  const std::size_t equals = pair.find('=');
  if (equals == pair.npos) return std::string(pair);
  std::vector<bool> wanted;
  for (const Pair& entry : kPairs) wanted.push_back(pair.find(entry.token) != pair.npos);
  const auto value = reference::decoded(reference::replaced(pair.substr(equals + 1), "+", " "));
  const auto key = reference::decoded(pair.substr(0, equals));
  if (!value || !key) return std::string(pair);
  const std::string after = swapped(*value, wanted);
  if (after == *value) return std::string(pair);
  return std::string(pair.substr(0, equals + 1)) + escaped(after, "-_.~", true);
}

std::string expected_query(std::string_view query) {
  std::string out;
  while (true) {
    const std::size_t end = query.find('&');
    out += expected_pair(query.substr(0, end));
    if (end == query.npos) return out;
    out.push_back('&');
    query.remove_prefix(end + 1);
  }
}

/// Content types; the body is one of these codings.
constexpr std::array<const char*, 4> kTypes = {nullptr, "text/plain",
                                               "Application/x-www-form-urlencoded ;a=b",
                                               "application/x+JSON; charset=utf-8"};

/// Whether the bytes from `begin` to `end` are within one JSON string.
bool in_string(std::string_view json, std::size_t begin, std::size_t end) {
  bool open = false;
  for (std::size_t at = 0; at < end; ++at) {
    if (open && json[at] == '\\') {
      ++at;
    } else if (json[at] == '"') {
      if (at >= begin) return false;
      open = !open;
    }
  }
  return open;
}

std::string expected_body(std::string_view body, std::size_t type) {
  return swapped(body, {true, true}, [&](const Hit& hit) {
    const Pair& pair = kPairs[hit.pair];
    if (type == 2) return escaped(pair.value, "-_.~", true);
    if (type < 3 || !in_string(body, hit.at, hit.at + pair.token.size())) return pair.value;
    return reference::replaced(reference::replaced(pair.value, "\\", "\\\\"), "\"", "\\\"");
  });
}

std::string expected_path(std::string_view raw) {
  // raw_at[i]: where in the raw path the i-th decoded byte begins.
  std::vector<std::size_t> raw_at;
  const std::string decoded = *reference::decoded(raw);
  for (std::size_t at = 0; at < raw.size(); at += raw[at] == '%' ? 3 : 1) raw_at.push_back(at);
  raw_at.push_back(raw.size());
  std::string out;
  std::size_t from = 0;
  for (const Hit& hit : hits_in(decoded, {true, true})) {
    out.append(raw.substr(from, raw_at[hit.at] - from));
    out += escaped(kPairs[hit.pair].value, "-_.~!$&'()*+,;=:@", false);
    from = raw_at[hit.at + kPairs[hit.pair].token.size()];
  }
  return out.append(raw.substr(from));
}

/// Whether `json` has this string; the end of a longer one, behind an escaped quote, is none.
bool has_string(std::string_view json, std::string_view quoted) {
  for (std::size_t at = json.find(quoted); at != json.npos; at = json.find(quoted, at + 1)) {
    if (at > 0 && json[at - 1] != '\\') return true;
  }
  return false;
}

bool names_injected(std::string_view part) {
  const std::string name = reference::replaced(part.substr(0, part.find('=')), "+", " ");
  return reference::decoded(name) == "inj";
}

/// A pair without those of its parts between semicolons that name the parameter. Where a value was
/// replaced the semicolons behind `=` are encoded, and a cut leaves the client's bytes.
std::string without_parts(std::string_view pair, std::string_view after) {
  const std::size_t limit = after == pair ? pair.size() : pair.find('=');
  std::string kept;
  bool first = true, cut = false;
  for (std::size_t at = 0; at <= pair.size();) {
    const std::size_t end = std::min(pair.find(';', at), pair.size());
    const std::string_view part = pair.substr(at, end - at);
    if (at <= limit && names_injected(part)) {
      cut = true;
    } else {
      if (!std::exchange(first, false)) kept.push_back(';');
      kept.append(part);
    }
    at = end + 1;
  }
  return cut ? kept : std::string(after);
}

/// The query after a parameter was put in: in place of its first pair, further ones go, or at the
/// end.
std::string injected_query(std::string_view client, std::string_view written) {
  std::string out;
  const bool empty = client.empty();
  bool placed = false, first = true;
  while (true) {
    // The rewrites keep the number of pairs, so both have the same borders.
    const std::string_view pair = client.substr(0, client.find('&'));
    const std::string_view after = written.substr(0, written.find('&'));
    const std::size_t equals = pair.find('=');
    const auto key = reference::decoded(reference::replaced(pair.substr(0, equals), "+", " "));
    if (key == "inj" && placed) {
      // dropped with its separator
    } else {
      if (!first) out.push_back('&');
      first = false;
      if (key == "inj") {
        out.append(pair.substr(0, equals)).append("=").append(escaped(kInjected, "-_.~", true));
        placed = true;
      } else {
        out.append(without_parts(pair, after));
      }
    }
    if (client.find('&') == client.npos) break;
    client.remove_prefix(client.find('&') + 1);
    written.remove_prefix(written.find('&') + 1);
  }
  if (placed) return out;
  if (!out.empty() || !empty) out.push_back('&');
  return out + "inj=" + escaped(kInjected, "-_.~", true);
}

bool clean(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos;
}

/// A request, as the input has it.
struct Sent {
  std::string path, query, body;
  bool has_query = false;
  std::vector<std::string> names, values;
  std::size_t type = 0;  ///< of kTypes
};

std::optional<Sent> read_request(Cutter& cutter) {
  Sent sent;
  sent.path = cutter.text(' ');
  sent.query = cutter.text('\n');
  if (sent.path.find_first_of("?# ") != std::string::npos) return std::nullopt;
  if (!sent.path.starts_with('/')) sent.path.insert(0, "/");
  if (!reference::decoded(sent.path) || !clean(sent.path) || !clean(sent.query))
    return std::nullopt;
  sent.has_query = cutter.flag();
  if (!sent.has_query) sent.query.clear();
  for (std::size_t i = cutter.up_to(3); i > 0; --i) {
    constexpr const char* kNames[] = {"Authorization", "x-key", "X-Other", "Host", "AUTHORIZATION"};
    sent.names.emplace_back(kNames[cutter.up_to(4)]);
    sent.values.emplace_back(cutter.text('\n'));
    if (!clean(sent.values.back())) return std::nullopt;
  }
  sent.type = cutter.up_to(kTypes.size() - 1);
  if (kTypes[sent.type] != nullptr) {
    sent.names.emplace_back("Content-Type");
    sent.values.emplace_back(kTypes[sent.type]);
  }
  sent.body = cutter.rest();
  return sent;
}

/// Whether fields left as they should; true if any was rewritten.
bool check_fields(const Rig& rig, const Sent& sent, const Places& places) {
  const std::vector<std::string> fields = rig.fields();
  FUZZ_CHECK(fields.size() == sent.names.size() + (places.injects ? 1 : 0));
  if (places.injects) FUZZ_CHECK(fields.back() == "X-Injected: " + std::string(kInjected));
  bool any = false;
  for (std::size_t i = 0; i < sent.names.size(); ++i) {
    const std::string expected = expected_field(sent.names[i], sent.values[i], places);
    FUZZ_CHECK(iequals(fields[i].substr(0, sent.names[i].size()), sent.names[i]));
    FUZZ_CHECK(fields[i].substr(sent.names[i].size()) == ": " + expected);
    any = any || expected != sent.values[i];
  }
  return any;
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(swap) {
  Cutter cutter(input.substr(0, 1000));
  const std::size_t which = cutter.up_to(kRigs.size() - 1);
  const Places& places = kRigs[which];
  // The input must not bring the values along.
  for (const Pair& pair : kPairs) {
    if (input.find(pair.value.substr(0, 4)) != input.npos) return;
  }
  if (input.find("never-comes") != input.npos) return;
  const auto sent = read_request(cutter);
  if (!sent) return;
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < sent->names.size(); ++i) {
    fields.push_back(sent->names[i] + ": " + sent->values[i]);
  }
  Rig& rig = rig_of(which);
  const std::string mark = sent->has_query ? "?" : "";
  rig.request("POST " + sent->path + mark + sent->query, fields);
  rig.body(sent->body);
  FUZZ_CHECK(rig.run() == Rig::Progress::done);

  const std::string path = places.path ? expected_path(sent->path) : sent->path;
  std::string query = places.query ? expected_query(sent->query) : sent->query;
  if (places.injects) query = injected_query(sent->query, query);
  FUZZ_CHECK(rig.target() == path + (places.injects ? "?" : mark) + query);
  const bool any_field = check_fields(rig, *sent, places);
  const std::string body = places.body ? expected_body(sent->body, sent->type) : sent->body;
  // A body that no entry asks for is streamed.
  if (places.body) FUZZ_CHECK(rig.sent_body() == body);

  std::string notes = rig.annotations();
  if (places.two_transforms) notes += rig.annotations(1);
  for (const Pair& pair : kPairs) FUZZ_CHECK(notes.find(pair.value) == notes.npos);
  FUZZ_CHECK(has_string(notes, "\"body\"") == (body != sent->body));
  FUZZ_CHECK(has_string(notes, "\"path\"") == (path != sent->path));
  if (places.injects) return;
  const bool any = any_field || path != sent->path || query != sent->query || body != sent->body;
  FUZZ_CHECK(has_string(notes, "\"swapped\"") == any);
}

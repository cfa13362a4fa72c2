#include "tests/fuzz/reference.h"

#include <algorithm>

#include "policy/match/ip_address.h"

namespace iron::fuzz::reference {
namespace {

constexpr char32_t kReplacement = 0xfffd;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The byte that `%XX` at the front of `text` stands for, or -1.
int escape_at(std::string_view text) {
  if (text.size() < 3 || text[0] != '%' || hex(text[1]) < 0 || hex(text[2]) < 0) return -1;
  return hex(text[1]) * 16 + hex(text[2]);
}

/// Length and value of the sequence at the front of `text`; length 1 with U+FFFD if it is none.
std::pair<std::size_t, char32_t> sequence_at(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {1, kReplacement};
  char32_t value = first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, kReplacement};
    value = value << 6 | (byte(i) & 0x3fU);
  }
  const char32_t least = size == 2 ? 0x80 : size == 3 ? 0x800 : 0x10000;
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    return {1, kReplacement};
  }
  return {size, value};
}

/// A character of a class, which a backslash may stand before. Nothing where the class is broken.
std::optional<char32_t> class_character(std::string_view& pattern) {
  if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') return std::nullopt;
  if (pattern[0] == '\\') pattern.remove_prefix(1);
  if (pattern.empty()) return std::nullopt;
  const auto [size, value] = sequence_at(pattern);
  if (size == 1 && value == kReplacement) return std::nullopt;
  pattern.remove_prefix(size);
  return value;
}

/// The class whose `[` has been taken.
std::optional<GlobPart> parse_class(std::string_view& pattern) {
  GlobPart part;
  part.kind = GlobPart::Kind::one_of;
  if (pattern.starts_with('^')) {
    part.kind = GlobPart::Kind::none_of;
    pattern.remove_prefix(1);
  }
  while (true) {
    if (pattern.starts_with(']') && !part.ranges.empty()) {
      pattern.remove_prefix(1);
      return part;
    }
    const auto low = class_character(pattern);
    if (!low) return std::nullopt;
    auto high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = class_character(pattern);
      if (!high) return std::nullopt;
    }
    part.ranges.emplace_back(*low, *high);
  }
}

/// How many bytes at the front of `text` the part takes; 0 if it does not match there.
std::size_t part_takes(const GlobPart& part, std::string_view text) {
  using Kind = GlobPart::Kind;
  if (text.empty()) return 0;
  if (part.kind == Kind::one) return text[0] == part.byte ? 1 : 0;
  const std::size_t size = sequence_at(text).first;
  const char32_t point = sequence_at(text).second;
  const bool listed = std::ranges::any_of(part.ranges, [point](const auto& range) {
    return range.first <= point && point <= range.second;
  });
  const bool matches = part.kind == Kind::any_one  ? point != '/'
                       : part.kind == Kind::one_of ? listed
                                                   : !listed;
  return matches ? size : 0;
}

/// Where the parts end if they match at the front of `text`.
std::optional<std::size_t> parts_take(const std::vector<GlobPart>& parts, std::string_view text) {
  std::size_t used = 0;
  for (const GlobPart& part : parts) {
    const std::size_t taken = part_takes(part, text.substr(used));
    if (taken == 0) return std::nullopt;
    used += taken;
  }
  return used;
}

void split_segments(std::string_view path, std::vector<std::string_view>& out) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/' && path[at] != '\\') continue;
    out.push_back(path.substr(begin, at - begin));
    begin = at + 1;
  }
}

}  // namespace

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> points;
  while (!text.empty()) {
    const auto [size, value] = sequence_at(text);
    points.push_back(value);
    text.remove_prefix(size);
  }
  return points;
}

std::optional<std::vector<std::vector<GlobPart>>> parse_glob(std::string_view pattern) {
  std::vector<std::vector<GlobPart>> chunks(1);
  while (!pattern.empty()) {
    const char c = pattern[0];
    pattern.remove_prefix(1);
    GlobPart part;
    if (c == '*') {
      chunks.emplace_back();
      continue;
    }
    if (c == '?') {
      part.kind = GlobPart::Kind::any_one;
    } else if (c == '[') {
      const auto made = parse_class(pattern);
      if (!made) return std::nullopt;
      part = *made;
    } else if (c == '\\') {
      if (pattern.empty()) return std::nullopt;
      part.byte = pattern[0];
      pattern.remove_prefix(1);
    } else {
      part.byte = c;
    }
    chunks.back().push_back(part);
  }
  return chunks;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  const auto chunks = parse_glob(pattern);
  if (!chunks) return false;
  for (std::size_t i = 0; i < chunks->size(); ++i) {
    const bool last = i + 1 == chunks->size();
    // What is behind a `*` matches at the first place that it can, the last part at the end.
    std::optional<std::size_t> used;
    std::size_t skipped = 0;
    for (;; ++skipped) {
      used = parts_take((*chunks)[i], text.substr(skipped));
      if (used && last && skipped + *used != text.size()) used.reset();
      if (used || i == 0 || skipped == text.size() || text[skipped] == '/') break;
    }
    if (!used) return false;
    text.remove_prefix(skipped + *used);
  }
  return true;
}

std::string folded(std::string_view host) {
  std::string out(host);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  if (!out.empty() && out.back() == '.') out.pop_back();
  return out;
}

bool host_matches(std::string_view pattern, std::string_view folded_host) {
  if (pattern == "*") return true;
  if (pattern.starts_with("*.")) {
    const std::string suffix = folded(pattern.substr(2));
    return folded_host == suffix || folded_host.ends_with("." + suffix);
  }
  if (pattern.starts_with("[") && pattern.ends_with("]")) {
    const std::string_view inner = pattern.substr(1, pattern.size() - 2);
    const bool colon = inner.find(':') != inner.npos;
    if (colon && policy::IpAddress::parse(inner)) return folded(inner) == folded_host;
  }
  std::string text = folded(pattern);
  // A final dot goes together with the backslash that escapes it.
  const bool dotted = text.size() < pattern.size();
  const std::size_t slashes = text.size() - (text.find_last_not_of('\\') + 1);
  if (dotted && slashes % 2 == 1) text.pop_back();
  return glob_matches(text, folded_host);
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int byte = escape_at(text.substr(at));
    if (text[at] == '%' && byte < 0) return std::nullopt;
    out.push_back(byte >= 0 ? static_cast<char>(byte) : text[at]);
    if (byte >= 0) at += 2;
  }
  return out;
}

std::string decoded_leniently(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int byte = escape_at(text.substr(at));
    out.push_back(byte >= 0 ? static_cast<char>(byte) : text[at]);
    if (byte >= 0) at += 2;
  }
  return out;
}

std::optional<std::string> decoded_but_separators(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int byte = escape_at(text.substr(at));
    if (text[at] == '%' && byte < 0) return std::nullopt;
    if (byte == '/') {
      out += "%2F";
    } else if (byte == '\\') {
      out += "%5C";
    } else {
      out.push_back(byte >= 0 ? static_cast<char>(byte) : text[at]);
    }
    if (byte >= 0) at += 2;
  }
  return out;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  if (pattern.ends_with("/*")) {
    const std::string_view before = pattern.substr(0, pattern.size() - 2);
    return path == before || (path.starts_with(before) && path[before.size()] == '/');
  }
  return glob_matches(pattern, path);
}

bool has_dot_segments(std::string_view decoded_path, bool strict) {
  const std::string again = decoded_leniently(decoded_path);
  std::vector<std::string_view> segments;
  split_segments(decoded_path, segments);
  split_segments(again, segments);
  return std::ranges::any_of(segments, [strict](std::string_view segment) {
    if (strict) segment = segment.substr(0, segment.find(';'));
    return segment == "." || segment == "..";
  });
}

std::string without_dots(std::string_view raw_path) {
  std::string out;
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = raw_path.find('/', begin);
    const bool last = slash == std::string_view::npos;
    const std::string_view segment =
        raw_path.substr(begin, last ? std::string_view::npos : slash - begin);
    const bool dropped = begin > 0 && segment == ".";
    if (!dropped) out += segment;
    if (last) return out;
    if (!dropped) out += '/';
    begin = slash + 1;
  }
}

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    const std::size_t used = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 4; ++i) {
      out.push_back(i <= used ? kAlphabet[group >> (18 - 6 * i) & 63U] : '=');
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string out;
  if (text.size() % 4 != 0) return std::nullopt;
  for (std::size_t at = 0; at < text.size(); at += 4) {
    unsigned group = 0;
    std::size_t pads = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t value = kAlphabet.find(text[at + i]);
      const bool pad = text[at + i] == '=' && at + 4 == text.size() && i >= 2;
      if (pads > 0 && !pad) return std::nullopt;
      if (pad) ++pads;
      if (!pad && value == kAlphabet.npos) return std::nullopt;
      group = group << 6 | (pad ? 0U : static_cast<unsigned>(value));
    }
    for (std::size_t i = 0; i < 3 - pads; ++i) {
      out.push_back(static_cast<char>(group >> (16 - 8 * i) & 0xffU));
    }
  }
  return out;
}

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what)) {
    out.append(text.substr(0, at)).append(with);
    text.remove_prefix(at + what.size());
  }
  return out.append(text);
}

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

}  // namespace iron::fuzz::reference

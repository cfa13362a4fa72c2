#include "policy/match/path.h"

#include <algorithm>
#include <utility>

#include "policy/hex.h"

namespace iron::policy {
namespace {

/// The byte that the escape at `i` stands for; negative if it is none.
int escape_at(std::string_view text, std::size_t i) {
  if (i + 2 >= text.size()) return -1;
  const int high = hex_value(text[i + 1]);
  const int low = hex_value(text[i + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

enum class BadEscape { fails, stays };
enum class Separators { decoded, kept };

bool decode(std::string_view raw, std::string& out, BadEscape bad, Separators separators) {
  out.clear();
  std::size_t done = 0;
  while (true) {
    const std::size_t percent = raw.find('%', done);
    out.append(raw, done, percent == std::string_view::npos ? percent : percent - done);
    if (percent == std::string_view::npos) return true;
    const int byte = escape_at(raw, percent);
    if (byte < 0) {
      if (bad == BadEscape::fails) return false;
      out += '%';
      done = percent + 1;
      continue;
    }
    const bool separator = byte == '/' || byte == '\\';
    if (separator && separators == Separators::kept) {
      out += byte == '/' ? "%2F" : "%5C";
    } else {
      out += static_cast<char>(byte);
    }
    done = percent + 3;
  }
}

bool holds_encoded_separator(std::string_view raw) {
  for (std::size_t i = raw.find('%'); i != std::string_view::npos; i = raw.find('%', i + 1)) {
    const int byte = escape_at(raw, i);
    if (byte == '/' || byte == '\\') return true;
  }
  return false;
}

bool is_separator(char c) { return c == '/' || c == '\\'; }

bool segment_ends(std::string_view path, std::size_t i, DotSegments kind) {
  return i == path.size() || is_separator(path[i]) ||
         (kind == DotSegments::strict && path[i] == ';');
}

}  // namespace

bool percent_decode(std::string_view raw, std::string& out) {
  return decode(raw, out, BadEscape::fails, Separators::decoded);
}

bool decode_keeping_separators(std::string_view raw, std::string& out) {
  if (!holds_encoded_separator(raw)) return false;
  std::string kept;
  if (!decode(raw, kept, BadEscape::fails, Separators::kept)) return false;
  out = std::move(kept);
  return true;
}

bool is_dot_segment(std::string_view path, std::size_t i) {
  return i > 0 && path[i] == '.' && path[i - 1] == '/' &&
         (i + 1 == path.size() || path[i + 1] == '/');
}

bool remove_dot_segments(std::string_view raw, std::string& out) {
  std::string reduced;
  std::size_t done = 0;
  for (std::size_t i = raw.find('.'); i != std::string_view::npos; i = raw.find('.', i + 1)) {
    if (!is_dot_segment(raw, i)) continue;
    reduced.append(raw, done, i - done);
    done = std::min(i + 2, raw.size());
  }
  if (done == 0) return false;
  reduced.append(raw, done);
  out = std::move(reduced);
  return true;
}

bool shows_dot_segments(std::string_view path, DotSegments kind) {
  for (std::size_t i = path.find('.'); i != std::string_view::npos; i = path.find('.', i + 1)) {
    if (i != 0 && !is_separator(path[i - 1])) continue;
    const bool two = i + 1 < path.size() && path[i + 1] == '.';
    if (segment_ends(path, two ? i + 2 : i + 1, kind)) return true;
  }
  return false;
}

bool has_dot_segments(std::string_view decoded, DotSegments kind) {
  if (shows_dot_segments(decoded, kind)) return true;
  if (decoded.find('%') == std::string_view::npos) return false;
  std::string again;
  decode(decoded, again, BadEscape::stays, Separators::decoded);
  return shows_dot_segments(again, kind);
}

}  // namespace iron::policy

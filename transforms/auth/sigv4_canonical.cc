#include "transforms/auth/sigv4_canonical.h"

#include <algorithm>
#include <array>
#include <vector>

#include "policy/hex.h"
#include "policy/http_message.h"

namespace iron::transforms {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";

constexpr bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool blank(char c) { return c == ' ' || c == '\t'; }

void encode(char c, const TextSink& sink) {
  const auto byte = static_cast<unsigned char>(c);
  const char escape[] = {'%', kHex[byte >> 4], kHex[byte & 15]};
  sink({escape, sizeof escape});
}

/// The bytes of a part of a query in the spelling of AWS, one after the other: sorting and writing
/// need no copy.
class CanonicalBytes {
 public:
  explicit CanonicalBytes(std::string_view raw) : raw_(raw) {}

  /// False at the end.
  bool next(char& out) {
    if (waiting_ > 0) {
      out = digits_[2 - waiting_--];
      return true;
    }
    if (at_ == raw_.size()) return false;
    const char byte = decoded();
    out = unreserved(byte) ? byte : '%';
    if (out != '%') return true;
    digits_ = {kHex[static_cast<unsigned char>(byte) >> 4], kHex[byte & 15]};
    waiting_ = 2;
    return true;
  }

 private:
  char decoded() {
    const char c = raw_[at_++];
    if (c == '+') return ' ';
    if (c != '%' || raw_.size() - at_ < 2) return c;
    const int high = policy::hex_value(raw_[at_]), low = policy::hex_value(raw_[at_ + 1]);
    if (high < 0 || low < 0) return c;
    at_ += 2;
    return static_cast<char>(high << 4 | low);
  }

  std::string_view raw_;
  std::size_t at_ = 0;
  std::array<char, 2> digits_{};
  unsigned waiting_ = 0;
};

int compare(std::string_view left, std::string_view right) {
  CanonicalBytes lefts(left), rights(right);
  while (true) {
    char a = 0, b = 0;
    const bool more_left = lefts.next(a), more_right = rights.next(b);
    if (!more_left || !more_right) return int{more_left} - int{more_right};
    if (a != b) return a < b ? -1 : 1;
  }
}

struct Parameter {
  std::string_view name, value;
};

std::vector<Parameter> parameters_of(std::string_view query) {
  std::vector<Parameter> all;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    all.push_back({pair.substr(0, equals), pair.substr(std::min(pair.size(), equals + 1))});
  }
  return all;
}

void write(std::string_view raw, const TextSink& sink) {
  CanonicalBytes bytes(raw);
  for (char c = 0; bytes.next(c);) sink({&c, 1});
}

/// Segments without empty ones, `.` and `..`.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> kept;
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), segment.size() + 1));
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  return kept;
}

void write_lower(std::string_view name, const TextSink& sink) {
  for (const char c : name) {
    const char small = lower(c);
    sink({&small, 1});
  }
}

/// Without outer blanks; each run of inner ones is one blank.
void write_value(std::string_view value, const TextSink& sink) {
  bool first = true;
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t from = at;
    while (at < value.size() && blank(value[at]) == blank(value[from])) ++at;
    if (blank(value[from])) continue;
    if (!first) sink(" ");
    sink(value.substr(from, at - from));
    first = false;
  }
}

}  // namespace

void canonical_path(std::string_view path, bool s3_family, const TextSink& sink) {
  if (path.empty()) return sink("/");
  if (s3_family) return sink(path);
  const auto segments = segments_of(path);
  for (const std::string_view segment : segments) {
    sink("/");
    for (const char c : segment) unreserved(c) ? sink({&c, 1}) : encode(c, sink);
  }
  if (segments.empty() || path.ends_with('/') || path.ends_with("/.") || path.ends_with("/.."))
    sink("/");
}

void canonical_query(std::string_view query, const TextSink& sink) {
  auto parameters = parameters_of(query);
  std::sort(parameters.begin(), parameters.end(), [](const auto& left, const auto& right) {
    const int names = compare(left.name, right.name);
    return names != 0 ? names < 0 : compare(left.value, right.value) < 0;
  });
  bool first = true;
  for (const Parameter& parameter : parameters) {
    if (!first) sink("&");
    write(parameter.name, sink);
    sink("=");
    write(parameter.value, sink);
    first = false;
  }
}

void canonical_fields(std::span<const SignedField> fields, const TextSink& sink) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool again = i > 0 && iequals(fields[i].name, fields[i - 1].name);
    if (!again) {
      if (i > 0) sink("\n");
      write_lower(fields[i].name, sink);
    }
    sink(again ? "," : ":");
    write_value(fields[i].value, sink);
  }
  if (!fields.empty()) sink("\n");
}

void canonical_names(std::span<const SignedField> fields, const TextSink& sink) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0 && iequals(fields[i].name, fields[i - 1].name)) continue;
    if (i > 0) sink(";");
    write_lower(fields[i].name, sink);
  }
}

bool name_before(std::string_view left, std::string_view right) {
  return std::lexicographical_compare(
      left.begin(), left.end(), right.begin(), right.end(), [](char a, char b) {
        return static_cast<unsigned char>(lower(a)) < static_cast<unsigned char>(lower(b));
      });
}

}  // namespace iron::transforms

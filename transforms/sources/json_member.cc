#include "transforms/sources/json_member.h"

#include "policy/hex.h"
#include "policy/utf8.h"

namespace iron::transforms {
namespace {

constexpr int kMaxDepth = 1000;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// `\uXXXX` at `raw[at]` (the backslash): the code unit; `at` moves behind it.
std::uint32_t read_unit(std::string_view raw, std::size_t& at) {
  std::uint32_t unit = 0;
  for (std::size_t i = at + 2; i < at + 6; ++i) {
    unit = unit << 4 | static_cast<std::uint32_t>(policy::hex_value(raw[i]));
  }
  at += 6;
  return unit;
}

/// An escaped code point, surrogate pairs joined; a lone surrogate becomes U+FFFD.
template <class Sink>
void emit_unicode_escape(std::string_view raw, std::size_t& at, Sink sink) {
  std::uint32_t point = read_unit(raw, at);
  if (point >= 0xD800 && point < 0xE000) {
    std::size_t behind = at;
    const bool pair = point < 0xDC00 && raw.substr(at).starts_with("\\u");
    const std::uint32_t low = pair ? read_unit(raw, behind) : 0;
    if (low >= 0xDC00 && low < 0xE000) {
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
      at = behind;
    } else {
      point = 0xFFFD;
    }
  }
  policy::encode_utf8(point, sink);
}

char simple_escape(char letter) {
  switch (letter) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return letter;
  }
}

/// Feeds the bytes that a valid raw JSON string stands for; bytes that are no UTF-8 become U+FFFD.
template <class Sink>
void unescape(std::string_view raw, Sink sink) {
  for (std::size_t at = 0; at < raw.size();) {
    if (raw[at] == '\\' && raw[at + 1] == 'u') {
      emit_unicode_escape(raw, at, sink);
    } else if (raw[at] == '\\') {
      sink(simple_escape(raw[at + 1]));
      at += 2;
    } else if (const std::size_t length = policy::utf8_sequence(raw.substr(at)); length > 0) {
      for (const char c : raw.substr(at, length)) sink(c);
      at += length;
    } else {
      for (const char c : kReplacement) sink(c);
      ++at;
    }
  }
}

bool stands_for(std::string_view raw, std::string_view text) {
  std::size_t matched = 0;
  bool same = true;
  unescape(raw, [&](char c) {
    same = same && matched < text.size() && text[matched] == c;
    ++matched;
  });
  return same && matched == text.size();
}

/// Validates one JSON text (RFC 8259) and notes where the wanted member of the outermost object
/// stands.
class Scanner {
 public:
  Scanner(std::string_view text, std::string_view key) : text_(text), key_(key) {}

  /// The raw string of the last member with that key; nothing on any fault.
  std::optional<std::string_view> find() {
    skip_blanks();
    if (!object(0)) return std::nullopt;
    skip_blanks();
    return at_ == text_.size() ? found_ : std::nullopt;
  }

 private:
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') ++at_;
  }
  bool digits() {
    const std::size_t from = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > from;
  }

  bool object(int depth) {
    if (depth > kMaxDepth || !take('{')) return false;
    skip_blanks();
    if (take('}')) return true;
    while (true) {
      skip_blanks();
      const auto key = string();
      skip_blanks();
      if (!key || !take(':')) return false;
      skip_blanks();
      const auto text = peek() == '"' ? string() : std::nullopt;
      if (!text && !value(depth)) return false;
      if (depth == 0 && stands_for(*key, key_)) found_ = text;
      skip_blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool array(int depth) {
    if (depth > kMaxDepth || !take('[')) return false;
    skip_blanks();
    if (take(']')) return true;
    while (true) {
      skip_blanks();
      if (!value(depth)) return false;
      skip_blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  bool value(int depth) {
    switch (peek()) {
      case '{':
        return object(depth + 1);
      case '[':
        return array(depth + 1);
      case '"':
        return string().has_value();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool word(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }

  std::optional<std::string_view> string() {
    if (!take('"')) return std::nullopt;
    const std::size_t from = at_;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') return text_.substr(from, at_++ - from);
      if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
      if (c == '\\' && !escape()) return std::nullopt;
    }
    return std::nullopt;
  }

  /// At a backslash; leaves `at_` on the last byte of the escape.
  bool escape() {
    ++at_;
    if (peek() != 'u')
      return at_ < text_.size() &&
             std::string_view("\"\\/bfnrt").find(peek()) != std::string_view::npos;
    for (int i = 0; i < 4; ++i) {
      ++at_;
      if (policy::hex_value(peek()) < 0) return false;
    }
    return true;
  }

  std::string_view text_, key_;
  std::size_t at_ = 0;
  std::optional<std::string_view> found_;
};

}  // namespace

std::optional<Secret> json_string_member(const Secret& text, std::string_view key) {
  const auto raw = Scanner(text.reveal(), key).find();
  if (!raw) return std::nullopt;
  std::size_t size = 0;
  unescape(*raw, [&](char) { ++size; });
  Secret value = Secret::sized(size);
  std::size_t at = 0;
  unescape(*raw, [&](char c) { value.writable()[at++] = c; });
  return value;
}

}  // namespace iron::transforms

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

/// Validates one JSON text (RFC 8259) and tells what stands directly inside of its outermost object
/// or array.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// The whole text as one value; nothing on any fault. `member(raw_key, part)` is called for each
  /// member, `element(part)` for each element of the outermost value.
  template <class Member, class Element>
  std::optional<JsonPart> read(Member member, Element element) {
    skip_blanks();
    const std::size_t from = at_;
    bool good = false;
    JsonPart whole;
    if (peek() == '{') {
      whole.kind = JsonPart::Kind::object;
      good = object(0, member);
    } else if (peek() == '[') {
      whole.kind = JsonPart::Kind::array;
      good = array(0, element);
    } else if (const auto part = value(0)) {
      whole = *part;
      good = true;
    }
    if (whole.kind == JsonPart::Kind::object || whole.kind == JsonPart::Kind::array)
      whole.raw = text_.substr(from, at_ - from);
    skip_blanks();
    if (!good || at_ != text_.size()) return std::nullopt;
    return whole;
  }

 private:
  using Kind = JsonPart::Kind;

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

  template <class Member>
  bool object(int depth, Member member) {
    if (depth > kMaxDepth || !take('{')) return false;
    skip_blanks();
    if (take('}')) return true;
    while (true) {
      skip_blanks();
      const auto key = string();
      skip_blanks();
      if (!key || !take(':')) return false;
      skip_blanks();
      const auto part = value(depth);
      if (!part) return false;
      member(*key, *part);
      skip_blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  template <class Element>
  bool array(int depth, Element element) {
    if (depth > kMaxDepth || !take('[')) return false;
    skip_blanks();
    if (take(']')) return true;
    while (true) {
      skip_blanks();
      const auto part = value(depth);
      if (!part) return false;
      element(*part);
      skip_blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  std::optional<JsonPart> value(int depth) {
    const std::size_t from = at_;
    const auto part = [&](bool good, Kind kind) -> std::optional<JsonPart> {
      if (!good) return std::nullopt;
      return JsonPart{kind, text_.substr(from, at_ - from)};
    };
    switch (peek()) {
      case '{':
        return part(object(depth + 1, [](std::string_view, const JsonPart&) {}), Kind::object);
      case '[':
        return part(array(depth + 1, [](const JsonPart&) {}), Kind::array);
      case '"': {
        const auto text = string();
        if (!text) return std::nullopt;
        return JsonPart{Kind::string, *text};
      }
      case 't':
        return part(word("true"), Kind::boolean);
      case 'f':
        return part(word("false"), Kind::boolean);
      case 'n':
        return part(word("null"), Kind::null);
      default:
        return part(number(), Kind::number);
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

  std::string_view text_;
  std::size_t at_ = 0;
};

constexpr auto kNoMember = [](std::string_view, const JsonPart&) {};
constexpr auto kNoElement = [](const JsonPart&) {};

}  // namespace

std::optional<JsonPart> json_document(std::string_view text) {
  return Scanner(text).read(kNoMember, kNoElement);
}

std::optional<JsonPart> json_member(const JsonPart& object, std::string_view key) {
  std::optional<JsonPart> found;
  if (object.kind != JsonPart::Kind::object) return found;
  const auto take = [&](std::string_view name, const JsonPart& part) {
    if (stands_for(name, key)) found = part;
  };
  if (!Scanner(object.raw).read(take, kNoElement)) return std::nullopt;
  return found;
}

std::vector<JsonPart> json_elements(const JsonPart& array) {
  std::vector<JsonPart> all;
  if (array.kind != JsonPart::Kind::array) return all;
  Scanner(array.raw).read(kNoMember, [&](const JsonPart& part) { all.push_back(part); });
  return all;
}

Secret json_text(const JsonPart& string) {
  std::size_t size = 0;
  unescape(string.raw, [&](char) { ++size; });
  Secret value = Secret::sized(size);
  std::size_t at = 0;
  unescape(string.raw, [&](char c) { value.writable()[at++] = c; });
  return value;
}

bool json_text_is(const JsonPart& string, std::string_view text) {
  return string.kind == JsonPart::Kind::string && stands_for(string.raw, text);
}

std::optional<Secret> json_string_member(const Secret& text, std::string_view key) {
  const auto document = json_document(text.reveal());
  const auto member = document ? json_member(*document, key) : std::nullopt;
  if (!member || member->kind != JsonPart::Kind::string) return std::nullopt;
  return json_text(*member);
}

}  // namespace iron::transforms

#include "transforms/sources/secret_json.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "policy/hex.h"
#include "policy/utf8.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t", kLetters = "\"\\/bfnrt";

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
void emit_unicode_escape(std::string_view raw, std::size_t& at, Sink&& sink) {
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

/// Feeds the bytes that a valid string stands for, which `raw` has between its quotes.
template <class Sink>
void unescape(std::string_view raw, Sink&& sink) {
  for (std::size_t at = 0; at < raw.size();) {
    if (raw[at] == '\\' && raw[at + 1] == 'u') {
      emit_unicode_escape(raw, at, sink);
    } else if (raw[at] == '\\') {
      sink(kMeant[kLetters.find(raw[at + 1])]);
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

std::string_view inside(std::string_view quoted) { return quoted.substr(1, quoted.size() - 2); }

/// Writes the bytes of a text as those of a JSON string.
template <class Sink>
class StringWriter {
 public:
  explicit StringWriter(Sink& sink) : sink_(sink) {}

  void put(char c) {
    // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
    if (held_ == 2 && (c == '\xA8' || c == '\xA9')) {
      held_ = 0;
      return unit(c == '\xA8' ? 0x2028 : 0x2029);
    }
    if (held_ == 1 && c == '\x80') {
      held_ = 2;
      return;
    }
    end();
    if (c == '\xE2') {
      held_ = 1;
      return;
    }
    plain(c);
  }
  void end() {
    const std::string_view held = std::string_view("\xE2\x80").substr(0, std::exchange(held_, 0U));
    for (const char c : held) sink_(c);
  }

 private:
  void plain(char c) {
    const std::size_t letter = c == '/' ? std::string_view::npos : kMeant.find(c);
    if (letter != std::string_view::npos) {
      sink_('\\');
      sink_(kLetters[letter]);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
      unit(static_cast<unsigned char>(c));
    } else {
      sink_(c);
    }
  }
  void unit(unsigned value) {
    sink_('\\');
    sink_('u');
    for (int shift = 12; shift >= 0; shift -= 4) sink_("0123456789abcdef"[value >> shift & 15]);
  }

  Sink& sink_;
  unsigned held_ = 0;
};

template <class Sink>
void write_string(const SecretJson& value, Sink& sink) {
  sink('"');
  StringWriter<Sink> writer(sink);
  unescape(inside(value.raw()), [&](char c) { writer.put(c); });
  writer.end();
  sink('"');
}

/// Names tell what a secret is for and are none.
std::string name_of(const SecretJson::Member& member) {
  std::string name;
  unescape(inside(member.name.raw()), [&](char c) { name += c; });
  return name;
}

/// Sorted, of equal names the last.
std::map<std::string, SecretJson::Member> by_name(const SecretJson& object) {
  std::map<std::string, SecretJson::Member> out;
  for (const SecretJson::Member& member : object.members()) {
    out.insert_or_assign(name_of(member), member);
  }
  return out;
}

template <class Sink>
void write_value(const SecretJson& value, Sink& sink) {
  bool first = true;
  const auto separate = [&] {
    if (!std::exchange(first, false)) sink(',');
  };
  switch (value.kind()) {
    case SecretJson::Kind::string:
      return write_string(value, sink);
    case SecretJson::Kind::object:
      sink('{');
      for (const auto& [name, member] : by_name(value)) {
        separate();
        write_string(member.name, sink);
        sink(':');
        write_value(member.value, sink);
      }
      return sink('}');
    case SecretJson::Kind::array:
      sink('[');
      for (const SecretJson& element : value.elements()) {
        separate();
        write_value(element, sink);
      }
      return sink(']');
    default:
      for (const char c : value.raw()) sink(c);
  }
}

/// What `feed` gives to its sink, in memory of just that size.
template <class Feed>
Secret collected(Feed feed) {
  std::size_t size = 0;
  const auto count = [&](char) { ++size; };
  feed(count);
  Secret out = Secret::sized(size);
  std::size_t at = 0;
  const auto write = [&](char c) { out.writable()[at++] = c; };
  feed(write);
  return out;
}

}  // namespace

/// Steps through a text, which it checks on the way.
class SecretJsonScanner {
 public:
  explicit SecretJsonScanner(std::string_view text, int depth = SecretJson::kDeepest)
      : text_(text), deepest_(depth) {}

  std::optional<SecretJson> document() {
    skip_blanks();
    const std::size_t from = at_;
    if (!value(0)) return std::nullopt;
    const SecretJson whole(text_.substr(from, at_ - from));
    skip_blanks();
    if (at_ != text_.size()) return std::nullopt;
    return whole;
  }

  /// `each(name, value)`; false on a fault.
  template <class Each>
  bool object(int depth, Each each) {
    if (depth > deepest_ || !take('{')) return false;
    skip_blanks();
    if (take('}')) return true;
    while (true) {
      skip_blanks();
      const std::size_t name = at_;
      if (!string()) return false;
      const std::size_t behind_name = at_;
      skip_blanks();
      if (!take(':')) return false;
      skip_blanks();
      const std::size_t from = at_;
      if (!value(depth)) return false;
      each(SecretJson(text_.substr(name, behind_name - name)),
           SecretJson(text_.substr(from, at_ - from)));
      skip_blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  template <class Each>
  bool array(int depth, Each each) {
    if (depth > deepest_ || !take('[')) return false;
    skip_blanks();
    if (take(']')) return true;
    while (true) {
      skip_blanks();
      const std::size_t from = at_;
      if (!value(depth)) return false;
      each(SecretJson(text_.substr(from, at_ - from)));
      skip_blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
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

  bool value(int depth) {
    switch (peek()) {
      case '{':
        return object(depth + 1, [](const SecretJson&, const SecretJson&) {});
      case '[':
        return array(depth + 1, [](const SecretJson&) {});
      case '"':
        return string();
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

  bool string() {
    if (!take('"')) return false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !escape()) return false;
    }
    return false;
  }

  /// At a backslash; leaves `at_` on the last byte of the escape.
  bool escape() {
    ++at_;
    if (peek() != 'u') {
      return at_ < text_.size() && kLetters.find(peek()) != std::string_view::npos;
    }
    for (int i = 0; i < 4; ++i) {
      ++at_;
      if (policy::hex_value(peek()) < 0) return false;
    }
    return true;
  }

  std::string_view text_;
  const int deepest_;
  std::size_t at_ = 0;
};

std::optional<SecretJson> SecretJson::parse(std::string_view text, int depth) {
  return SecretJsonScanner(text, depth).document();
}

SecretJson::Kind SecretJson::kind() const {
  switch (raw_.front()) {
    case '{':
      return Kind::object;
    case '[':
      return Kind::array;
    case '"':
      return Kind::string;
    case 't':
    case 'f':
      return Kind::boolean;
    case 'n':
      return Kind::null;
    default:
      return Kind::number;
  }
}

bool SecretJson::is(std::string_view text) const {
  if (kind() != Kind::string) return false;
  std::size_t matched = 0;
  bool same = true;
  unescape(inside(raw_), [&](char c) {
    same = same && matched < text.size() && text[matched] == c;
    ++matched;
  });
  return same && matched == text.size();
}

Secret SecretJson::text() const {
  if (kind() != Kind::string) return {};
  return collected([this](auto& sink) { unescape(inside(raw_), sink); });
}

std::optional<SecretJson> SecretJson::member(std::string_view name) const {
  std::optional<SecretJson> found;
  SecretJsonScanner(raw_).object(0, [&](const SecretJson& each, const SecretJson& value) {
    if (each.is(name)) found = value;
  });
  return found;
}

std::optional<SecretJson> SecretJson::string(std::string_view name) const {
  auto found = member(name);
  if (found && found->kind() != Kind::string) found.reset();
  return found;
}

std::vector<SecretJson::Member> SecretJson::members() const {
  std::vector<Member> out;
  SecretJsonScanner(raw_).object(
      0, [&](const SecretJson& name, const SecretJson& value) { out.push_back({name, value}); });
  return out;
}

std::vector<SecretJson> SecretJson::elements() const {
  std::vector<SecretJson> out;
  SecretJsonScanner(raw_).array(0, [&](const SecretJson& value) { out.push_back(value); });
  return out;
}

Secret SecretJson::compact() const {
  return collected([this](auto& sink) { write_value(*this, sink); });
}

}  // namespace iron::transforms

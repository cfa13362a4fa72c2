#include "transforms/formatter/formatter_scanner.h"

#include <algorithm>
#include <charconv>

#include "policy/config_error.h"
#include "policy/hex.h"
#include "policy/quote.h"
#include "policy/utf8.h"

namespace iron::transforms::formatter {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kUnterminated = "unterminated quoted string";

bool is_blank(char c) { return c != '\0' && kBlanks.find(c) != std::string_view::npos; }
bool is_word(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void Scanner::fail(std::size_t position, const std::string& what) const {
  const std::string_view before = source_.substr(0, position);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  throw policy::ConfigError("template: " + name_ + ":" + std::to_string(line) + ": " + what);
}

void Scanner::refuse(std::size_t position, std::string_view what) const {
  fail(position, policy::quoted(what) + " is not supported");
}

Token Scanner::next() { return in_action_ ? inside() : text(); }

Token Scanner::take(Token token, Token::Kind kind, std::size_t length) {
  token.kind = kind;
  token.source = rest().substr(0, length);
  at_ += length;
  return token;
}

Token Scanner::text() {
  if (trim_) {
    at_ = std::min(source_.find_first_not_of(kBlanks, at_), source_.size());
    trim_ = false;
  }
  const std::size_t open = std::min(source_.find("{{", at_), source_.size());
  if (open == at_) return left();
  Token token;
  token.position = at_;
  std::string_view run = source_.substr(at_, open - at_);
  const bool trims =
      open + 3 < source_.size() && source_[open + 2] == '-' && is_blank(source_[open + 3]);
  if (trims) {
    const std::size_t last = run.find_last_not_of(kBlanks);
    run = run.substr(0, last == std::string_view::npos ? 0 : last + 1);
  }
  at_ = open;
  if (run.empty()) return left();
  token.kind = Token::Kind::text;
  token.text = token.source = run;
  return token;
}

/// At `{{` or at the end; passes over comments.
Token Scanner::left() {
  Token token;
  token.position = at_;
  if (at_ == source_.size()) return token;
  const bool trims = peek(2) == '-' && is_blank(peek(3));
  const std::size_t inner = at_ + (trims ? 4 : 2);
  if (!source_.substr(inner).starts_with("/*")) {
    in_action_ = true;
    parens_ = 0;
    return take(std::move(token), Token::Kind::left, trims ? 3 : 2);
  }
  const std::size_t close = source_.find("*/", inner + 2);
  if (close == std::string_view::npos) fail(inner, "unclosed comment");
  at_ = close + 2;
  if (rest().starts_with("}}")) {
    at_ += 2;
  } else if (is_blank(peek()) && rest().substr(1).starts_with("-}}")) {
    at_ += 4;
    trim_ = true;
  } else {
    fail(close, "comment ends before closing delimiter");
  }
  return text();
}

bool Scanner::at_right() const {
  return rest().starts_with("}}") || (is_blank(peek()) && rest().substr(1).starts_with("-}}"));
}

Token Scanner::inside() {
  Token token;
  token.position = at_;
  if (at_right()) {
    if (parens_ > 0) fail(at_, "unclosed left paren");
    in_action_ = false;
    trim_ = peek() != '}';
    return take(std::move(token), Token::Kind::right, trim_ ? 4 : 2);
  }
  if (at_ == source_.size()) fail(at_, "unclosed action");
  const char c = peek();
  if (is_blank(c)) {
    std::size_t length = 0;
    while (is_blank(peek(length)) && !rest().substr(length + 1).starts_with("-}}")) ++length;
    if (length == 0) length = 1;
    return take(std::move(token), Token::Kind::space, length);
  }
  switch (c) {
    case '|':
      return take(std::move(token), Token::Kind::pipe, 1);
    case '"':
      return quoted(std::move(token));
    case '`':
      return raw(std::move(token));
    case '(':
      ++parens_;
      return take(std::move(token), Token::Kind::left_paren, 1);
    case ')':
      if (--parens_ < 0) fail(at_, "unexpected right paren");
      return take(std::move(token), Token::Kind::right_paren, 1);
    default:
      break;
  }
  if (is_digit(c) || ((c == '-' || c == '+') && is_digit(peek(1)))) return number(std::move(token));
  if (c == '.' || is_word(c)) return word(std::move(token));
  if (c == '$' || c == '\'' || c == ':' || c == '=' || c == ',') refuse(at_, rest().substr(0, 1));
  fail(at_, "unrecognized character in action: " + policy::quoted(rest().substr(0, 1)));
}

Token Scanner::word(Token token) {
  const bool dotted = peek() == '.';
  std::size_t length = dotted ? 1 : 0;
  while (is_word(peek(length))) ++length;
  if (dotted && is_digit(peek(1))) refuse(at_, rest().substr(0, length));
  token.text = rest().substr(dotted ? 1 : 0, dotted ? length - 1 : length);
  const Token::Kind kind = !dotted       ? Token::Kind::word
                           : length == 1 ? Token::Kind::dot
                                         : Token::Kind::field;
  return take(std::move(token), kind, length);
}

Token Scanner::number(Token token) {
  std::size_t length = 1;
  while (is_word(peek(length)) || peek(length) == '.') ++length;
  const std::string_view digits = rest().substr(0, length);
  const char* first = digits.data() + (digits[0] == '+' ? 1 : 0);
  const auto [end, fault] = std::from_chars(first, digits.data() + length, token.integer);
  const std::string_view unsigned_digits = digits.substr(is_digit(digits[0]) ? 0 : 1);
  // Octal, hexadecimal, grouped and broken numbers have other rules.
  if (fault != std::errc() || end != digits.data() + length ||
      (unsigned_digits.size() > 1 && unsigned_digits[0] == '0')) {
    refuse(at_, digits);
  }
  return take(std::move(token), Token::Kind::integer, length);
}

Token Scanner::raw(Token token) {
  const std::size_t close = source_.find('`', at_ + 1);
  if (close == std::string_view::npos) fail(at_, "unterminated raw quoted string");
  for (const char c : source_.substr(at_ + 1, close - at_ - 1)) {
    if (c != '\r') token.text += c;
  }
  return take(std::move(token), Token::Kind::string, close + 1 - at_);
}

Token Scanner::quoted(Token token) {
  const std::size_t from = at_++;
  while (peek() != '"') {
    if (at_ == source_.size() || peek() == '\n') fail(from, std::string(kUnterminated));
    if (peek() == '\\') {
      unescape(token.text);
    } else {
      token.text += source_[at_++];
    }
  }
  const std::size_t length = at_ + 1 - from;
  at_ = from;
  return take(std::move(token), Token::Kind::string, length);
}

/// At a backslash inside quotes; the escapes of Go's string literals.
void Scanner::unescape(std::string& out) {
  const char letter = peek(1);
  at_ += 2;
  switch (letter) {
    case 'a':
      out += '\a';
      return;
    case 'b':
      out += '\b';
      return;
    case 'f':
      out += '\f';
      return;
    case 'n':
      out += '\n';
      return;
    case 'r':
      out += '\r';
      return;
    case 't':
      out += '\t';
      return;
    case 'v':
      out += '\v';
      return;
    case '\\':
      out += '\\';
      return;
    case '"':
      out += '"';
      return;
    case 'x':
      return escape_code(out, 2, 16);
    case 'u':
      return escape_code(out, 4, 16);
    case 'U':
      return escape_code(out, 8, 16);
    default:
      break;
  }
  if (letter < '0' || letter > '7') fail(at_ - 2, "invalid syntax");
  --at_;
  escape_code(out, 3, 8);
}

void Scanner::escape_code(std::string& out, int digits, unsigned base) {
  std::uint64_t code = 0;
  for (int i = 0; i < digits; ++i, ++at_) {
    const int digit = policy::hex_value(peek());
    if (digit < 0 || static_cast<unsigned>(digit) >= base) fail(at_, "invalid syntax");
    code = code * base + static_cast<unsigned>(digit);
  }
  if (digits < 4) {
    if (code > 0xFF) fail(at_, "invalid syntax");
    out += static_cast<char>(code);
    return;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail(at_, "invalid syntax");
  policy::encode_utf8(static_cast<std::uint32_t>(code), [&out](char byte) { out += byte; });
}

}  // namespace iron::transforms::formatter

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace iron::transforms::formatter {

/// A token of an action, or a run of text between actions.
struct Token {
  enum class Kind {
    end,  ///< of the template
    text,
    left,    ///< `{{`
    right,   ///< `}}`
    word,    ///< identifier or keyword
    field,   ///< `.Name`, in `text` without the dot
    dot,     ///< `.`
    string,  ///< unescaped in `text`
    integer,
    pipe,
    left_paren,
    right_paren,
    space,
  } kind = Kind::end;
  std::size_t position = 0;
  std::string source;  ///< as written
  std::string text;
  std::int64_t integer = 0;
};

/// Cuts a template into tokens, with trim markers and comments already applied.
class Scanner {
 public:
  Scanner(std::string name, std::string_view source) : name_(std::move(name)), source_(source) {}
  Token next();
  /// Throws ConfigError `template: NAME:LINE: what`, LINE being that of `position`.
  [[noreturn]] void fail(std::size_t position, const std::string& what) const;
  [[noreturn]] void refuse(std::size_t position, std::string_view what) const;

 private:
  Token text();
  Token left();
  Token inside();
  Token quoted(Token token);
  Token raw(Token token);
  Token number(Token token);
  Token word(Token token);
  bool at_right() const;
  std::string_view rest() const { return source_.substr(at_); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  Token take(Token token, Token::Kind kind, std::size_t length);
  void unescape(std::string& out);
  void escape_code(std::string& out, int digits, unsigned base);

  std::string name_;
  std::string_view source_;
  std::size_t at_ = 0;
  bool in_action_ = false;
  bool trim_ = false;  ///< blanks at the front of the next text go
  int parens_ = 0;
};

}  // namespace iron::transforms::formatter

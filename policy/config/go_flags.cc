#include "policy/config/go_flags.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "policy/quote.h"

namespace iron::policy {
namespace {

/// Digits with single underscores between them, or right behind a base prefix.
bool strip_underscores(std::string_view digits, bool prefixed, std::string& stripped) {
  bool may_follow = prefixed;
  for (const char c : digits) {
    if (c == '_') {
      if (!may_follow) return false;
      may_follow = false;
    } else {
      stripped += c;
      may_follow = true;
    }
  }
  return may_follow && !stripped.empty();
}

/// A whole number as Go's strconv.ParseInt reads it with base 0. Null, or why it is none.
const char* parse_integer(std::string_view text, std::int64_t& value) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  int base = 10;
  bool prefixed = false;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    prefixed = true;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::string digits = negative ? "-" : "";
  if (text.empty() || text[0] == '-' || text[0] == '+' || text[0] == ' ') return "parse error";
  if (!strip_underscores(text, prefixed, digits)) return "parse error";
  if (base == 16 && text.size() > 1 && (text[1] | 0x20) == 'x') return "parse error";
  char* end = nullptr;
  errno = 0;
  const long long parsed = std::strtoll(digits.c_str(), &end, base);
  if (end != digits.c_str() + digits.size()) return "parse error";
  if (errno == ERANGE) return "value out of range";
  value = parsed;
  return nullptr;
}

}  // namespace

void GoFlags::add(std::string name, std::string* value, std::string help) {
  const std::string shown = value->empty() ? "" : quoted(*value);
  flags_.push_back({std::move(name), std::move(help), shown, value, nullptr});
  std::sort(flags_.begin(), flags_.end(),
            [](const Flag& a, const Flag& b) { return a.name < b.name; });
}

void GoFlags::add(std::string name, std::int64_t* value, std::string help) {
  const std::string shown = *value == 0 ? "" : std::to_string(*value);
  flags_.push_back({std::move(name), std::move(help), shown, nullptr, value});
  std::sort(flags_.begin(), flags_.end(),
            [](const Flag& a, const Flag& b) { return a.name < b.name; });
}

GoFlags::Flag* GoFlags::find(std::string_view name) {
  const auto found = std::find_if(flags_.begin(), flags_.end(),
                                  [&](const Flag& flag) { return flag.name == name; });
  return found == flags_.end() ? nullptr : &*found;
}

std::string GoFlags::usage() const {
  std::string text = "Usage of " + program_ + ":\n";
  for (const Flag& flag : flags_) {
    text +=
        "  -" + flag.name + (flag.number != nullptr ? " int" : " string") + "\n    \t" + flag.help;
    if (!flag.default_text.empty()) text += " (default " + flag.default_text + ")";
    text += '\n';
  }
  return text;
}

GoFlags::Outcome GoFlags::parse(const std::vector<std::string>& words, std::string& message) {
  const auto bad = [&](const std::string& fault) {
    message = fault + "\n" + usage();
    return Outcome::bad;
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-' || word == "--") break;
    std::string name = word.substr(word[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') return bad("bad flag syntax: " + word);
    const std::size_t equals = name.find('=');
    std::string value = equals == std::string::npos ? "" : name.substr(equals + 1);
    name.resize(std::min(equals, name.size()));
    const Flag* flag = find(name);
    if (flag == nullptr && (name == "h" || name == "help")) {
      message = usage();
      return Outcome::help;
    }
    if (flag == nullptr) return bad("flag provided but not defined: -" + name);
    if (equals == std::string::npos) {
      if (++i == words.size()) return bad("flag needs an argument: -" + name);
      value = words[i];
    }
    if (flag->text != nullptr) {
      *flag->text = value;
    } else if (const char* fault = parse_integer(value, *flag->number)) {
      return bad("invalid value " + quoted(value) + " for flag -" + name + ": " + fault);
    }
  }
  return Outcome::parsed;
}

}  // namespace iron::policy

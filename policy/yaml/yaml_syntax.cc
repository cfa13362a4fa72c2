#include "policy/yaml/yaml_syntax.h"

#include <yaml-cpp/exceptions.h>

#include <algorithm>
#include <utility>

// The line in an error text is not always the line of the fault: users know the rules of another
// parser. That one has two kinds of faults. A fault of a token counts lines from 1 and names the
// line where the token began. A fault of structure counts from 0 and names the line where the
// collection began, unless that is the first line of the file: then that of the fault itself. No
// line is named when the count gives 0.

namespace iron::policy {
namespace {

enum class Kind { token, structure };
enum class Look { here, above };  ///< first line to look for a bare word

std::string describe(Kind kind, int began, int fault, const std::string& what) {
  int line = began > 0 ? began : fault;
  if (line > 0 && kind == Kind::token) ++line;
  if (line <= 0) return what;
  return "line " + std::to_string(line) + ": " + what;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_break(char c) { return c == '\n' || c == '\r'; }

/// Messages of tokens for which users know another text.
std::string_view known_text(std::string_view message) {
  static const std::pair<std::string_view, std::string_view> kTexts[] = {
      {YAML::ErrorMsg::UNKNOWN_TOKEN, "found character that cannot start any token"},
      {YAML::ErrorMsg::ANCHOR_NOT_FOUND, "did not find expected alphabetic or numeric character"},
      {YAML::ErrorMsg::ALIAS_NOT_FOUND, "did not find expected alphabetic or numeric character"},
      {YAML::ErrorMsg::CHAR_IN_BLOCK, "did not find expected comment or line break"},
      {YAML::ErrorMsg::ZERO_INDENT_IN_BLOCK, "found an indentation indicator equal to 0"},
      {YAML::ErrorMsg::INVALID_HEX, "did not find expected hexdecimal number"},
      {YAML::ErrorMsg::INVALID_ESCAPE, "found unknown escape character"},
      {YAML::ErrorMsg::END_OF_VERBATIM_TAG, "did not find expected tag URI"},
  };
  for (const auto& [theirs, known] : kTexts)
    if (message.starts_with(theirs)) return known;
  return {};
}

std::string_view line_at(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  std::size_t begin = offset;
  while (begin > 0 && !is_break(text[begin - 1])) --begin;
  const std::size_t end = text.find_first_of("\r\n", offset);
  return text.substr(begin, end == std::string_view::npos ? end : end - begin);
}

/// Finds what is still open between two offsets: brackets and a quote. Good for the text of one
/// flow collection, where brackets and quotes mean what they say.
class FlowScan {
 public:
  FlowScan(std::string_view text, YamlMark from, std::size_t to) : text_(text) {
    int line = from.line;
    for (std::size_t at = from.offset; at < std::min(to, text.size()); ++at) {
      if (text[at] == '\n') ++line;
      step(at, line);
    }
  }

  /// Line of the innermost open bracket.
  std::optional<int> bracket() const {
    if (brackets_.empty()) return std::nullopt;
    return brackets_.back().line;
  }
  bool in_mapping() const { return !brackets_.empty() && brackets_.back().curly; }
  std::optional<int> quote() const {
    if (quote_ == 0) return std::nullopt;
    return quote_line_;
  }
  /// The last character that is neither blank nor comment.
  char last() const { return last_; }

 private:
  struct Bracket {
    int line;
    bool curly;
  };

  void step(std::size_t at, int line) {
    const char c = text_[at];
    const char before = at == 0 ? '\n' : text_[at - 1];
    if (quote_ != 0) return in_quote(at);
    if (comment_) {
      comment_ = !is_break(c);
      return;
    }
    if (is_blank(c) || is_break(c)) return;
    const bool fresh = is_blank(before) || is_break(before) ||
                       std::string_view("[{,:").find(before) != std::string_view::npos;
    if (c == '#' && (is_blank(before) || is_break(before))) {
      comment_ = true;
      return;
    }
    if ((c == '\'' || c == '"') && fresh) {
      quote_ = c;
      quote_line_ = line;
    } else if ((c == '[' || c == '{') && (fresh || !brackets_.empty())) {
      brackets_.push_back({line, c == '{'});
    } else if ((c == ']' || c == '}') && !brackets_.empty()) {
      brackets_.pop_back();
    }
    last_ = c;
  }

  void in_quote(std::size_t at) {
    if (escaped_) {
      escaped_ = false;
    } else if (text_[at] == '\\' && quote_ == '"') {
      escaped_ = true;
    } else if (text_[at] == quote_) {
      last_ = quote_;
      quote_ = 0;
    }
  }

  std::string_view text_;
  std::vector<Bracket> brackets_;
  char quote_ = 0;
  int quote_line_ = 0;
  bool escaped_ = false;
  bool comment_ = false;
  char last_ = 0;
};

/// A line like `key: value`, `- x` or `}`: anything but a bare word.
bool has_indicator(std::string_view line) {
  const std::size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) return true;
  line.remove_prefix(start);
  if (std::string_view("]},|>%@`").find(line[0]) != std::string_view::npos) return true;
  if ((line[0] == '-' || line[0] == '?') && (line.size() == 1 || is_blank(line[1]))) return true;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && i > 0 && is_blank(line[i - 1])) return false;
    if (line[i] == ':' && (i + 1 == line.size() || is_blank(line[i + 1]))) return true;
  }
  return false;
}

class Diagnosis {
 public:
  Diagnosis(std::string_view text, const YamlFault& fault) : text_(text), fault_(fault) {}

  std::string text() const {
    const std::string& message = fault_.message;
    if (message.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) return unknown_anchor();
    if (message == YAML::ErrorMsg::DOC_IN_SCALAR || message == YAML::ErrorMsg::EOF_IN_SCALAR)
      return unfinished_scalar();
    if (message == YAML::ErrorMsg::BAD_FILE) return token("nested too deeply");
    if (message == YAML::ErrorMsg::TAB_IN_INDENTATION) return tab_in_scalar();
    if (const std::string_view known = known_text(message); !known.empty())
      return token(std::string(known));
    const FlowScan flow = scan_flow();
    if (flow.quote()) return unfinished_scalar();
    if (flow.bracket()) return in_flow(flow);
    if (indented_by_tab()) return token("found character that cannot start any token");
    if (message == YAML::ErrorMsg::MAP_VALUE)
      return bare_key(token("mapping values are not allowed in this context"), Look::above);
    if (message == YAML::ErrorMsg::BLOCK_ENTRY)
      return token("block sequence entries are not allowed in this context");
    if (message == YAML::ErrorMsg::END_OF_MAP || message == YAML::ErrorMsg::END_OF_SEQ ||
        message == YAML::ErrorMsg::FLOW_END || message == kYamlMissingKey)
      return bare_key(structure(), Look::here);
    return token(message);
  }

 private:
  std::string token(const std::string& what) const {
    return describe(Kind::token, 0, fault_.at.line, what);
  }

  std::string structure() const {
    const YamlOpen* inner = interrupted();
    if (inner == nullptr)
      return describe(Kind::structure, fault_.at.line, fault_.at.line,
                      "did not find expected node content");
    return describe(Kind::structure, inner->start.line, fault_.at.line,
                    inner->mapping ? kYamlMissingKey : "did not find expected '-' indicator");
  }

  /// The collection that can not go on at the fault: not one that the indentation has ended.
  const YamlOpen* interrupted() const {
    const auto& open = fault_.open;
    std::size_t count = open.size();
    while (count > 0 && !open[count - 1].flow && open[count - 1].start.column > fault_.at.column)
      --count;
    if (count == 0) return nullptr;
    const YamlOpen& inner = open[count - 1];
    // A list at the column of its key ends with its last dash.
    if (!inner.mapping && count > 1 && same_column(inner, open[count - 2])) return &open[count - 2];
    const bool was_list = fault_.closed && !fault_.closed->mapping && !fault_.closed->flow;
    if (was_list && fault_.closed->start.column == fault_.at.column &&
        inner.start.column < fault_.at.column)
      return &*fault_.closed;
    return &inner;
  }

  static bool same_column(const YamlOpen& list, const YamlOpen& outer) {
    return outer.mapping && !outer.flow && outer.start.column == list.start.column;
  }

  std::string unknown_anchor() const {
    std::string_view name = text_.substr(std::min(fault_.at.offset + 1, text_.size()));
    name =
        name.substr(0, name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                              "0123456789_-"));
    return "unknown anchor '" + std::string(name) + "' referenced";
  }

  std::string unfinished_scalar() const {
    const FlowScan scan(text_, fault_.last, fault_.at.offset);
    const int end = fault_.padded && fault_.at.line > 0 ? fault_.at.line - 1 : fault_.at.line;
    return describe(Kind::token, scan.quote().value_or(0), end, "found unexpected end of stream");
  }

  /// A tab before the next line of a plain scalar: the fault of the line where that began.
  std::string tab_in_scalar() const {
    int began = fault_.at.line;
    std::string_view line = line_at(text_, fault_.at.offset);
    while (began > 0 && line.data() > text_.data()) {
      line = line_at(text_, static_cast<std::size_t>(line.data() - text_.data()) - 1);
      --began;
      if (!yaml_is_blank(line)) break;
    }
    return describe(Kind::token, began, fault_.at.line,
                    "found a tab character that violates indentation");
  }

  bool indented_by_tab() const {
    const std::string_view line = line_at(text_, fault_.at.offset);
    return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
  }

  FlowScan scan_flow() const {
    for (const YamlOpen& open : fault_.open)
      if (open.flow) return FlowScan(text_, open.start, fault_.at.offset);
    // The library reads a line ahead of the values it reports.
    const std::string_view line = line_at(text_, fault_.at.offset);
    YamlMark from = fault_.at;
    from.offset = static_cast<std::size_t>(line.data() - text_.data());
    return FlowScan(text_, from, fault_.at.offset);
  }

  std::string in_flow(const FlowScan& flow) const {
    if (std::string_view("[{,:").find(flow.last()) != std::string_view::npos)
      return describe(Kind::structure, fault_.at.line, fault_.at.line,
                      "did not find expected node content");
    return describe(Kind::structure, *flow.bracket(), fault_.at.line,
                    flow.in_mapping() ? "did not find expected ',' or '}'"
                                      : "did not find expected ',' or ']'");
  }

  /// Where a block wants a key or a dash and the line, or one before, is a bare word, the colon is
  /// missed.
  std::string bare_key(const std::string& otherwise, Look look) const {
    std::string_view line = line_at(text_, fault_.at.offset);
    for (int number = fault_.at.line; number > 0; --number) {
      const bool skipped = look == Look::above && number == fault_.at.line;
      const std::size_t indent = line.find_first_not_of(" \t");
      if (!skipped && indent != std::string_view::npos && line[indent] != '#') {
        if (begins_entry(indent))
          return has_indicator(line) ? otherwise
                                     : describe(Kind::token, number, number, kYamlBareKey);
        if (number < fault_.at.line && has_indicator(line)) return otherwise;
      }
      const auto begin = static_cast<std::size_t>(line.data() - text_.data());
      if (begin == 0) break;
      line = line_at(text_, begin - 1);
    }
    return otherwise;
  }

  bool begins_entry(std::size_t column) const {
    const auto at = [column](const YamlOpen& open) {
      return !open.flow && open.start.column == static_cast<int>(column);
    };
    return std::any_of(fault_.open.begin(), fault_.open.end(), at) ||
           (fault_.closed && at(*fault_.closed));
  }

  std::string_view text_;
  const YamlFault& fault_;
};

}  // namespace

std::string yaml_fault_text(std::string_view text, const YamlFault& fault) {
  return Diagnosis(text, fault).text();
}

bool yaml_is_blank(std::string_view text) {
  bool comment = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_break(c)) {
      comment = false;
    } else if (c == '#' && (i == 0 || is_blank(text[i - 1]) || is_break(text[i - 1]))) {
      comment = true;
    } else if (!comment && !is_blank(c)) {
      return false;
    }
  }
  return true;
}

}  // namespace iron::policy

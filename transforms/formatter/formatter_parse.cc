#include <algorithm>
#include <array>
#include <utility>

#include "policy/quote.h"
#include "transforms/formatter/formatter_program.h"
#include "transforms/formatter/formatter_scanner.h"

namespace iron::transforms::formatter {
namespace {

using Kind = Token::Kind;

constexpr int kMaxDepth = 100;

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"and", Function::all},       {"base64", Function::base64}, {"eq", Function::eq},
    {"index", Function::index},   {"len", Function::len},       {"ne", Function::ne},
    {"not", Function::negate},    {"or", Function::any},        {"print", Function::print},
    {"printf", Function::printf},
};
/// Words of the whole language that this subset refuses.
constexpr std::string_view kRefused[] = {"block",   "break", "call",  "continue", "define",  "ge",
                                         "gt",      "html",  "js",    "le",       "lt",      "nil",
                                         "println", "range", "slice", "template", "urlquery"};

class Parser {
 public:
  Parser(const std::string& name, std::string_view source, bool has_base64)
      : scanner_(name, source), has_base64_(has_base64) {
    advance();
  }

  std::vector<Node> parse() {
    std::vector<Node> nodes = list(0);
    if (!closing_.empty()) scanner_.fail(at_.position, "unexpected {{" + closing_ + "}}");
    return nodes;
  }

 private:
  void advance() { at_ = scanner_.next(); }
  void skip_space() {
    while (at_.kind == Kind::space) advance();
  }
  [[noreturn]] void unexpected(const char* where) {
    if (at_.kind == Kind::end) scanner_.fail(at_.position, "unexpected EOF");
    scanner_.fail(at_.position, "unexpected " +
                                    (at_.kind == Kind::right ? std::string("right delimiter")
                                                             : "<" + at_.source + ">") +
                                    " in " + where);
  }

  /// Nodes up to the end, `else` or `end`; the latter two are left in closing_, with the scanner
  /// behind the word.
  std::vector<Node> list(int depth) {
    if (depth > kMaxDepth) scanner_.fail(at_.position, "template nests too deeply");
    std::vector<Node> nodes;
    closing_.clear();
    while (at_.kind != Kind::end) {
      if (at_.kind == Kind::text) {
        nodes.push_back(Node{Node::Kind::text, at_.text, {}, {}, {}});
        advance();
        continue;
      }
      advance();  // `{{`
      skip_space();
      if (at_.kind == Kind::word && (at_.text == "end" || at_.text == "else")) {
        closing_ = at_.text;
        advance();
        skip_space();
        return nodes;
      }
      nodes.push_back(action(depth));
    }
    return nodes;
  }

  Node action(int depth) {
    if (at_.kind == Kind::word && (at_.text == "if" || at_.text == "with")) {
      const bool is_if = at_.text == "if";
      advance();
      return control(is_if ? Node::Kind::condition : Node::Kind::with, depth);
    }
    Node node{Node::Kind::action, {}, {}, {}, {}};
    node.pipeline = pipeline("command", Kind::right, depth);
    advance();
    return node;
  }

  /// Behind `if` or `with`.
  Node control(Node::Kind kind, int depth) {
    const char* word = kind == Node::Kind::condition ? "if" : "with";
    Node node{kind, {}, {}, {}, {}};
    node.pipeline = pipeline(word, Kind::right, depth);
    advance();
    node.body = list(depth + 1);
    if (closing_ == "else") {
      if (at_.kind == Kind::word && at_.text == "if" && kind == Node::Kind::condition) {
        advance();
        node.otherwise.push_back(control(kind, depth + 1));
        return node;  // one `end` closes both
      }
      if (at_.kind == Kind::word) scanner_.refuse(at_.position, "else " + at_.text);
      expect_right("else");
      node.otherwise = list(depth + 1);
      if (closing_ == "else") scanner_.fail(at_.position, "expected end; found {{else}}");
    }
    if (closing_.empty()) scanner_.fail(at_.position, "unexpected EOF");
    expect_right("end");
    closing_.clear();
    return node;
  }

  void expect_right(const char* where) {
    if (at_.kind != Kind::right) unexpected(where);
    advance();
  }

  Pipeline pipeline(const char* where, Kind close, int depth) {
    if (depth > kMaxDepth) scanner_.fail(at_.position, "template nests too deeply");
    Pipeline out;
    while (true) {
      skip_space();
      if (at_.kind == close) {
        if (out.commands.empty() || !at_end_of_command_) {
          scanner_.fail(at_.position, std::string("missing value for ") +
                                          (out.commands.empty() ? where : "command"));
        }
        return out;
      }
      out.commands.push_back(command(close, depth));
      const Command& last = out.commands.back();
      if (out.commands.size() > 1 && last.function == Function::none) {
        scanner_.fail(last.position, "non executable command in pipeline stage " +
                                         std::to_string(out.commands.size()));
      }
      check_printf(last, out.commands.size() > 1);
      at_end_of_command_ = at_.kind != Kind::pipe;
      if (!at_end_of_command_) advance();
    }
  }

  Command command(Kind close, int depth) {
    Command out;
    out.position = at_.position;
    if (at_.kind == Kind::word && function(out)) advance();
    while (true) {
      skip_space();
      if (at_.kind == close || at_.kind == Kind::pipe) break;
      out.operands.push_back(operand(depth));
      const bool separated = at_.kind == Kind::space || at_.kind == close || at_.kind == Kind::pipe;
      if (!separated) unexpected("operand");
    }
    if (out.function == Function::none && out.operands.empty()) {
      scanner_.fail(at_.position, "missing value for command");
    }
    return out;
  }

  bool function(Command& out) {
    if (at_.text == "true" || at_.text == "false") return false;
    const auto refused = std::find(std::begin(kRefused), std::end(kRefused), at_.text);
    if (refused != std::end(kRefused)) scanner_.refuse(at_.position, at_.text);
    const auto found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                    [&](const auto& at) { return at.first == at_.text; });
    const bool none = found == std::end(kFunctions);
    if (none || (found->second == Function::base64 && !has_base64_)) {
      if (at_.text == "end" || at_.text == "else" || at_.text == "if" || at_.text == "with") {
        unexpected("command");
      }
      scanner_.fail(at_.position, "function " + policy::quoted(at_.text) + " not defined");
    }
    out.function = found->second;
    out.name = at_.text;
    return true;
  }

  Operand operand(int depth) {
    Operand out;
    out.position = at_.position;
    out.source = at_.source;
    switch (at_.kind) {
      case Kind::dot:
        break;
      case Kind::field:
        return field(std::move(out));
      case Kind::string:
        out.kind = Operand::Kind::text;
        out.text = at_.text;
        break;
      case Kind::integer:
        out.kind = Operand::Kind::integer;
        out.integer = at_.integer;
        break;
      case Kind::left_paren: {
        advance();
        out.kind = Operand::Kind::pipeline;
        out.inner.push_back(pipeline("parenthesized pipeline", Kind::right_paren, depth + 1));
        break;
      }
      case Kind::word: {
        Command nested;
        out.kind = Operand::Kind::boolean;
        out.integer = at_.text == "true" ? 1 : 0;
        if (!function(nested)) break;
        // A function as an operand is called without operands.
        out.kind = Operand::Kind::pipeline;
        nested.position = at_.position;
        check_printf(nested, false);
        out.inner.push_back(Pipeline{{std::move(nested)}});
        break;
      }
      default:
        unexpected("operand");
    }
    advance();
    if (at_.kind == Kind::field) scanner_.refuse(out.position, out.source + at_.source);
    return out;
  }

  Operand field(Operand out) {
    out.kind = Operand::Kind::field;
    out.source.clear();
    while (at_.kind == Kind::field) {
      out.names.push_back(at_.text);
      out.source += at_.source;
      advance();
    }
    return out;
  }

  /// Formats are checked here, so that every accepted one can be carried out.
  void check_printf(const Command& command, bool piped) {
    if (command.function != Function::printf) return;
    if (command.operands.empty() || command.operands[0].kind != Operand::Kind::text) {
      scanner_.refuse(command.position, "printf without a literal format");
    }
    const std::string& format = command.operands[0].text;
    std::size_t verbs = 0;
    for (std::size_t i = format.find('%'); i != std::string::npos; i = format.find('%', i + 2)) {
      const char verb = i + 1 < format.size() ? format[i + 1] : '\0';
      if (verb == '%') continue;
      if (verb == '\0' || std::string_view("sqdv").find(verb) == std::string_view::npos) {
        scanner_.refuse(command.position, format.substr(i, 2));
      }
      ++verbs;
    }
    if (verbs != command.operands.size() - 1 + (piped ? 1 : 0)) {
      scanner_.refuse(command.position, "printf with more or fewer values than verbs");
    }
  }

  Scanner scanner_;
  const bool has_base64_;
  Token at_;
  std::string closing_;
  bool at_end_of_command_ = false;
};

}  // namespace

Parsed parse(std::string name, std::string_view source, bool has_base64) {
  Parsed parsed{std::move(name), std::string(source), {}};
  parsed.nodes = Parser(parsed.name, parsed.source, has_base64).parse();
  return parsed;
}

}  // namespace iron::transforms::formatter

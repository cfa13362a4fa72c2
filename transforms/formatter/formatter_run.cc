#include "transforms/formatter/formatter_run.h"

#include <algorithm>
#include <optional>

#include "policy/quote.h"
#include "transforms/formatter/formatter_text.h"

namespace iron::transforms::formatter {
namespace {

/// A value of the template language. Texts point into the program, the data, or Texts.
struct Value {
  enum class Kind { text, integer, boolean, data, map } kind = Kind::data;
  std::string_view text;
  std::int64_t number = 0;
  const TemplateData* data = nullptr;
  const TemplateData::Texts* map = nullptr;

  bool truth() const {
    if (kind == Kind::text) return !text.empty();
    if (kind == Kind::map) return !map->empty();
    return kind == Kind::data || number != 0;
  }
  const char* type() const {
    switch (kind) {
      case Kind::text:
        return "string";
      case Kind::integer:
        return "int";
      case Kind::boolean:
        return "bool";
      case Kind::data:
        return data->type;
      case Kind::map:
        return "map[string]string";
    }
    return "";
  }
};

using Values = std::vector<Value>;

Value text_value(std::string_view text) { return {Value::Kind::text, text, 0, {}, {}}; }
Value integer_value(std::int64_t value) { return {Value::Kind::integer, {}, value, {}, {}}; }
Value boolean_value(bool value) { return {Value::Kind::boolean, {}, value ? 1 : 0, {}, {}}; }

template <class Entries>
auto find_entry(const Entries& entries, std::string_view name) {
  return std::ranges::find_if(entries, [&](const auto& entry) { return entry.first == name; });
}

class Machine {
 public:
  Machine(const Parsed& parsed, const TemplateData& data) : parsed_(parsed), data_(data) {}

  Result<Secret> run() {
    Value dot;
    dot.data = &data_;
    if (!list(parsed_.nodes, dot)) return fail(error_);
    std::size_t size = 0;
    for (const std::string_view piece : output_) size += piece.size();
    Secret out = Secret::sized(size);
    char* at = out.writable().data();
    for (const std::string_view piece : output_) at = std::copy(piece.begin(), piece.end(), at);
    return out;
  }

 private:
  bool list(const std::vector<Node>& nodes, const Value& dot) {
    return std::all_of(nodes.begin(), nodes.end(),
                       [&](const Node& node) { return step(node, dot); });
  }

  bool step(const Node& node, const Value& dot) {
    if (node.kind == Node::Kind::text) {
      output_.push_back(node.text);
      return true;
    }
    const auto value = pipeline(node.pipeline, dot);
    if (!value) return false;
    if (node.kind == Node::Kind::action) {
      output_.push_back(shown(*value));
      return true;
    }
    if (!value->truth()) return list(node.otherwise, dot);
    return list(node.body, node.kind == Node::Kind::with ? *value : dot);
  }

  /// `template: NAME:LINE:COLUMN: executing "NAME" at <source>: why`; never with a byte of the
  /// value.
  std::nullopt_t wrong(std::size_t position, const std::string& source, const std::string& why) {
    const std::string_view before = std::string_view(parsed_.source).substr(0, position);
    const std::size_t newline = before.rfind('\n');
    const std::size_t column =
        newline == std::string_view::npos ? position : position - newline - 1;
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    error_ = "template: " + parsed_.name + ":" + std::to_string(line) + ":" +
             std::to_string(column) + ": executing " + policy::quoted(parsed_.name) + " at <" +
             source + ">: " + why;
    return std::nullopt;
  }
  std::nullopt_t wrong_call(const Command& command, const std::string& why) {
    return wrong(command.position, command.name, why);
  }

  std::optional<Value> pipeline(const Pipeline& pipeline, const Value& dot) {
    std::optional<Value> last;
    for (const Command& command : pipeline.commands) {
      last = this->command(command, dot, last);
      if (!last) return std::nullopt;
    }
    return last;
  }

  std::optional<Value> command(const Command& command,
                               const Value& dot,
                               const std::optional<Value>& piped) {
    if (command.function == Function::none) {
      const Operand& first = command.operands.front();
      if (command.operands.size() == 1) return operand(first, dot);
      return first.kind == Operand::Kind::field
                 ? wrong(first.position, first.source,
                         first.names.back() + " is not a method but has arguments")
                 : wrong(first.position, first.source,
                         "can't give argument to non-function " + first.source);
    }
    if (command.function == Function::all || command.function == Function::any) {
      return choice(command, dot, piped);
    }
    Values values;
    for (const Operand& operand : command.operands) {
      const auto value = this->operand(operand, dot);
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
    if (piped) values.push_back(*piped);
    return call(command, values);
  }

  std::optional<Value> operand(const Operand& operand, const Value& dot) {
    switch (operand.kind) {
      case Operand::Kind::dot:
        return dot;
      case Operand::Kind::text:
        return text_value(operand.text);
      case Operand::Kind::integer:
        return integer_value(operand.integer);
      case Operand::Kind::boolean:
        return boolean_value(operand.integer != 0);
      case Operand::Kind::pipeline:
        return pipeline(operand.inner.front(), dot);
      case Operand::Kind::field:
        break;
    }
    Value value = dot;
    for (const std::string& name : operand.names) {
      const auto inner = member(operand, value, name);
      if (!inner) return std::nullopt;
      value = *inner;
    }
    return value;
  }

  std::optional<Value> member(const Operand& operand, const Value& of, const std::string& name) {
    if (of.kind == Value::Kind::map) {
      const auto entry = find_entry(*of.map, name);
      if (entry != of.map->end()) return text_value(entry->second);
      return wrong(operand.position, operand.source,
                   "map has no entry for key " + policy::quoted(name));
    }
    if (of.kind == Value::Kind::data) {
      const auto text = find_entry(of.data->texts, name);
      if (text != of.data->texts.end()) return text_value(text->second);
      const auto map = find_entry(of.data->maps, name);
      if (map != of.data->maps.end()) return Value{Value::Kind::map, {}, 0, nullptr, &map->second};
    }
    return wrong(operand.position, operand.source,
                 "can't evaluate field " + name + " in type " + of.type());
  }

  /// `and`, `or`: the first value that decides, later ones are not evaluated.
  std::optional<Value> choice(const Command& command,
                              const Value& dot,
                              const std::optional<Value>& piped) {
    const bool stop_at = command.function == Function::any;
    std::optional<Value> value;
    for (const Operand& operand : command.operands) {
      value = this->operand(operand, dot);
      if (!value || value->truth() == stop_at) return value;
    }
    if (piped) value = piped;
    if (!value)
      return wrong_call(command,
                        "wrong number of args for " + command.name + ": want at least 1 got 0");
    return value;
  }

  std::optional<Value> call(const Command& command, const Values& values) {
    const std::size_t count = values.size();
    switch (command.function) {
      case Function::base64:
        return base64(command, values);
      case Function::print:
        return text_value(print(values));
      case Function::printf:
        return text_value(printf(values));
      case Function::len:
        if (count != 1) return wrong_count(command, "1", count);
        if (values[0].kind != Value::Kind::text) {
          return wrong_call(command,
                            std::string("error calling len: len of type ") + values[0].type());
        }
        return integer_value(static_cast<std::int64_t>(values[0].text.size()));
      case Function::negate:
        if (count != 1) return wrong_count(command, "1", count);
        return boolean_value(!values[0].truth());
      case Function::eq:
      case Function::ne:
        return equal(command, values);
      case Function::index:
        return index(command, values);
      default:
        return wrong_call(command, "not callable");
    }
  }

  std::nullopt_t wrong_count(const Command& command, const std::string& want, std::size_t got) {
    return wrong_call(command, "wrong number of args for " + command.name + ": want " + want +
                                   " got " + std::to_string(got));
  }

  std::optional<Value> base64(const Command& command, const Values& values) {
    std::vector<std::string_view> pieces;
    for (const Value& value : values) {
      if (value.kind != Value::Kind::text) {
        return wrong_call(
            command, std::string("wrong type for value; expected string; got ") + value.type());
      }
      pieces.push_back(value.text);
    }
    return text_value(texts_.base64(pieces));
  }

  std::optional<Value> equal(const Command& command, const Values& values) {
    const bool wants_equal = command.function == Function::eq;
    if (values.size() < 2 || (!wants_equal && values.size() > 2)) {
      if (wants_equal && values.size() == 1) {
        return wrong_call(command, "error calling eq: missing argument for comparison");
      }
      return wrong_count(command, wants_equal ? "at least 1" : "2", values.size());
    }
    const Value& first = values.front();
    for (std::size_t i = 1; i < values.size(); ++i) {
      const bool simple = first.kind != Value::Kind::data && first.kind != Value::Kind::map;
      if (!simple || values[i].kind != first.kind) {
        return wrong_call(command,
                          "error calling " + command.name + ": incompatible types for comparison");
      }
      const bool same = first.text == values[i].text && first.number == values[i].number;
      if (same || !wants_equal) return boolean_value(same == wants_equal);
    }
    return boolean_value(false);
  }

  std::optional<Value> index(const Command& command, const Values& values) {
    if (values.empty()) return wrong_count(command, "at least 1", 0);
    if (values.size() == 1) return values[0];
    if (values[0].kind != Value::Kind::text || values.size() > 2) {
      return wrong_call(command, std::string("error calling index: can't index item of type ") +
                                     values[0].type());
    }
    if (values[1].kind != Value::Kind::integer) {
      return wrong_call(command,
                        std::string("error calling index: cannot index slice/array with type ") +
                            values[1].type());
    }
    const std::int64_t at = values[1].number;
    if (at < 0 || static_cast<std::uint64_t>(at) >= values[0].text.size()) {
      return wrong_call(command, "error calling index: index out of range: " + std::to_string(at));
    }
    return integer_value(static_cast<unsigned char>(values[0].text[static_cast<std::size_t>(at)]));
  }

  std::string_view shown(const Value& value) {
    switch (value.kind) {
      case Value::Kind::text:
        return value.text;
      case Value::Kind::integer:
        return texts_.decimal(value.number);
      case Value::Kind::boolean:
        return value.number != 0 ? "true" : "false";
      case Value::Kind::data:
        return shown_data(*value.data, [](std::string_view text) { return text; });
      case Value::Kind::map:
        return shown_map(*value.map, [](std::string_view text) { return text; });
    }
    return {};
  }

  template <class Show>
  std::string_view shown_map(const TemplateData::Texts& map, Show show) {
    std::vector<std::string_view> pieces{"map["};
    for (const auto& [name, text] : map) {
      if (pieces.size() > 1) pieces.push_back(" ");
      pieces.insert(pieces.end(), {name, ":", show(text)});
    }
    pieces.push_back("]");
    return texts_.join(pieces);
  }

  template <class Show>
  std::string_view shown_data(const TemplateData& data, Show show) {
    std::vector<std::string_view> pieces{"{"};
    const auto add = [&](std::string_view piece) {
      if (pieces.size() > 1) pieces.push_back(" ");
      pieces.push_back(piece);
    };
    for (const auto& entry : data.texts) add(show(entry.second));
    for (const auto& entry : data.maps) add(shown_map(entry.second, show));
    pieces.push_back("}");
    return texts_.join(pieces);
  }

  /// A blank stands between two values of which neither is a text.
  std::string_view print(const Values& values) {
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool apart =
          i > 0 && values[i].kind != Value::Kind::text && values[i - 1].kind != Value::Kind::text;
      if (apart) pieces.push_back(" ");
      pieces.push_back(shown(values[i]));
    }
    return texts_.join(pieces);
  }

  /// The parser has checked verbs and their number.
  std::string_view printf(const Values& values) {
    const std::string_view format = values[0].text;
    std::vector<std::string_view> pieces;
    std::size_t used = 1, from = 0;
    for (std::size_t at = format.find('%'); at != std::string_view::npos;
         at = format.find('%', from)) {
      pieces.push_back(format.substr(from, at - from));
      from = at + 2;
      if (format[at + 1] == '%') {
        pieces.push_back("%");
      } else {
        pieces.push_back(formatted(format.substr(at + 1, 1), values[used++]));
      }
    }
    pieces.push_back(format.substr(from));
    return texts_.join(pieces);
  }

  std::string_view formatted(std::string_view verb, const Value& value) {
    const auto show = [&](std::string_view text) { return formatted(verb, text_value(text)); };
    if (value.kind == Value::Kind::data) return shown_data(*value.data, show);
    if (value.kind == Value::Kind::map) return shown_map(*value.map, show);
    const bool is_text = value.kind == Value::Kind::text;
    const bool is_integer = value.kind == Value::Kind::integer;
    if (verb == "v" || (verb == "s" && is_text) || (verb == "d" && is_integer)) return shown(value);
    if (verb == "q" && is_text) return texts_.quoted(value.text);
    return texts_.join({"%!", verb, "(", value.type(), "=", shown(value), ")"});
  }

  const Parsed& parsed_;
  const TemplateData& data_;
  Texts texts_;
  std::vector<std::string_view> output_;
  std::string error_;
};

}  // namespace

Result<Secret> run(const Parsed& parsed, const TemplateData& data) {
  return Machine(parsed, data).run();
}

}  // namespace iron::transforms::formatter

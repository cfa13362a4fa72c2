#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iron::transforms::formatter {

/// The parsed form of a template. Positions are byte offsets in its text.

enum class Function { none, base64, print, printf, len, index, eq, ne, all, any, negate };

struct Pipeline;

struct Operand {
  enum class Kind { dot, field, text, integer, boolean, pipeline } kind = Kind::dot;
  std::size_t position = 0;
  std::string source;              ///< as error texts show it
  std::vector<std::string> names;  ///< `field`: `.A.B`
  std::string text;                ///< `text`: unescaped
  std::int64_t integer = 0;        ///< `integer` and `boolean`
  std::vector<Pipeline> inner;     ///< `pipeline`: one
};

struct Command {
  Function function = Function::none;  ///< none: the first operand is the value
  std::string name;
  std::size_t position = 0;
  std::vector<Operand> operands;
};

struct Pipeline {
  std::vector<Command> commands;
};

struct Node {
  enum class Kind { text, action, condition, with } kind = Kind::text;
  std::string text;
  Pipeline pipeline;
  std::vector<Node> body, otherwise;
};

struct Parsed {
  std::string name, source;
  std::vector<Node> nodes;
};

/// Throws ConfigError `template: NAME:LINE: …`. `has_base64`: there is that function, too.
Parsed parse(std::string name, std::string_view source, bool has_base64);

}  // namespace iron::transforms::formatter

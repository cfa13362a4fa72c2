#include "policy/json/json_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "policy/secret/secret.h"

namespace iron::policy {
namespace {

constexpr std::string_view kBlanks = " \t\n\r";

/// The parser works on copies of the last bytes of a document, on the stack.
[[gnu::noinline]] void wipe_stack() {
  char below[8192];
  wipe(below);
}

bool digit(char c) { return c >= '0' && c <= '9'; }

/// RFC 8259 section 6. The parser's own numbers end at 64 bits; those of JSON do not.
bool is_number(std::string_view text) {
  const auto digits = [&text] {
    std::size_t count = 0;
    while (count < text.size() && digit(text[count])) ++count;
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

Error document_fault(simdjson::error_code code) {
  switch (code) {
    case simdjson::EMPTY:
      return fail("$: expected a value, found nothing");
    case simdjson::UTF8_ERROR:
      return fail("$: not UTF-8");
    case simdjson::UNCLOSED_STRING:
      return fail("$: a string has no end");
    case simdjson::UNESCAPED_CHARS:
      return fail("$: a string has a control character that is not escaped");
    case simdjson::MEMALLOC:
      return fail("$: no memory to read it");
    default:
      return fail("$: the JSON parser does not run here; unset SIMDJSON_FORCE_IMPLEMENTATION");
  }
}

}  // namespace

/// Builds the nodes. The library's first stage checks UTF-8 and finds where each token begins,
/// which is in O(n) for any input; what tokens mean together is checked here, where the place is
/// known, and numbers of any length stay what they are.
class JsonReader::Walk {
 public:
  Walk(JsonReader& reader, std::size_t size, const JsonLimits& limits)
      : reader_(reader),
        size_(static_cast<std::uint32_t>(size)),
        strings_(size_ + simdjson::SIMDJSON_PADDING),
        values_(limits.values),
        depth_(std::min(limits.depth, kDeepestJson)) {}

  std::optional<Error> run() {
    simdjson::error_code code =
        simdjson::get_active_implementation()->create_dom_parser_implementation(
            std::max<std::size_t>(size_, 1), kDeepestJson, parser_);
    if (code == simdjson::SUCCESS)
      code = parser_->stage1(bytes(0), size_, simdjson::stage1_mode::regular);
    if (code != simdjson::SUCCESS) return document_fault(code);
    if (!value(0, {}, 0)) return error_;
    if (token_ == parser_->n_structural_indexes) return std::nullopt;
    fail(0, "the end", position());
    return error_;
  }

 private:
  const std::uint8_t* bytes(std::uint32_t at) const {
    return reinterpret_cast<const std::uint8_t*>(reader_.memory_.data() + at);
  }
  std::uint32_t position() const {
    return token_ < parser_->n_structural_indexes ? parser_->structural_indexes[token_] : size_;
  }
  /// The first character of the next token; 0 at the end, which is none that a token begins with.
  char next() const {
    return token_ < parser_->n_structural_indexes ? reader_.memory_[position()] : '\0';
  }
  /// Takes the next token: all that stands there before the one behind it.
  Text take() {
    const std::uint32_t begin = position();
    ++token_;
    const std::string_view text = reader_.view({begin, position() - begin});
    return {begin, static_cast<std::uint32_t>(text.find_last_not_of(kBlanks) + 1)};
  }
  bool take(char c) {
    if (next() != c || take().size != 1) return false;
    return true;
  }

  /// `at`: the position of the token that is not what it should be.
  bool fail(std::uint32_t node, std::string_view expected, std::uint32_t at) {
    std::string text("expected ");
    text.append(expected).append(" at byte ").append(std::to_string(at));
    error_ = JsonValue(&reader_, node).fault(text);
    return false;
  }

  bool value(std::uint32_t parent, Text name, unsigned depth);
  bool array(std::uint32_t node, unsigned depth);
  bool object(std::uint32_t node, unsigned depth);
  bool scalar(std::uint32_t node);
  bool string(Text raw, Text& text);

  JsonReader& reader_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  std::uint32_t size_;
  std::uint32_t strings_;  ///< where the next string without escapes goes
  std::uint32_t token_ = 0;
  std::size_t values_;
  unsigned depth_;
  Error error_;
};

bool JsonReader::Walk::value(std::uint32_t parent, Text name, unsigned depth) {
  const auto node = static_cast<std::uint32_t>(reader_.nodes_.size());
  if (node >= values_) {
    error_ = iron::fail("$: more than " + std::to_string(values_) + " values");
    return false;
  }
  Node& added = reader_.nodes_.emplace_back();
  added.parent = parent;
  added.name = name;
  added.after = node + 1;  // so that the path of a fault can be told before it is complete
  added.raw.begin = position();
  const char c = next();
  const bool container = c == '[' || c == '{';
  if (container && depth == depth_) {
    error_ = JsonValue(&reader_, node).fault("nested deeper than " + std::to_string(depth_));
    return false;
  }
  const bool fine = !container ? scalar(node)
                    : c == '[' ? array(node, depth + 1)
                               : object(node, depth + 1);
  if (fine) reader_.nodes_[node].after = static_cast<std::uint32_t>(reader_.nodes_.size());
  return fine;
}

bool JsonReader::Walk::array(std::uint32_t node, unsigned depth) {
  reader_.nodes_[node].kind = JsonValue::Kind::array;
  take('[');
  if (next() != ']') {
    do {
      if (!value(node, {}, depth)) return false;
    } while (take(','));
  }
  const std::uint32_t end = position();
  if (!take(']')) return fail(node, "\",\" or \"]\"", end);
  reader_.nodes_[node].raw.size = end + 1 - reader_.nodes_[node].raw.begin;
  return true;
}

bool JsonReader::Walk::object(std::uint32_t node, unsigned depth) {
  reader_.nodes_[node].kind = JsonValue::Kind::object;
  take('{');
  if (next() != '}') {
    do {
      Text name;
      const std::uint32_t begin = position();
      if (next() != '"' || !string(take(), name)) return fail(node, "the name of a member", begin);
      if (!take(':')) return fail(node, "\":\"", position());
      if (!value(node, name, depth)) return false;
    } while (take(','));
  }
  const std::uint32_t end = position();
  if (!take('}')) return fail(node, "\",\" or \"}\"", end);
  reader_.nodes_[node].raw.size = end + 1 - reader_.nodes_[node].raw.begin;
  return true;
}

bool JsonReader::Walk::scalar(std::uint32_t node) {
  const char c = next();
  const std::uint32_t begin = position();
  const Text raw = take();
  const std::string_view text = reader_.view(raw);
  Node& added = reader_.nodes_[node];
  added.raw = raw;
  if (c == '"') {
    added.kind = JsonValue::Kind::string;
    return string(raw, added.text) || fail(node, "a string", begin);
  }
  if (c == '-' || digit(c)) {
    added.kind = JsonValue::Kind::number;
    return is_number(text) || fail(node, "a number", begin);
  }
  if (text == "true" || text == "false") {
    added.kind = JsonValue::Kind::boolean;
    return true;
  }
  return text == "null" || fail(node, "a value", begin);
}

bool JsonReader::Walk::string(Text raw, Text& text) {
  const std::string_view quoted = reader_.view(raw);
  bool escapes = false;
  std::size_t end = 1;
  for (; end < quoted.size() && quoted[end] != '"'; ++end) {
    if (quoted[end] != '\\') continue;
    escapes = true;
    ++end;
  }
  if (end + 1 != quoted.size()) return false;
  text = {raw.begin + 1, static_cast<std::uint32_t>(end - 1)};
  if (!escapes) return true;
  if (reader_.memory_.size() == size_ + simdjson::SIMDJSON_PADDING) {
    // Once, for all strings: none gets longer, and the parser writes whole blocks.
    std::vector<char> larger(2 * reader_.memory_.size());
    std::copy(reader_.memory_.begin(), reader_.memory_.end(), larger.begin());
    std::swap(larger, reader_.memory_);
    wipe(larger);
  }
  auto* const out = reinterpret_cast<std::uint8_t*>(reader_.memory_.data() + strings_);
  const std::uint8_t* const done = parser_->parse_string(bytes(raw.begin + 1), out);
  if (done == nullptr) return false;
  text = {strings_, static_cast<std::uint32_t>(done - out)};
  strings_ += text.size;
  return true;
}

JsonReader::~JsonReader() { clear(); }

void JsonReader::clear() {
  if (!memory_.empty()) wipe(memory_);
  memory_.clear();
  nodes_.clear();
}

Result<JsonValue> JsonReader::parse(std::string_view document, const JsonLimits& limits) {
  clear();
  constexpr std::size_t kMost = std::size_t{1} << 30;  // positions have 32 bits
  const std::size_t most = std::min(limits.bytes, kMost);
  if (document.size() > most) {
    return fail("$: " + std::to_string(document.size()) + " bytes, at most " +
                std::to_string(most) + " are read");
  }
  memory_.assign(document.size() + simdjson::SIMDJSON_PADDING, '\0');
  std::copy(document.begin(), document.end(), memory_.begin());
  std::optional<Error> error = Walk(*this, document.size(), limits).run();
  wipe_stack();
  if (!error) return JsonValue(this, 0);
  clear();
  return *std::move(error);
}

}  // namespace iron::policy

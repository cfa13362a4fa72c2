#include "policy/yaml/yaml_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "policy/quote.h"
#include "policy/yaml/yaml_node.h"

namespace iron::policy {
namespace {

/// More would help nobody, and their number grows with the square of the file's size.
constexpr std::size_t kMaxErrors = 1000;

std::string mismatch_text(const YamlNode& node, std::string_view tag, std::string_view go_type) {
  if (node.explicit_tag) tag = node.tag;
  std::string text = "cannot unmarshal " + std::string(tag);
  if (tag != yaml_tag::kSequence && tag != yaml_tag::kMapping) {
    text += " `";
    text += node.value.size() > 10 ? node.value.substr(0, 7) + "..." : node.value;
    text += '`';
  }
  return text + " into " + std::string(go_type);
}

}  // namespace

void YamlErrors::add(int line, const std::string& text) {
  add({line, std::numeric_limits<std::uint32_t>::max()}, line, text);
}

void YamlErrors::add(Place place, int line, const std::string& text) {
  if (entries_.size() >= kMaxErrors) return;
  entries_.push_back({place, entries_.size(), "line " + std::to_string(line) + ": " + text});
}

void YamlErrors::abort(Place place, const std::string& text) {
  if (!abort_text_.empty() && abort_place_ <= place) return;
  abort_place_ = place;
  abort_text_ = text;
}

std::string YamlErrors::text() const {
  if (!abort_text_.empty()) return "yaml: " + abort_text_;
  auto sorted = entries_;
  std::sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.place, a.arrival) < std::tie(b.place, b.arrival);
  });
  std::string out = "yaml: unmarshal errors:";
  for (const Entry& entry : sorted) out += "\n  " + entry.text;
  return out;
}

struct BlockReader::State {
  struct Item {
    std::string_view key;
    const YamlNode* key_node;
    const YamlNode* value;
    bool used = false;
  };

  const YamlNode* node = nullptr;
  std::string go_type;
  Context context;
  std::vector<Item> items;

  State(std::string type, const Context& where) : go_type(std::move(type)), context(where) {}

  static YamlErrors::Place place(const YamlNode& at) { return {at.line, at.ordinal}; }

  void mismatch(const YamlNode& at, std::string_view tag, std::string_view type) {
    context.errors->add(place(at), at.line, mismatch_text(at, tag, type));
  }
  /// The block is of another kind than `type`.
  void mismatch(const YamlNode& at, std::string_view type) {
    YamlScalar scalar;
    if (at.kind != YamlNode::Kind::scalar) {
      mismatch(at, at.tag, type);
    } else if (resolve(at, scalar)) {
      mismatch(at, scalar.tag, type);
    }
  }

  bool resolve(const YamlNode& at, YamlScalar& out) {
    std::string error;
    if (resolve_node(at, out, error)) return true;
    context.errors->abort(place(at), error);
    return false;
  }

  /// Text of a scalar; false (and an error, unless it is null) if there is none.
  bool read_text(const YamlNode& at, std::string& out) {
    if (at.is_null()) return false;
    YamlScalar scalar;
    if (at.kind != YamlNode::Kind::scalar) {
      mismatch(at, at.tag, "string");
      return false;
    }
    if (!resolve(at, scalar)) return false;
    out = at.value;
    return true;
  }

  /// False, and an error, if the node is no integer.
  bool read_integer(const YamlNode& at, std::int64_t& out, std::string_view wanted) {
    constexpr double kLimit = 9223372036854775808.0;
    YamlScalar scalar;
    if (at.kind != YamlNode::Kind::scalar) {
      mismatch(at, wanted);
      return false;
    }
    if (!resolve(at, scalar)) return false;
    if (scalar.tag == yaml_tag::kInt && !scalar.is_unsigned) {
      out = scalar.integer;
      return true;
    }
    if (scalar.tag == yaml_tag::kFloat && scalar.real >= -kLimit && scalar.real < kLimit) {
      out = static_cast<std::int64_t>(scalar.real);
      return true;
    }
    mismatch(at, scalar.tag, wanted);
    return false;
  }

  bool check_duplicates(const YamlNode& mapping) {
    std::unordered_map<std::string_view, std::vector<const YamlNode*>> seen;
    std::vector<std::pair<const YamlNode*, const YamlNode*>> pairs;
    for (std::size_t i = 0; i < mapping.content.size(); i += 2) {
      const YamlNode* key = mapping.content[i];
      if (key->kind != YamlNode::Kind::scalar) continue;
      auto& earlier = seen[key->value];
      for (const YamlNode* first : earlier)
        if (pairs.size() < kMaxErrors) pairs.emplace_back(first, key);
      if (earlier.size() < kMaxErrors) earlier.push_back(key);
    }
    std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) {
      return std::tie(a.first->ordinal, a.second->ordinal) <
             std::tie(b.first->ordinal, b.second->ordinal);
    });
    for (const auto& [first, second] : pairs)
      context.errors->add(place(mapping), second->line,
                          "mapping key " + quoted(second->value) + " already defined at line " +
                              std::to_string(first->line));
    return pairs.empty();
  }

  /// Own keys, then those of merged mappings that are not set yet.
  void collect(const YamlNode& mapping, std::unordered_set<std::string_view>& names) {
    if (!check_duplicates(mapping)) return;
    const YamlNode* merged = nullptr;
    for (std::size_t i = 0; i + 1 < mapping.content.size(); i += 2) {
      const YamlNode* key = mapping.content[i];
      const YamlNode* value = mapping.content[i + 1];
      if (key->is_merge_key()) {
        merged = value;
      } else if (key->kind != YamlNode::Kind::scalar) {
        mismatch(*key, key->tag, "string");
      } else if (!key->is_null() && names.insert(key->value).second) {
        items.push_back({key->value, key, value});
      }
    }
    if (merged != nullptr) collect_merged(*merged, names);
  }

  void collect_merged(const YamlNode& merged, std::unordered_set<std::string_view>& names) {
    const auto add = [&](const YamlNode& from) {
      if (from.kind == YamlNode::Kind::mapping) return collect(from, names);
      context.errors->abort(place(from), "map merge requires map or sequence of maps as the value");
    };
    if (merged.kind != YamlNode::Kind::sequence) return add(merged);
    for (const YamlNode* element : merged.content) add(*element);
  }

  /// The value of `key`, marked as used; null if absent or null.
  const YamlNode* take(std::string_view key) {
    for (Item& item : items) {
      if (item.key != key) continue;
      item.used = true;
      return item.value->is_null() ? nullptr : item.value;
    }
    return nullptr;
  }
  const YamlNode* look(std::string_view key) const {
    for (const Item& item : items)
      if (item.key == key) return item.value;
    return nullptr;
  }
};

BlockReader::BlockReader(const YamlNode* node,
                         std::string go_type,
                         std::string path,
                         const Context& context)
    : path_(std::move(path)), state_(std::make_unique<State>(std::move(go_type), context)) {
  if (node == nullptr || node->is_null()) return;
  state_->node = node;
  if (node->kind != YamlNode::Kind::mapping) {
    state_->mismatch(*node, state_->go_type);
    return;
  }
  std::unordered_set<std::string_view> names;
  state_->collect(*node, names);
}

BlockReader::~BlockReader() = default;

bool BlockReader::present(std::string_view key) const {
  const YamlNode* value = state_->look(key);
  return value != nullptr && !value->is_null();
}

int BlockReader::line_of(std::string_view key) const {
  const YamlNode* value = state_->look(key);
  return value == nullptr ? 0 : value->line;
}

int BlockReader::line() const { return state_->node == nullptr ? 0 : state_->node->line; }

void BlockReader::text(std::string_view key, std::string& out) {
  if (const YamlNode* value = state_->take(key)) state_->read_text(*value, out);
}

void BlockReader::boolean(std::string_view key, bool& out) {
  static const std::unordered_set<std::string_view> kYes = {"y",   "Y",  "yes", "Yes",
                                                            "YES", "on", "On",  "ON"};
  static const std::unordered_set<std::string_view> kNo = {"n",  "N",   "no",  "No",
                                                           "NO", "off", "Off", "OFF"};
  const YamlNode* value = state_->take(key);
  if (value == nullptr) return;
  YamlScalar scalar;
  if (value->kind != YamlNode::Kind::scalar) return state_->mismatch(*value, "bool");
  if (!state_->resolve(*value, scalar)) return;
  if (scalar.tag == yaml_tag::kBool) {
    out = scalar.boolean;
  } else if (scalar.tag == yaml_tag::kText && kYes.contains(value->value)) {
    out = true;
  } else if (scalar.tag == yaml_tag::kText && kNo.contains(value->value)) {
    out = false;
  } else {
    state_->mismatch(*value, scalar.tag, "bool");
  }
}

bool BlockReader::boolean_or(std::string_view key, std::string_view word, bool& out) {
  const YamlNode* value = state_->look(key);
  YamlScalar scalar;
  const bool is_word = value != nullptr && value->kind == YamlNode::Kind::scalar &&
                       value->value == word && state_->resolve(*value, scalar) &&
                       scalar.tag == yaml_tag::kText;
  if (is_word) {
    state_->take(key);
  } else {
    boolean(key, out);
  }
  return is_word;
}

void BlockReader::integer(std::string_view key, std::int64_t& out, std::string_view go_type) {
  if (const YamlNode* value = state_->take(key)) state_->read_integer(*value, out, go_type);
}

void BlockReader::integers(std::string_view key,
                           std::vector<std::int64_t>& out,
                           std::vector<int>& lines) {
  const YamlNode* value = state_->take(key);
  if (value == nullptr) return;
  if (value->kind != YamlNode::Kind::sequence) return state_->mismatch(*value, "[]int");
  out.clear();
  lines.clear();
  for (const YamlNode* element : value->content) {
    std::int64_t number = 0;
    if (element->is_null() || !state_->read_integer(*element, number, "int")) continue;
    out.push_back(number);
    lines.push_back(element->line);
  }
}

void BlockReader::texts(std::string_view key,
                        std::vector<std::string>& out,
                        std::vector<int>* lines) {
  const YamlNode* value = state_->take(key);
  if (value == nullptr) return;
  if (value->kind != YamlNode::Kind::sequence) return state_->mismatch(*value, "[]string");
  out.clear();
  if (lines != nullptr) lines->clear();
  for (const YamlNode* element : value->content) {
    std::string text;
    if (!state_->read_text(*element, text)) continue;
    out.push_back(std::move(text));
    if (lines != nullptr) lines->push_back(element->line);
  }
}

bool BlockReader::scalar(std::string_view key, std::string& out) {
  const YamlNode* value = state_->take(key);
  return value != nullptr && state_->read_text(*value, out);
}

std::shared_ptr<const YamlNode> BlockReader::block(std::string_view key) {
  return share(state_->take(key));
}

std::vector<std::shared_ptr<const YamlNode>> BlockReader::blocks(std::string_view key,
                                                                 std::string_view go_type) {
  std::vector<std::shared_ptr<const YamlNode>> out;
  const YamlNode* value = state_->take(key);
  if (value == nullptr) return out;
  if (value->kind != YamlNode::Kind::sequence) {
    state_->mismatch(*value, go_type);
    return out;
  }
  for (const YamlNode* element : value->content)
    if (!element->is_null()) out.push_back(share(element));
  return out;
}

std::vector<std::pair<std::string, std::shared_ptr<const YamlNode>>> BlockReader::entries(
    std::string_view key, std::string_view go_type) {
  const YamlNode* value = state_->take(key);
  if (value == nullptr) return {};
  if (value->kind != YamlNode::Kind::mapping) {
    state_->mismatch(*value, go_type);
    return {};
  }
  std::map<std::string, std::shared_ptr<const YamlNode>> sorted;
  for (std::size_t i = 0; i + 1 < value->content.size(); i += 2) {
    sorted[value->content[i]->value] = share(value->content[i + 1]);
  }
  return {sorted.begin(), sorted.end()};
}

std::shared_ptr<const YamlNode> BlockReader::any(std::string_view key) {
  return share(state_->take(key));
}

void BlockReader::finish() {
  for (const State::Item& item : state_->items) {
    if (item.used) continue;
    const int line = item.key_node->line;
    if (state_->context.unknown == UnknownKeys::are_errors) {
      state_->context.errors->add(
          State::place(*item.key_node), line,
          "field " + std::string(item.key) + " not found in type " + state_->go_type);
    } else if (state_->context.warnings != nullptr) {
      std::string path =
          path_.empty() ? std::string(item.key) : path_ + "." + std::string(item.key);
      state_->context.warnings->push_back({"transform config key ignored",
                                           {{"file", state_->context.file},
                                            {"line", std::to_string(line), true},
                                            {"key", std::move(path)}}});
    }
  }
}

}  // namespace iron::policy

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <optional>
#include <streambuf>

#include "policy/config_error.h"
#include "policy/yaml/yaml_node.h"
#include "policy/yaml/yaml_syntax.h"

namespace iron::policy {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{8} << 20;
constexpr std::size_t kMaxNodes = 250000;
/// The library holds the tokens of a line, and of a pair of brackets, until it knows that they are
/// no key.
constexpr std::size_t kMaxLine = std::size_t{1} << 20;
constexpr std::size_t kMaxElements = 100000;
constexpr int kMaxDepth = 1000;
/// What a document may grow to when every alias is copied out.
constexpr std::uint64_t kMaxExpanded = std::uint64_t{32} << 20;
constexpr std::uint64_t kNodeSize = 64;

/// Stands for a `?` inside a word while the library reads: it would end a word there in a flow
/// collection (`[api?.test]`). A private-use character.
constexpr std::string_view kQuestionMark = "\xEE\x80\xBF";

[[noreturn]] void fail_parsing(const std::string& text) {
  throw ConfigError("parsing config: yaml: " + text);
}

/// `tag:yaml.org,2002:int` as `!!int`.
std::string short_tag(const std::string& tag) {
  static constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
  if (!tag.starts_with(kPrefix)) return tag;
  return "!!" + tag.substr(kPrefix.size());
}

/// Reads from memory without a copy.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(const std::string& text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

YamlMark place_of(const YAML::Mark& mark) {
  return {static_cast<std::size_t>(std::max(mark.pos, 0)), mark.line, mark.column};
}

/// Builds the tree out of the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, bool padded)
      : document_(std::make_shared<YamlDocument>()), text_(text), padded_(padded) {}

  std::shared_ptr<YamlDocument> document() const { return document_; }
  /// The outermost collection, if it is in block form and at its end.
  const std::optional<YamlOpen>& root_block() const { return root_block_; }

  [[noreturn]] void fail_at(const YamlMark& at, const std::string& message) const {
    YamlFault fault{message, at, last_, open_marks_, closed_, padded_};
    if (root_block_) fault.open = {*root_block_};
    fail_parsing(yaml_fault_text(text_, fault));
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_null(place_of(mark));
    YamlNode& node = make(YamlNode::Kind::scalar, mark, anchor);
    node.tag = yaml_tag::kNull;
    attach(&node);
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = make(YamlNode::Kind::scalar, mark, anchor);
    node.value = with_question_marks(value);
    node.expanded += value.size();
    if (tag == "?") {
      node.tag = value == "<<" ? yaml_tag::kMerge : resolve_scalar({}, value).tag;
    } else if (tag == "!") {
      node.tag = yaml_tag::kText;
    } else {
      set_tag(node, tag);
    }
    attach(&node);
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(YamlNode::Kind::sequence, yaml_tag::kSequence, mark, tag, anchor);
    open_marks_.push_back({place_of(mark), false, style == YAML::EmitterStyle::Flow});
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(YamlNode::Kind::mapping, yaml_tag::kMapping, mark, tag, anchor);
    open_marks_.push_back({place_of(mark), true, style == YAML::EmitterStyle::Flow});
  }
  void OnMapEnd() override { close(); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    note_key(place_of(mark));
    const YamlNode* target = anchors_.at(anchor);
    if (std::find(open_.begin(), open_.end(), target) != open_.end())
      fail_parsing("anchor '" + names_.at(anchor) + "' value contains itself");
    attach(target);
  }

  void OnAnchor(const YAML::Mark&, const std::string& name) override { names_.push_back(name); }

 private:
  YamlNode& make(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (document_->nodes.size() == kMaxNodes) fail_parsing("document has too many values");
    last_ = place_of(mark);
    note_key(last_);
    YamlNode& node = document_->nodes.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    node.ordinal = static_cast<std::uint32_t>(document_->nodes.size());
    node.document = document_.get();
    node.expanded = kNodeSize;
    if (anchor != 0) {
      anchors_.resize(std::max<std::size_t>(anchors_.size(), anchor + 1));
      anchors_[anchor] = &node;
    }
    return node;
  }

  bool wants_key() const {
    return open_.back()->kind == YamlNode::Kind::mapping && open_.back()->content.size() % 2 == 0;
  }

  void note_key(const YamlMark& at) {
    if (!open_.empty() && wants_key()) open_marks_.back().key = at.offset;
  }

  /// The library makes up keys and values that a block mapping lacks; here they are faults.
  void check_null(const YamlMark& at) const {
    if (open_.empty() || open_.back()->kind != YamlNode::Kind::mapping || open_marks_.back().flow)
      return;
    const bool no_key = wants_key() && at.offset < text_.size() && text_[at.offset] == ':';
    if (no_key) fail_at(at, kYamlMissingKey);
    if (!wants_key() && at.offset == open_marks_.back().key) fail_at(at, kYamlBareKey);
  }

  static std::string with_question_marks(const std::string& value) {
    std::string out;
    std::size_t from = 0;
    for (std::size_t at; (at = value.find(kQuestionMark, from)) != std::string::npos;
         from = at + kQuestionMark.size())
      out.append(value, from, at - from) += '?';
    return out.append(value, from);
  }

  void set_tag(YamlNode& node, const std::string& tag) {
    node.explicit_tag = true;
    node.tag = document_->tags.emplace_back(short_tag(tag));
  }

  void open(YamlNode::Kind kind,
            std::string_view default_tag,
            const YAML::Mark& mark,
            const std::string& tag,
            YAML::anchor_t anchor) {
    YamlNode& node = make(kind, mark, anchor);
    node.tag = default_tag;
    if (tag != "?" && tag != "!" && !tag.empty()) set_tag(node, tag);
    open_.push_back(&node);
  }

  void close() {
    const YamlNode* node = open_.back();
    open_.pop_back();
    closed_ = open_marks_.back();
    open_marks_.pop_back();
    if (open_.empty() && !closed_->flow) root_block_ = closed_;
    attach(node);
  }

  void attach(const YamlNode* node) {
    if (open_.empty()) {
      document_->root = node;
      return;
    }
    YamlNode& parent = *open_.back();
    parent.content.push_back(node);
    parent.expanded += node->expanded;
    if (parent.expanded > kMaxExpanded) fail_parsing("document contains excessive aliasing");
  }

  std::shared_ptr<YamlDocument> document_;
  std::vector<YamlNode*> open_;
  std::vector<YamlOpen> open_marks_;
  YamlMark last_;
  std::optional<YamlOpen> closed_, root_block_;
  std::string_view text_;
  bool padded_;
  std::vector<const YamlNode*> anchors_ = {nullptr};
  std::vector<std::string> names_ = {std::string()};
};

/// Stops at the first value behind a document.
class NextDocument : public YAML::EventHandler {
 public:
  struct Found {
    YamlMark at;
  };
  void OnDocumentStart(const YAML::Mark& mark) override { throw Found{place_of(mark)}; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&,
                const std::string&,
                YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&,
                       const std::string&,
                       YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&,
                  const std::string&,
                  YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// True if a document may begin at `offset`: with `---`, or behind a line `...`.
bool begins_document(std::string_view text, std::size_t offset) {
  if (text.substr(offset, 3) == "---") return true;
  std::size_t end = text.substr(0, offset).rfind('\n');
  while (end != std::string_view::npos) {
    const std::size_t begin = end == 0 ? 0 : text.rfind('\n', end - 1) + 1;
    const std::string_view line = text.substr(begin, end - begin);
    if (line.starts_with("...")) return true;
    if (!yaml_is_blank(line)) return false;
    end = begin == 0 ? std::string_view::npos : begin - 1;
  }
  return false;
}

/// The library ends a document where a block collection ends, and takes what follows for another
/// one: a wrongly indented line would silently cut the configuration.
void refuse_rest(YAML::Parser& parser, std::string_view text, const TreeBuilder& builder) {
  NextDocument next;
  try {
    parser.HandleNextDocument(next);
  } catch (const NextDocument::Found& found) {
    if (begins_document(text, found.at.offset) || !builder.root_block()) return;
    builder.fail_at(found.at, builder.root_block()->mapping ? YAML::ErrorMsg::END_OF_MAP
                                                            : YAML::ErrorMsg::END_OF_SEQ);
  } catch (const YAML::Exception&) {
    // Not the first document's fault.
  }
}

/// Refuses texts that would take the library much memory before it refused them itself. Counts
/// without regard to quotes and comments: the limits are far above what a configuration holds.
void check_size(std::string_view text) {
  std::size_t line = 1;
  std::size_t length = 0;
  std::size_t elements = 0;
  int depth = 0;
  for (const char c : text) {
    ++length;
    if (c == '\n') {
      ++line;
      length = 0;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      depth = std::max(depth - 1, 0);
      if (depth == 0) elements = 0;
    } else if (c == ',' && depth > 0) {
      ++elements;
    }
    const char* fault = length > kMaxLine         ? "longer than 1 MiB"
                        : depth > kMaxDepth       ? "nested too deeply"
                        : elements > kMaxElements ? "too many values in brackets"
                                                  : nullptr;
    if (fault != nullptr) fail_parsing("line " + std::to_string(line) + ": " + fault);
  }
}

void hide_question_marks(std::string& text) {
  if (text.find('?') == std::string::npos || text.find(kQuestionMark) != std::string::npos) return;
  static constexpr std::string_view kOutside = " \t\r\n,[]{}:";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool inside = text[i] == '?' && i > 0 && i + 1 < text.size() &&
                        kOutside.find(text[i - 1]) == std::string_view::npos &&
                        std::string_view(" \t\r\n").find(text[i + 1]) == std::string_view::npos;
    if (inside) {
      out += kQuestionMark;
    } else {
      out += text[i];
    }
  }
  text = std::move(out);
}

}  // namespace

std::shared_ptr<const YamlNode> share(const YamlNode* node) {
  if (node == nullptr || node->is_null()) return nullptr;
  return {node->document->shared_from_this(), node};
}

std::shared_ptr<const YamlNode> parse_yaml(std::string_view bytes) {
  if (bytes.size() > kMaxBytes) throw ConfigError("parsing config: file is larger than 8 MiB");
  std::string text = decode_yaml_bytes(bytes);
  if (yaml_is_blank(text)) throw ConfigError("parsing config: EOF");
  check_size(text);
  // The library takes an unfinished quoted text at the end of the stream for a finished one; an end
  // of document in it is an error.
  const bool padded = text.back() != '\n';
  text += padded ? "\n...\n" : "...\n";
  hide_question_marks(text);
  MemoryBuffer buffer(text);
  std::istream stream(&buffer);
  TreeBuilder builder(text, padded);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) throw ConfigError("parsing config: EOF");
    refuse_rest(parser, text, builder);
  } catch (const YAML::Exception& error) {
    builder.fail_at(place_of(error.mark), error.msg);
  }
  return share(builder.document()->root);
}

}  // namespace iron::policy

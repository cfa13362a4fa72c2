#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>

#include "policy/config_error.h"
#include "policy/quote.h"
#include "policy/yaml/yaml_node.h"

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

constexpr std::string_view kBlanks = " \t\r\n";

/// Stands for a `?` inside a word while the library reads: it would end a word there in a flow
/// collection (`[api?.test]`). A private-use character.
constexpr std::string_view kQuestionMark = "\xEE\x80\xBF";

/// The library takes an unfinished quoted text at the end of the stream for a finished one; in
/// front of this it is a fault.
constexpr std::string_view kEnd = "...\n";

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

/// Builds the tree out of the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  /// `hidden`: question marks stand as kQuestionMark.
  TreeBuilder(std::string_view text, int last_line, bool hidden)
      : text_(text), last_line_(last_line), hidden_(hidden) {}

  std::shared_ptr<YamlDocument> document() const { return document_; }
  /// Whether the outermost value is a list or a mapping without brackets.
  bool is_block() const { return is_block_; }

  [[noreturn]] void fail(const YAML::Exception& error) const {
    if (error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR)
      fail_parsing("unknown anchor '" + alias_at(error.mark) + "' referenced");
    if (error.msg == YAML::ErrorMsg::BAD_FILE) fail_at(error.mark, "nested too deeply");
    const bool at_end = offset_of(error.mark) + kEnd.size() == text_.size();
    if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR && at_end)
      fail_at(error.mark, YAML::ErrorMsg::EOF_IN_SCALAR);
    // A text of the library may end with one byte of a character of the file.
    const std::string printable = quoted(error.msg);
    fail_at(error.mark, printable.substr(1, printable.size() - 2));
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // The library ends a document where the outermost block ends and takes what follows for another
    // one: a wrongly indented line would silently cut the configuration.
    if (document_->root != nullptr)
      fail_at(mark, "the outermost block has ended: check the indentation");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_half_entry(mark);
    YamlNode& node = make(YamlNode::Kind::scalar, mark, anchor);
    node.tag = yaml_tag::kNull;
    attach(&node);
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = make(YamlNode::Kind::scalar, mark, anchor);
    node.value = hidden_ ? with_question_marks(value) : value;
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
    open(YamlNode::Kind::sequence, yaml_tag::kSequence, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(YamlNode::Kind::mapping, yaml_tag::kMapping, mark, tag, anchor, style);
  }
  void OnMapEnd() override { close(); }

  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    const YamlNode* target = anchors_.at(anchor);
    if (std::ranges::find(open_, target, &Open::node) != open_.end())
      fail_parsing("anchor '" + names_.at(anchor) + "' value contains itself");
    attach(target);
  }

  void OnAnchor(const YAML::Mark&, const std::string& name) override { names_.push_back(name); }

 private:
  struct Open {
    YamlNode* node;
    bool flow;
    int key = -1;  ///< offset of the last key of a mapping
  };

  YamlNode& make(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (document_->nodes.size() == kMaxNodes) fail_parsing("document has too many values");
    if (!open_.empty() && wants_key()) open_.back().key = mark.pos;
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

  [[noreturn]] void fail_at(const YAML::Mark& mark, const std::string& what) const {
    const int line = std::max(std::min(mark.line + 1, last_line_), 1);
    fail_parsing("line " + std::to_string(line) + ": " + what);
  }

  static std::size_t offset_of(const YAML::Mark& mark) {
    return static_cast<std::size_t>(std::max(mark.pos, 0));
  }

  std::string alias_at(const YAML::Mark& mark) const {
    const std::string_view name = text_.substr(std::min(offset_of(mark) + 1, text_.size()));
    return std::string(
        name.substr(0, name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                              "0123456789_-")));
  }

  /// The library makes up a key or a value for a block mapping that lacks it.
  void refuse_half_entry(const YAML::Mark& mark) const {
    if (open_.empty() || open_.back().flow) return;
    const bool at_colon = text_.substr(std::min(offset_of(mark), text_.size())).starts_with(':');
    if (wants_key() && at_colon) fail_at(mark, "key not found before ':'");
    const bool at_its_key = mark.pos == open_.back().key;
    if (!wants_key() && at_its_key) fail_at(mark, "':' not found behind a key");
  }

  bool wants_key() const {
    const YamlNode& inner = *open_.back().node;
    return inner.kind == YamlNode::Kind::mapping && inner.content.size() % 2 == 0;
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
            YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    if (open_.empty()) is_block_ = style == YAML::EmitterStyle::Block;
    YamlNode& node = make(kind, mark, anchor);
    node.tag = default_tag;
    if (tag != "?" && tag != "!" && !tag.empty()) set_tag(node, tag);
    open_.push_back({&node, style == YAML::EmitterStyle::Flow});
  }

  void close() {
    const YamlNode* node = open_.back().node;
    open_.pop_back();
    attach(node);
  }

  void attach(const YamlNode* node) {
    if (open_.empty()) {
      document_->root = node;
      return;
    }
    YamlNode& parent = *open_.back().node;
    parent.content.push_back(node);
    parent.expanded += node->expanded;
    if (parent.expanded > kMaxExpanded) fail_parsing("document contains excessive aliasing");
  }

  std::string_view text_;
  int last_line_;
  bool hidden_;
  bool is_block_ = false;
  std::shared_ptr<YamlDocument> document_ = std::make_shared<YamlDocument>();
  std::vector<Open> open_;
  std::vector<const YamlNode*> anchors_ = {nullptr};
  std::vector<std::string> names_ = {std::string()};
};

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

/// Whether the text holds nothing but blanks and comments.
bool is_blank(std::string_view text) {
  bool comment = false;
  char before = '\n';
  for (const char c : text) {
    if (c == '\n') comment = false;
    if (c == '#' && is_blank(before)) comment = true;
    if (!comment && !is_blank(c)) return false;
    before = c;
  }
  return true;
}

/// Whether the line is `---` or `...`, alone or before a blank.
bool is_marker(std::string_view line, std::string_view marker) {
  if (!line.starts_with(marker)) return false;
  return line.size() == marker.size() || is_blank(line[marker.size()]);
}

/// The front of the text that is its first document: a marker at the begin of a line ends one
/// wherever it stands.
std::string_view first_document(std::string_view text) {
  bool begun = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const bool begins = is_marker(line, "---");
    const bool ends = is_marker(line, "...");
    if (begun && (begins || ends)) return text.substr(0, at);
    begun = begun || begins || !(ends || line.starts_with('%') || is_blank(line));
    at = end + 1;
  }
  return text;
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

/// False if there is nothing to hide, or the text has that character already.
bool hide_question_marks(std::string& text) {
  if (text.find('?') == std::string::npos || text.find(kQuestionMark) != std::string::npos)
    return false;
  static constexpr std::string_view kOutside = " \t\r\n,[]{}:";
  std::string out;
  char before = '\n';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool inside = text[i] == '?' && kOutside.find(before) == std::string_view::npos &&
                        i + 1 < text.size() && !is_blank(text[i + 1]);
    before = text[i];
    if (inside) {
      out += kQuestionMark;
    } else {
      out += before;
    }
  }
  text = std::move(out);
  return true;
}

}  // namespace

std::shared_ptr<const YamlNode> share(const YamlNode* node) {
  if (node == nullptr || node->is_null()) return nullptr;
  return {node->document->shared_from_this(), node};
}

std::shared_ptr<const YamlNode> parse_yaml(std::string_view bytes) {
  if (bytes.size() > kMaxBytes) throw ConfigError("parsing config: file is larger than 8 MiB");
  std::string text = decode_yaml_bytes(bytes);
  if (is_blank(text)) throw ConfigError("parsing config: EOF");
  check_size(text);
  text.resize(first_document(text).size());
  if (text.back() != '\n') text += '\n';
  const int last_line = static_cast<int>(std::ranges::count(text, '\n'));
  text += kEnd;
  const bool hidden = hide_question_marks(text);
  TreeBuilder builder(text, last_line, hidden);
  MemoryBuffer buffer(text);
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) throw ConfigError("parsing config: EOF");
    if (builder.is_block()) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    builder.fail(error);
  }
  return share(builder.document()->root);
}

}  // namespace iron::policy

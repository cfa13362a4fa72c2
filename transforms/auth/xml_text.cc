#include "transforms/auth/xml_text.h"

#include <algorithm>
#include <array>
#include <vector>

#include "transforms/auth/secret_writer.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kDeepest = 32;

struct Entity {
  std::string_view name;
  char byte;
};
constexpr std::array<Entity, 5> kEntities{
    {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}}};

std::optional<Secret> decoded(std::string_view text) {
  SecretWriter out;
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find('&'), text.size());
    out.put(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto entity = std::ranges::find_if(
        kEntities, [&](const Entity& at) { return text.starts_with(at.name); });
    if (entity == kEntities.end()) return std::nullopt;
    out.put(entity->byte);
    text.remove_prefix(entity->name.size());
  }
  return out.finish();
}

class Scanner {
 public:
  Scanner(std::string_view document, std::span<const std::string_view> path)
      : rest_(document), path_(path) {}

  std::optional<Secret> find() {
    while (true) {
      const std::size_t open = rest_.find('<');
      if (open == rest_.npos) return std::nullopt;
      const std::string_view text = rest_.substr(0, open);
      rest_.remove_prefix(open);
      if (rest_.starts_with("</")) {
        const bool wanted = at_path() && leaf_;
        if (!leave()) return std::nullopt;
        if (wanted) return decoded(text);
      } else if (rest_.starts_with("<?") || rest_.starts_with("<!--")) {
        leaf_ = false;  // it would cut a text in two: such a text is not taken
        if (!skip(rest_[1] == '?' ? "?>" : "-->")) return std::nullopt;
      } else if (!enter()) {
        return std::nullopt;
      }
    }
  }

 private:
  bool at_path() const {
    return std::ranges::equal(names_, path_, [](std::string_view name, std::string_view wanted) {
      return wanted == "*" || name == wanted;
    });
  }

  bool skip(std::string_view end) {
    const std::size_t at = rest_.find(end);
    if (at == rest_.npos) return false;
    rest_.remove_prefix(at + end.size());
    return true;
  }

  /// `<Name attribute="a>b">` or `<Name/>`
  bool enter() {
    const std::size_t end = tag_end();
    if (end == rest_.npos) return false;
    std::string_view tag = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const bool closed = tag.ends_with('/');
    if (closed) tag.remove_suffix(1);
    const std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n"));
    if (name.empty() || name.find_first_of("!&'\"=/") != name.npos) return false;
    leaf_ = !closed;
    if (closed) return true;
    names_.push_back(name);
    return names_.size() <= kDeepest;
  }

  std::size_t tag_end() const {
    char quote = 0;
    for (std::size_t at = 1; at < rest_.size(); ++at) {
      const char c = rest_[at];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '<') {
        return rest_.npos;
      } else if (c == '>') {
        return at;
      }
    }
    return rest_.npos;
  }

  bool leave() {
    const std::size_t end = rest_.find('>');
    if (end == rest_.npos || names_.empty()) return false;
    std::string_view name = rest_.substr(2, end - 2);
    rest_.remove_prefix(end + 1);
    name = name.substr(0, name.find_first_of(" \t\r\n"));
    if (name != names_.back()) return false;
    names_.pop_back();
    leaf_ = false;
    return true;
  }

  std::string_view rest_;
  std::span<const std::string_view> path_;
  std::vector<std::string_view> names_;
  bool leaf_ = false;  ///< nothing but text since the last opening tag
};

}  // namespace

std::optional<Secret> xml_text(std::string_view document, std::span<const std::string_view> path) {
  return Scanner(document, path).find();
}

}  // namespace iron::transforms

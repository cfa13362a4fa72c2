#include "transforms/auth/aws_config.h"

#include <algorithm>
#include <string>

#include "policy/http_message.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;
constexpr std::size_t kMostSettings = 10000;
constexpr std::string_view kBlanks = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kBlanks);
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
}

/// A comment behind a value needs a blank in front: `#` and `;` are common in values.
std::string_view without_comment(std::string_view value) {
  for (std::size_t at = 1; at < value.size(); ++at) {
    const bool mark = value[at] == '#' || value[at] == ';';
    if (mark && (value[at - 1] == ' ' || value[at - 1] == '\t')) return value.substr(0, at);
  }
  return value;
}

std::string_view unquoted(std::string_view name) {
  const bool quoted = name.size() > 1 && name.front() == name.back() &&
                      (name.front() == '"' || name.front() == '\'');
  return quoted ? name.substr(1, name.size() - 2) : name;
}

const AwsConfigFile::Setting* last(const std::vector<AwsConfigFile::Setting>& settings,
                                   std::string_view name) {
  const auto found = std::find_if(settings.rbegin(), settings.rend(),
                                  [&](const auto& at) { return iequals(at.name, name); });
  return found == settings.rend() ? nullptr : &*found;
}

}  // namespace

class AwsConfigFile::Parser {
 public:
  Parser(std::string_view text, std::vector<Section>& sections)
      : rest_(text), sections_(sections) {}

  Result<void> read() {
    while (!rest_.empty()) {
      ++line_;
      const std::string_view line = rest_.substr(0, rest_.find('\n'));
      rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
      const std::string_view text = trim(line);
      if (text.empty() || text.front() == '#' || text.front() == ';') continue;
      const bool deeper = line.front() == ' ' || line.front() == '\t';
      const auto read = text.front() == '[' && !deeper ? header(text) : setting(text, deeper);
      if (!read) return read;
      if (++count_ > kMostSettings) return fault("too many settings");
    }
    return {};
  }

 private:
  Error fault(std::string_view why) const {
    return fail("line " + std::to_string(line_) + ": " + std::string(why));
  }

  Result<void> header(std::string_view text) {
    const std::size_t end = text.find(']');
    if (end == text.npos) return fault("a section without \"]\"");
    const std::string_view behind = trim(text.substr(end + 1));
    if (!behind.empty() && behind.front() != '#' && behind.front() != ';')
      return fault("text behind a section");
    const std::string_view inside = trim(text.substr(1, end - 1));
    const std::size_t blank = inside.find_first_of(kBlanks);
    Section section;
    section.kind = blank == inside.npos ? std::string_view() : inside.substr(0, blank);
    section.name = unquoted(blank == inside.npos ? inside : trim(inside.substr(blank)));
    sections_.push_back(std::move(section));
    return {};
  }

  Result<void> setting(std::string_view text, bool deeper) {
    if (sections_.empty()) return fault("a setting in front of the first section");
    std::vector<Setting>& settings = sections_.back().settings;
    const bool nested = deeper && !settings.empty();
    const std::size_t equals = text.find('=');
    if (equals == text.npos || equals == 0) {
      // A deeper line without `=` goes on with a value; no setting that is read here has such
      // lines.
      if (nested) return {};
      return fault("neither a section nor a setting");
    }
    const std::string_view value = trim(without_comment(text.substr(equals + 1)));
    Setting found{trim(text.substr(0, equals)), value, {}};
    if (!nested) {
      settings.push_back(std::move(found));
    } else if (settings.back().value.empty()) {
      settings.back().nested.push_back(std::move(found));
    }
    return {};
  }

  std::string_view rest_;
  std::vector<Section>& sections_;
  std::size_t line_ = 0, count_ = 0;
};

Result<AwsConfigFile> AwsConfigFile::parse(Secret content) {
  if (content.size() > kLargestFile) return fail("larger than 1048576 bytes");
  AwsConfigFile file;
  file.content_ = std::move(content);
  const auto read = Parser(file.content_.reveal(), file.sections_).read();
  if (!read) return read.error();
  return file;
}

bool AwsConfigFile::has(std::string_view kind, std::string_view name) const {
  return std::ranges::any_of(sections_,
                             [&](const Section& at) { return at.kind == kind && at.name == name; });
}

std::optional<std::string_view> AwsConfigFile::find(std::string_view kind,
                                                    std::string_view name,
                                                    std::string_view setting) const {
  std::optional<std::string_view> value;
  for (const Section& section : sections_) {
    if (section.kind != kind || section.name != name) continue;
    if (const Setting* found = last(section.settings, setting)) value = found->value;
  }
  return value;
}

std::optional<Secret> AwsConfigFile::find_secret(std::string_view kind,
                                                 std::string_view name,
                                                 std::string_view setting) const {
  const auto value = find(kind, name, setting);
  if (!value) return std::nullopt;
  return Secret::copy_of(*value);
}

std::optional<std::string_view> AwsConfigFile::find_nested(std::string_view kind,
                                                           std::string_view name,
                                                           std::string_view block,
                                                           std::string_view setting) const {
  std::optional<std::string_view> value;
  for (const Section& section : sections_) {
    if (section.kind != kind || section.name != name) continue;
    const Setting* outer = last(section.settings, block);
    const Setting* found = outer ? last(outer->nested, setting) : nullptr;
    if (found) value = found->value;
  }
  return value;
}

std::optional<std::string_view> find_in_profile(const AwsConfigFile& config,
                                                std::string_view name,
                                                std::string_view setting) {
  const bool plain = name == "default" && !config.has("profile", name);
  return config.find(plain ? "" : "profile", name, setting);
}

}  // namespace iron::transforms

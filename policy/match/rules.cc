#include "policy/match/rules.h"

#include <algorithm>

#include "policy/config_error.h"
#include "policy/match/glob.h"
#include "policy/quote.h"

namespace iron::policy {
namespace {

using OptionalPath = const std::optional<std::string_view>&;

constexpr std::string_view kGlobChars = "*?[\\";

/// Without one trailing dot, as hosts are compared; an escaped dot counts as one.
std::string_view without_trailing_dot(std::string_view pattern) {
  if (!pattern.ends_with('.')) return pattern;
  pattern.remove_suffix(1);
  const std::size_t last = pattern.find_last_not_of('\\');
  const std::size_t slashes = pattern.size() - (last == std::string_view::npos ? 0 : last + 1);
  if (slashes % 2 == 1) pattern.remove_suffix(1);
  return pattern;
}

/// `a.com:443`, `*:443`, `[::1]:443`: hosts hold no colon, or at least two.
bool has_port(std::string_view pattern) {
  const std::size_t colon = pattern.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view host = pattern.substr(0, colon);
  const std::string_view port = pattern.substr(colon + 1);
  if (port.find_first_not_of("0123456789*") != std::string_view::npos) return false;
  return host.find(':') == std::string_view::npos || host.ends_with(']');
}

std::string upper_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c & ~0x20);
  }
  return text;
}

bool path_text_matches(std::string_view pattern, std::string_view path) {
  if (pattern.ends_with("/*")) {
    const std::string_view base = pattern.substr(0, pattern.size() - 2);
    return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/');
  }
  if (pattern.find_first_of(kGlobChars) == std::string_view::npos) return pattern == path;
  return glob_match(pattern, path);
}

}  // namespace

HostPattern::HostPattern(std::string_view pattern) : kind_(Kind::any) {
  // Inside a class a slash excludes nothing.
  const bool slash = pattern.find('/') != std::string_view::npos;
  useless_ = (slash && pattern.find('[') == std::string_view::npos) || has_port(pattern);
  if (pattern == "*") return;
  if (pattern.starts_with("*.")) {
    kind_ = Kind::suffix;
    text_ = fold_host(pattern.substr(2));
    return;
  }
  // An address in brackets would otherwise be a class of its characters.
  if (pattern.starts_with('[') && pattern.ends_with(']')) {
    const std::string_view inner = pattern.substr(1, pattern.size() - 2);
    if (inner.find(':') != std::string_view::npos && IpAddress::parse(inner)) {
      kind_ = Kind::exact;
      text_ = fold_host(inner);
      return;
    }
  }
  text_ = ascii_lower(without_trailing_dot(pattern));
  const bool plain = text_.find_first_of(kGlobChars) == std::string::npos;
  kind_ = plain ? Kind::exact : Kind::glob;
  useless_ = useless_ || !glob_well_formed(text_);
}

bool HostPattern::matches(std::string_view folded_host) const {
  switch (kind_) {
    case Kind::any:
      return true;
    case Kind::exact:
      return folded_host == text_;
    case Kind::suffix: {
      if (!folded_host.ends_with(text_)) return false;
      const std::size_t before = folded_host.size() - text_.size();
      return before == 0 || folded_host[before - 1] == '.';
    }
    case Kind::glob:
      return glob_match(text_, folded_host);
  }
  return false;
}

bool HostPattern::useless() const { return useless_; }

bool Rule::matches_host(const Subject& subject) const {
  if (host) return host->matches(subject.host);
  return cidr && subject.literal && cidr->contains(*subject.literal);
}

bool Rule::names_method(const Subject& subject) const {
  return methods.empty() || std::ranges::find(methods, subject.method) != methods.end();
}

bool Rule::admits(const Subject& subject) const {
  if (!names_method(subject)) return false;
  if (paths.empty()) return true;
  // One pattern has to match with the separators decoded and kept: `/v1/*` and `/v1%2F*` are
  // different places. With and without `.` segments it may be two.
  const auto any_matches = [&](std::string_view decoded, OptionalPath kept) {
    return std::ranges::any_of(paths, [&](const std::string& pattern) {
      return path_text_matches(pattern, decoded) && (!kept || path_text_matches(pattern, *kept));
    });
  };
  return any_matches(subject.path, subject.path_kept) &&
         (!subject.path_reduced || any_matches(*subject.path_reduced, subject.path_kept_reduced));
}

bool any_admits(const std::vector<Rule>& rules, const Subject& subject) {
  return std::ranges::any_of(
      rules, [&](const Rule& rule) { return rule.matches_host(subject) && rule.admits(subject); });
}

bool Rule::concerns(const Subject& subject) const {
  if (!names_method(subject)) return false;
  return paths.empty() || std::ranges::any_of(paths, [&](const std::string& pattern) {
           const auto matches = [&](OptionalPath path) {
             return path && path_text_matches(pattern, *path);
           };
           return matches(subject.path) || matches(subject.path_kept) ||
                  matches(subject.path_reduced) || matches(subject.path_kept_reduced);
         });
}

RuleReader::RuleReader(BlockReader& block,
                       std::string_view key,
                       const BlockReader::Context& context)
    : warnings_(context.warnings), file_(context.file) {
  const auto nodes = block.blocks(key, "[]config.Rule");
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Raw raw;
    raw.key = block.path() + "." + std::string(key) + "[" + std::to_string(i) + "]";
    BlockReader reader(nodes[i].get(), "config.Rule", raw.key, context);
    reader.text("host", raw.host);
    reader.text("cidr", raw.cidr);
    reader.texts("methods", raw.methods, &raw.method_lines);
    reader.texts("paths", raw.paths, &raw.path_lines);
    raw.host_line = reader.line_of("host");
    reader.finish();
    raw_.push_back(std::move(raw));
  }
}

std::vector<Rule> RuleReader::build(const std::string& prefix) const {
  std::vector<Rule> rules;
  rules.reserve(raw_.size());
  for (std::size_t i = 0; i < raw_.size(); ++i) {
    try {
      rules.push_back(build_one(raw_[i]));
    } catch (const ConfigError& error) {
      throw ConfigError(prefix + ": rules[" + std::to_string(i) + "]: " + error.text());
    }
  }
  return rules;
}

Rule RuleReader::build_one(const Raw& raw) const {
  if (!raw.host.empty() && !raw.cidr.empty()) {
    throw ConfigError("host and cidr are mutually exclusive");
  }
  if (raw.host.empty() && raw.cidr.empty()) throw ConfigError("one of host or cidr is required");
  Rule rule;
  if (raw.cidr.empty()) {
    rule.host.emplace(raw.host);
    if (rule.host->useless()) warn(raw.host_line, raw.key + ".host", raw.host);
  } else {
    rule.cidr = parse_rule_cidr(raw.cidr);
  }
  const bool any_method = raw.methods.size() == 1 && raw.methods[0] == "*";
  if (!any_method) {
    std::ranges::transform(raw.methods, std::back_inserter(rule.methods), upper_ascii);
    warn_of_stars(raw);
  }
  for (std::size_t i = 0; i < raw.paths.size(); ++i) {
    const std::string& pattern = raw.paths[i];
    if (!pattern.starts_with('/')) {
      throw ConfigError("path " + quoted(pattern) + " must start with /");
    }
    if (!pattern.ends_with("/*") && !glob_well_formed(pattern)) {
      const int line = i < raw.path_lines.size() ? raw.path_lines[i] : 0;
      warn(line, raw.key + ".paths[" + std::to_string(i) + "]", pattern);
    }
  }
  rule.paths = raw.paths;
  return rule;
}

/// Beside other methods `*` is a method of that name, which no request has.
void RuleReader::warn_of_stars(const Raw& raw) const {
  for (std::size_t i = 0; i < raw.methods.size(); ++i) {
    if (raw.methods[i] != "*") continue;
    const int line = i < raw.method_lines.size() ? raw.method_lines[i] : 0;
    warn(line, raw.key + ".methods[" + std::to_string(i) + "]", "*");
  }
}

void RuleReader::warn(int line, const std::string& key, const std::string& pattern) const {
  if (warnings_ != nullptr) warnings_->push_back(never_matches(file_, line, key, pattern));
}

ConfigWarning never_matches(const std::string& file,
                            int line,
                            const std::string& key,
                            const std::string& pattern) {
  return {"pattern never matches",
          {{"file", file, false},
           {"line", std::to_string(line), true},
           {"key", key, false},
           {"pattern", pattern, false}}};
}

DenyList::Prefix parse_rule_cidr(const std::string& text) {
  const std::string_view view = text;
  const std::size_t slash = view.find('/');
  const std::string_view bits_text =
      slash == std::string_view::npos ? std::string_view{} : view.substr(slash + 1);
  const auto address = parse_address_text(view.substr(0, slash));
  int bits = bits_text.empty() || !address ? -1 : 0;
  for (const char c : bits_text) {
    constexpr int kAboveAll = 1000;
    if (bits < 0 || c < '0' || c > '9' || bits > kAboveAll) {
      bits = -1;
      break;
    }
    bits = bits * 10 + (c - '0');
  }
  if (bits < 0 || bits > (address->v4 ? 32 : 128)) {
    throw ConfigError("parsing CIDR " + quoted(text) + ": invalid CIDR address: " + text);
  }
  return DenyList::Prefix::of(*address, bits);
}

}  // namespace iron::policy

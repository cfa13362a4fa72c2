#include "proxy/dns/resolv_conf.h"

#include <algorithm>
#include <charconv>

#include "policy/match/host.h"

namespace iron::proxy::dns {
namespace {

constexpr std::size_t kMaxServers = 3;
constexpr std::size_t kMaxSearch = 32;
constexpr std::size_t kMaxNameText = 254;

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::vector<std::string_view> words(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::vector<std::string_view> result;
  while (true) {
    const std::size_t begin = line.find_first_not_of(kBlanks);
    if (begin == line.npos) return result;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
    result.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::string rooted(std::string_view name) {
  std::string result(name);
  if (!result.ends_with('.')) result += '.';
  return result;
}

int number(std::string_view text, int least, int most) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::clamp(value, least, most);
}

void read_options(ResolvConf& conf, const std::vector<std::string_view>& fields) {
  for (const std::string_view option : fields) {
    if (option.starts_with("ndots:")) conf.ndots = number(option.substr(6), 0, 15);
    if (option.starts_with("timeout:")) {
      conf.timeout = std::chrono::seconds(number(option.substr(8), 1, 3600));
    }
    if (option.starts_with("attempts:")) conf.attempts = number(option.substr(9), 1, 100);
  }
}

void read_search(ResolvConf& conf, const std::vector<std::string_view>& fields) {
  conf.search.clear();
  for (std::size_t i = 1; i < fields.size() && conf.search.size() < kMaxSearch; ++i) {
    if (fields[i] != ".") conf.search.push_back(rooted(fields[i]));
  }
}

// Names below `onion` belong to another network and must not reach a name server (RFC 7686).
bool askable(std::string_view name) {
  const std::string folded = policy::fold_host(name);
  return !folded.empty() && folded != "onion" && !folded.ends_with(".onion");
}

}  // namespace

ResolvConf ResolvConf::parse(std::string_view text, std::string_view host) {
  ResolvConf conf;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (line.starts_with('#') || line.starts_with(';')) continue;
    const auto fields = words(line);
    if (fields.size() < 2) continue;
    if (fields[0] == "nameserver" && conf.servers.size() < kMaxServers) {
      if (const auto address = policy::IpAddress::parse(fields[1]))
        conf.servers.push_back(*address);
    } else if (fields[0] == "domain") {
      conf.search = {rooted(fields[1])};
    } else if (fields[0] == "search") {
      read_search(conf, fields);
    } else if (fields[0] == "options") {
      read_options(conf, fields);
    }
  }
  if (conf.servers.empty()) {
    conf.servers = {policy::IpAddress::v4({127, 0, 0, 1}), *policy::IpAddress::parse("::1")};
  }
  const std::size_t dot = host.find('.');
  if (conf.search.empty() && dot != host.npos && dot + 1 < host.size()) {
    conf.search = {rooted(host.substr(dot + 1))};
  }
  return conf;
}

std::vector<std::string> ResolvConf::names_for(std::string_view name) const {
  std::vector<std::string> names;
  if (name.size() > kMaxNameText || (name.size() == kMaxNameText && !name.ends_with('.'))) {
    return names;
  }
  const auto add = [&names](std::string candidate) {
    if (candidate.size() <= kMaxNameText && askable(candidate))
      names.push_back(std::move(candidate));
  };
  if (name.ends_with('.')) {
    add(std::string(name));
    return names;
  }
  const bool enough_dots = std::count(name.begin(), name.end(), '.') >= ndots;
  if (enough_dots) add(rooted(name));
  for (const std::string& suffix : search) {
    if (askable(name)) add(rooted(name) + suffix);
  }
  if (!enough_dots) add(rooted(name));
  return names;
}

HostsFile HostsFile::parse(std::string_view text) {
  HostsFile file;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    line = line.substr(0, line.find('#'));
    const auto fields = words(line);
    if (fields.size() < 2) continue;
    const auto address = policy::IpAddress::parse(fields[0]);
    if (!address) continue;
    for (std::size_t i = 1; i < fields.size(); ++i) {
      auto& list = file.addresses_[policy::fold_host(fields[i])];
      if (std::find(list.begin(), list.end(), *address) == list.end()) list.push_back(*address);
    }
  }
  return file;
}

const std::vector<policy::IpAddress>* HostsFile::find(std::string_view name) const {
  const auto found = addresses_.find(policy::fold_host(name));
  return found == addresses_.end() ? nullptr : &found->second;
}

std::vector<std::string> lookup_modules(std::string_view nsswitch) {
  std::vector<std::string> modules;
  while (!nsswitch.empty()) {
    std::string_view line = next_line(nsswitch);
    line = line.substr(0, line.find('#'));
    const auto fields = words(line);
    if (fields.empty() || fields[0] != "hosts:") continue;
    for (std::size_t i = 1; i < fields.size(); ++i) {
      const std::string_view source = fields[i];
      if (source == "files" || source == "dns") continue;
      if (!source.starts_with('[') && !source.ends_with(']')) modules.emplace_back(source);
    }
    break;
  }
  return modules;
}

bool needs_system_lookup(std::string_view nsswitch) { return !lookup_modules(nsswitch).empty(); }

bool is_domain_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() >= kMaxNameText) return false;
  bool only_digits = true;
  while (true) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      const bool digit = c >= '0' && c <= '9';
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!digit && !letter && c != '-' && c != '_') return false;
      only_digits = only_digits && digit;
    }
    if (dot == name.size()) return !only_digits;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace iron::proxy::dns

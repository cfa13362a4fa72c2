// What is accepted as host and port has one canonical form, which is a fixed point; the host that
// rules see is the host that is resolved.
#include <algorithm>
#include <string>

#include "policy/match/host.h"
#include "proxy/dns/resolv_conf.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/reference.h"

FUZZ_TARGET(authority) {
  using iron::policy::Authority;
  using iron::policy::IpAddress;
  const auto parsed = Authority::parse(input);
  if (!parsed) return;
  if (input.empty()) {
    FUZZ_CHECK(parsed->host.empty());
    return;
  }
  const std::string& host = parsed->host;
  const bool v6 = input.front() == '[';
  const std::string_view octets = v6 ? std::string_view("0123456789abcdef:.")
                                     : std::string_view("abcdefghijklmnopqrstuvwxyz0123456789-_.");
  FUZZ_CHECK(host.find_first_not_of(octets) == host.npos);
  FUZZ_CHECK(!parsed->port || *parsed->port > 0);

  // The canonical form.
  std::string canonical = v6 ? "[" + host + "]" : host;
  if (parsed->port) canonical += ":" + std::to_string(*parsed->port);
  const auto again = Authority::parse(canonical);
  if (!host.ends_with(".")) {  // one trailing dot is folded, of more the rest stays
    FUZZ_CHECK(again);
    FUZZ_CHECK(again->host == host && again->port == parsed->port &&
               again->literal == parsed->literal);
    FUZZ_CHECK(v6 || iron::policy::fold_host(host) == host);
  }

  // One target: an address is one for all, and what is no address is not taken for one later.
  FUZZ_CHECK(IpAddress::parse(host) == parsed->literal);
  if (parsed->literal && !v6) FUZZ_CHECK(parsed->literal->text() == host);

  // Read plainly: the host is the input up to its port, folded.
  std::string_view text = input;
  if (text.front() == '[') {
    FUZZ_CHECK(parsed->literal && text.find(']') != text.npos);
    FUZZ_CHECK(IpAddress::parse(text.substr(1, text.find(']') - 1)) == parsed->literal);
    FUZZ_CHECK(text.find('%') == text.npos);
    text.remove_prefix(text.find(']') + 1);
  } else {
    const std::string_view name = text.substr(0, text.find(':'));
    const std::string plain = iron::fuzz::reference::folded(name);
    FUZZ_CHECK(host == plain || parsed->literal);
    text.remove_prefix(name.size());
  }
  FUZZ_CHECK(text.empty() || text.front() == ':');
  if (text.size() <= 1) {
    FUZZ_CHECK(!parsed->port);
    return;
  }
  const std::string_view digits = text.substr(1);
  FUZZ_CHECK(digits.find_first_not_of("0123456789") == digits.npos);
  const std::size_t significant = std::min(digits.find_first_not_of('0'), digits.size());
  FUZZ_CHECK(parsed->port && std::to_string(*parsed->port) == digits.substr(significant));
}

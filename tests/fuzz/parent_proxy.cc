// What a parent proxy answers means the same however it arrives, is bounded, and takes no byte of
// the tunnel; a URL of one that can be used says where it leads, and nothing of its login.
#include <algorithm>
#include <string>

#include "policy/match/no_proxy.h"
#include "policy/match/proxy_url.h"
#include "proxy/net/parent_handshake.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;
using policy::ProxyUrl;
using Step = ParentHandshake::Step;

constexpr std::size_t kLongestError = 2048;

struct Outcome {
  Step step = Step::goes_on;
  std::string text;  ///< error, or what is the tunnel's
  bool operator==(const Outcome&) const = default;
};

/// `first`: the size of the first piece; what follows comes at once, as far as it may be read.
Outcome run(const ProxyUrl& parent, std::string_view answer, std::size_t first) {
  ParentHandshake handshake(parent, {"a.test", 443, std::nullopt, std::nullopt});
  Outcome outcome;
  std::size_t size = std::max<std::size_t>(first, 1);
  while (outcome.step == Step::goes_on && !answer.empty()) {
    handshake.sent(handshake.output().size());
    const std::size_t wanted = handshake.wanted();
    const std::size_t room = wanted == 0 ? size : std::min(size, wanted);
    const std::string_view piece = answer.substr(0, room);
    outcome.step = handshake.take(piece);
    answer.remove_prefix(piece.size());
    size = answer.size();
  }
  if (outcome.step == Step::failed) {
    outcome.text = handshake.error().text;
    FUZZ_CHECK(outcome.text.size() <= kLongestError);
    FUZZ_CHECK(parent.login() == nullptr || !parent.login()->shown_in(outcome.text));
  }
  if (outcome.step == Step::open) {
    outcome.text = std::string(handshake.surplus()) + std::string(answer);
  }
  return outcome;
}

void check_answer(std::string_view input, const char* url) {
  const ProxyUrl parent = ProxyUrl::parse(url);
  const Outcome whole = run(parent, input, input.size());
  for (const std::size_t cut : cuts(input)) FUZZ_CHECK(run(parent, input, cut) == whole);
  if (input.size() > 65536 + 1024 && parent.speaks_http()) FUZZ_CHECK(whole.step != Step::goes_on);
}

void check_url(std::string_view input) {
  const ProxyUrl url = ProxyUrl::parse(input);
  FUZZ_CHECK((url.kind() == ProxyUrl::Kind::none) == input.empty());
  if (!url.usable()) {
    FUZZ_CHECK(url.text().empty() && url.login() == nullptr);
    return;
  }
  const ProxyUrl again = ProxyUrl::parse(url.text());
  FUZZ_CHECK(again.kind() == url.kind() && again.text() == url.text() && again.login() == nullptr);
  FUZZ_CHECK(again.literal() == url.literal() && (url.literal() || again.host() == url.host()));
  FUZZ_CHECK(again.port() == url.port() && url.port() != 0);
  FUZZ_CHECK(url.text().find_first_of("@%? \r\n") == std::string::npos);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(parent_proxy) {
  for (const char* url : {"http://user:hunter2@p.test", "socks5h://user:hunter2@p.test"}) {
    check_answer(input, url);
  }
  check_url(input);
  const std::size_t line = std::min(input.find('\n'), input.size());
  const iron::policy::NoProxy direct(input.substr(0, line));
  const std::string_view host = input.substr(std::min(line + 1, input.size()));
  // A list and itself once more say the same.
  const std::string twice =
      std::string(input.substr(0, line)) + "," + std::string(input.substr(0, line));
  FUZZ_CHECK(direct.matches(host, std::nullopt, 80) ==
             iron::policy::NoProxy(twice).matches(host, std::nullopt, 80));
}

// Whatever is asked, the reply belongs to the question, parses, keeps to its limit and never grows
// from compression.
#include <string>
#include <vector>

#include "proxy/dns/message.h"
#include "proxy/dns/zone.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy::dns;

const Zone& zone() {
  static const Zone* const made = [] {
    policy::Config::Dns config;
    config.proxy_ip = "10.0.0.1";
    config.passthrough = {"*.pass.test", "p?.test"};
    config.records = {{"static.test", "A", "192.0.2.1"},
                      {"alias.test", "CNAME", "other.test"},
                      {"bad..test", "A", "192.0.2.1"},
                      {"v6.test", "A", "::1"},
                      {"b.test", "CNAME", "bad..test"}};
    std::vector<policy::ConfigWarning> warnings;
    auto* const zone_made = new Zone(config, warnings);
    FUZZ_CHECK(warnings.size() == 3);
    return zone_made;
  }();
  return *made;
}

unsigned u16(std::string_view packet, std::size_t at) {
  FUZZ_CHECK(at + 2 <= packet.size());
  return static_cast<unsigned>(static_cast<unsigned char>(packet[at])) << 8 |
         static_cast<unsigned char>(packet[at + 1]);
}

/// Reads an uncompressed name and returns its end.
std::size_t skip_name(std::string_view packet, std::size_t at) {
  const std::size_t begin = at;
  while (true) {
    FUZZ_CHECK(at < packet.size());
    const auto length = static_cast<unsigned char>(packet[at]);
    FUZZ_CHECK(length <= 63);
    at += 1U + length;
    if (length == 0) break;
  }
  FUZZ_CHECK(at - begin <= 255);
  return at;
}

void check_reply(std::string_view reply,
                 std::string_view input,
                 const Query& query,
                 std::size_t limit) {
  FUZZ_CHECK(reply.size() <= limit);
  FUZZ_CHECK(reply.substr(0, 2) == input.substr(0, 2));
  FUZZ_CHECK((u16(reply, 2) & 0x8000) != 0);
  FUZZ_CHECK(u16(reply, 4) == 1 && u16(reply, 8) == 0 && u16(reply, 10) == 0);
  std::size_t at = skip_name(reply, 12);
  FUZZ_CHECK(reply.substr(12, at - 12) == query.name);
  FUZZ_CHECK(u16(reply, at) == query.type && u16(reply, at + 2) == query.klass);
  at += 4;
  const bool truncated = (u16(reply, 2) & 0x0200) != 0;
  const unsigned answers = u16(reply, 6);
  FUZZ_CHECK(!truncated || answers == 0);
  for (unsigned i = 0; i < answers; ++i) {
    const std::size_t end = skip_name(reply, at);
    FUZZ_CHECK(reply.substr(at, end - at) == query.name);
    FUZZ_CHECK(u16(reply, end + 2) == 1);
    at = end + 10 + u16(reply, end + 8);
    FUZZ_CHECK(at <= reply.size());
  }
  FUZZ_CHECK(at == reply.size());
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(dns_server) {
  using namespace iron;
  using iron::proxy::LookupOutcome;
  const ReceivedQuery received = parse_query(input);
  if (received.kind == ReceivedQuery::Kind::ignore) {
    FUZZ_CHECK(input.size() < 12 || (u16(input, 2) & 0x8000) != 0);
    return;
  }
  const Query& query = received.query;
  if (received.kind == ReceivedQuery::Kind::refuse) {
    const std::string reply = render_refusal(query, received.rcode);
    const bool repeated = received.rcode == Rcode::refused && query.klass != 1;
    FUZZ_CHECK(reply.size() == (repeated ? 12 + query.name.size() + 4 : 12));
    FUZZ_CHECK(u16(reply, 4) == (repeated ? 1 : 0) && u16(reply, 6) == 0);
    FUZZ_CHECK(reply.substr(0, 2) == input.substr(0, 2) && (u16(reply, 2) & 0x8000) != 0);
    FUZZ_CHECK((u16(reply, 2) & 15U) == static_cast<unsigned>(received.rcode));
    return;
  }
  FUZZ_CHECK(query.klass == 1);
  FUZZ_CHECK(query.udp_limit >= 512 && query.udp_limit <= kUdpPayload);
  FUZZ_CHECK(skip_name(query.name, 0) == query.name.size());
  const Zone::Decision decision = zone().decide(query);
  FUZZ_CHECK(!decision.name.empty() && decision.name.back() == '.');
  FUZZ_CHECK(decision.name == name_text(query.name));
  std::vector<AnswerRecord> records = decision.records;
  if (decision.kind == Zone::Decision::Kind::passthrough) {
    FUZZ_CHECK(records.empty() && decision.name == std::string(decision.lookup_name()) + ".");
    LookupOutcome outcome = LookupOutcome::of({policy::IpAddress::v4({1, 2, 3, 4})});
    outcome.status = static_cast<LookupOutcome::Status>(query.id & 3U);
    outcome.addresses.push_back(policy::IpAddress::v6({0x20}));
    const PassthroughAnswer passed = passthrough_answer(outcome, query.type);
    const bool found = outcome.status == LookupOutcome::Status::found && query.type == kTypeA;
    FUZZ_CHECK(passed.records.size() == (found ? 1 : 0));
    records = passed.records;
  }
  for (const std::size_t extra : {0, 1, 40}) {
    for (std::size_t i = 0; i < extra; ++i) records.push_back({kTypeA, "\x01\x02\x03\x04"});
    for (const std::size_t limit : {query.udp_limit, std::size_t{65535}}) {
      check_reply(render_answer(query, Rcode::no_error, records, limit), input, query, limit);
    }
  }
}

// An answer of a name server is taken only for the question that was asked, ends, and is bounded;
// what a good server would send is understood.
#include <string>

#include "proxy/dns/message.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy::dns;

std::string with_question(std::string_view answer, const std::string& name, std::uint16_t type) {
  // A header that fits the question, then the question, then what the input says.
  std::string packet = render_lookup(0x1234, name, type).substr(0, 12 + name.size() + 4);
  packet[2] = '\x81';
  packet[3] = answer.empty() ? '\0' : static_cast<char>(answer.back() & 15);
  packet[7] = answer.empty() ? '\0' : static_cast<char>(answer.front() & 7);
  packet[11] = 0;
  return packet.append(answer);
}

void check(const LookupAnswer& answer, std::size_t size) {
  FUZZ_CHECK(answer.addresses.size() <= kMaxAddresses);
  FUZZ_CHECK(answer.addresses.size() * 15 <= size);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(dns_answer) {
  const std::string name = *wire_name("host.example.test");
  for (const std::uint16_t type : {kTypeA, kTypeAaaa}) {
    if (const auto answer = parse_lookup(input, 0x1234, name, type)) {
      FUZZ_CHECK(input.substr(0, 2) == "\x12\x34");
      FUZZ_CHECK((static_cast<unsigned char>(input[2]) & 0x80) != 0);
      check(*answer, input.size());
      FUZZ_CHECK(!parse_lookup(input, 0x1235, name, type));
      FUZZ_CHECK(!parse_lookup(input, 0x1234, *wire_name("host.example.tesu"), type));
    }
    const std::string packet = with_question(input, name, type);
    const auto answer = parse_lookup(packet, 0x1234, name, type);
    FUZZ_CHECK(answer);
    check(*answer, packet.size());
    for (const auto& address : answer->addresses) FUZZ_CHECK(type != kTypeA || address.is_v4());
  }
}

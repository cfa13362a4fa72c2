#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/match/ip_address.h"

namespace iron::proxy::dns {

inline constexpr std::uint16_t kTypeA = 1;
inline constexpr std::uint16_t kTypeCname = 5;
inline constexpr std::uint16_t kTypeAaaa = 28;
inline constexpr std::uint16_t kTypeOpt = 41;
/// Payload size that lookups announce and that answers keep to (RFC 9715).
inline constexpr std::size_t kUdpPayload = 1232;

enum class Rcode : std::uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  no_such_name = 3,
  not_implemented = 4,
  refused = 5,
};

// Names. Wire form: labels with their length in front and the final zero byte, never compressed.

/// Lower-case presentation form with its final dot; dots inside labels and unusual bytes are
/// escaped as in RFC 4343.
std::string name_text(std::string_view wire);
/// Wire form of a name without escapes; the final dot is optional. Nothing for labels or names too
/// long.
std::optional<std::string> wire_name(std::string_view text);
/// Length-aware comparison without regard to ASCII case.
bool same_name(std::string_view wire_a, std::string_view wire_b);

// Server side (docs/dns.md, "Messages").

struct Query {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::string name;  ///< wire form, case as asked
  std::uint16_t type = 0, klass = 0;
  std::size_t udp_limit = 512;  ///< longest UDP answer: 512, or what the query's OPT allows
};

struct ReceivedQuery {
  /// `refuse`: answered by render_refusal(). `ignore`: not answered at all.
  enum class Kind { answer, refuse, ignore } kind = Kind::ignore;
  Query query;
  Rcode rcode = Rcode::no_error;  ///< for `refuse`
};
ReceivedQuery parse_query(std::string_view packet);

struct AnswerRecord {
  std::uint16_t type = 0;
  std::string data;
};
/// Answer without compression, every record owned by the question's name. Longer than `limit`: TC
/// is set and no record is in it.
std::string render_answer(const Query& query,
                          Rcode rcode,
                          std::span<const AnswerRecord> records,
                          std::size_t limit);
/// A header alone, as nothing of the message need have been understood; with Rcode::refused it
/// repeats the question, by which resolvers match answers.
std::string render_refusal(const Query& query, Rcode rcode);

// Client side.

/// A recursive question for `name` (wire form) with an OPT record.
std::string render_lookup(std::uint16_t id, std::string_view name, std::uint16_t type);

struct LookupAnswer {
  int rcode = 0;
  bool truncated = false;
  bool malformed = false;
  bool lame = false;  ///< a referral of a server that does not recurse
  /// Seconds: the least of all records of the answer, aliases (CNAME) among them.
  std::uint32_t ttl = std::numeric_limits<std::uint32_t>::max();
  std::vector<policy::IpAddress> addresses;
};
/// Most addresses taken from one answer.
inline constexpr std::size_t kMaxAddresses = 128;
/// Nothing if the packet does not answer this question; such packets are passed over.
std::optional<LookupAnswer> parse_lookup(std::string_view packet,
                                         std::uint16_t id,
                                         std::string_view name,
                                         std::uint16_t type);

}  // namespace iron::proxy::dns

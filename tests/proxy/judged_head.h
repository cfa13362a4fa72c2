#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1/head_parser.h"

namespace iron::proxy::test {

using Status = HeadParser::Status;
using Framing = BodyFraming::Kind;

/// Everything that is decided about a request head.
struct Judged {
  Status status = Status::incomplete;
  HeadFault fault = HeadFault::none;
  std::size_t consumed = 0;
  std::string text;  ///< method, target, version and fields
  Framing framing = Framing::none;
  std::uint64_t length = 0;
  bool expects_continue = false;

  bool operator==(const Judged&) const = default;
};

inline void PrintTo(const Judged& judged, std::ostream* out) {
  *out << "status " << static_cast<int>(judged.status) << ", fault "
       << static_cast<int>(judged.fault) << ", consumed " << judged.consumed << ", framing "
       << static_cast<int>(judged.framing) << " " << judged.length << ", head "
       << testing::PrintToString(judged.text);
}

inline std::string rendered(const Headers& headers) {
  std::string text;
  for (const Field& field : headers.all()) {
    text.append("\n[").append(field.name).append("] [").append(field.value).append("]");
  }
  return text;
}

/// Parses `bytes` as they arrive: up to each of `stops`, then all of them.
inline Judged judge(const std::string& bytes,
                    const std::vector<std::size_t>& stops = {},
                    const HeadLimits& limits = {}) {
  HeadParser parser(HeadParser::Kind::request);
  Request request;
  Judged judged;
  for (const std::size_t stop : stops) {
    judged.status = parser.parse(std::string_view(bytes).substr(0, stop), limits, request);
    if (judged.status != Status::incomplete) break;
  }
  if (judged.status == Status::incomplete) judged.status = parser.parse(bytes, limits, request);
  if (judged.status != Status::complete) judged.fault = parser.fault();
  if (judged.status != Status::complete) return judged;
  judged.consumed = parser.consumed();
  judged.text.append(request.method).append(" ").append(request.target);
  judged.text += request.minor_version == 1 ? " 1.1" : " 1.0";
  judged.text += rendered(request.headers);
  const RequestChecks checks = check_request(request);
  // As the session does: an unusable field name is told after what makes the head unusable as a
  // whole.
  judged.fault = checks.fault != HeadFault::none ? checks.fault : parser.fault();
  judged.framing = checks.framing.kind;
  judged.length = checks.framing.length;
  judged.expects_continue = checks.expects_continue;
  return judged;
}

/// A GET with these field lines after Host.
inline std::string with_fields(std::string_view lines) {
  return "GET /x HTTP/1.1\r\nHost: h.test\r\n" + std::string(lines) + "\r\n";
}
inline std::string with_line(std::string_view line) {
  return std::string(line) + "\r\nHost: h.test\r\n\r\n";
}
inline std::string with_host_line(std::string_view line) {
  return "GET / HTTP/1.1\r\n" + std::string(line) + "\r\n\r\n";
}

}  // namespace iron::proxy::test

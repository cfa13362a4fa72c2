#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/http_message.h"

namespace iron::proxy {

/// Why a head is refused; proxy/http/answers.h has the answer to each.
enum class HeadFault {
  none,
  malformed,          ///< 400
  header_name,        ///< 400, `invalid header name`
  missing_host,       ///< 400, `missing required Host header`
  malformed_host,     ///< 400, `malformed Host header`
  too_large,          ///< 431: bytes or field lines
  version,            ///< 505
  preface,            ///< 400: what begins HTTP/2 without negotiation
  transfer_encoding,  ///< 501
  expectation,        ///< 417
};

/// Whether the texts of an answer's faults quote what the upstream sent. Where keys are swapped in
/// they do not: an upstream that echoes one in a broken head would bring it into the log.
enum class FaultText { quoting, fixed };

/// `what "bytes"`, or the first part alone.
std::string described(std::string what, std::string_view bytes, FaultText text);
/// What the error of an answer begins with that cannot be read.
inline constexpr const char* kBrokenAnswer = "net/http: HTTP/1.x transport connection broken: ";

/// How a message's body is delimited.
struct BodyFraming {
  enum class Kind { none, length, chunked, until_close } kind = Kind::none;
  std::uint64_t length = 0;
};

/// Checks across the fields of a request head: Host, framing, Expect. `fault` is none if all is
/// well.
struct RequestChecks {
  HeadFault fault = HeadFault::none;
  BodyFraming framing;
  const Field* host = nullptr;
  bool expects_continue = false;
};
RequestChecks check_request(const Request& request);

/// Framing of an answer (RFC 9112 section 6.3). An error text for what must not be relayed.
struct ResponseChecks {
  BodyFraming framing;
  std::string error;
};
ResponseChecks check_response(const Response& response,
                              std::string_view request_method,
                              FaultText text = FaultText::quoting);

/// The name of an answer's field from what stands before the colon: a proxy removes blanks there
/// (RFC 9112 section 5.1). A field that frames is left as it is, and so is no name: it must not be
/// read in two ways.
std::string_view answer_field_name(std::string_view before_colon);

}  // namespace iron::proxy

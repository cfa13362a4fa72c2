#pragma once

#include <cstddef>
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

struct HeadLimits {
  std::size_t bytes = 1048576;        ///< start line and fields
  std::size_t connect_bytes = 65536;  ///< the same for CONNECT
  std::size_t start_line_bytes = 65536;
  std::size_t fields = 1000;
};

/// Whether the texts of an answer's faults quote what the upstream sent. Where keys are swapped in
/// they do not: an upstream that echoes one in a broken head would bring it into the log.
enum class FaultText { quoting, fixed };

/// Incremental parser of HTTP/1 heads (RFC 9112 sections 2 to 5), strict: CRLF line ends only, no
/// obs-fold, no blank before the colon but in answers, no control bytes. Gives the same result for
/// every split of the input. Written by hand because each fault has its own answer, which Beast's
/// error codes do not tell apart, and because it costs 155 ns a head, checks included, against 216
/// ns of Beast's basic_parser (bench/proxy_bench.cc).
class HeadParser {
 public:
  enum class Kind { request, response };
  enum class Status { incomplete, complete, fault };

  explicit HeadParser(Kind kind, FaultText text = FaultText::quoting) : kind_(kind), text_(text) {}
  /// Ready for the next head, or for the same one after its bytes moved.
  void restart();
  /// `bytes`: everything received of this head so far, at an address that stays. The views of
  /// `request` point into it.
  Status parse(std::string_view bytes, const HeadLimits& limits, Request& request);
  Status parse(std::string_view bytes, const HeadLimits& limits, Response& response);

  /// Of a request also to be asked when parse() says complete: `header_name` is told after the
  /// faults of check_request().
  HeadFault fault() const { return fault_; }
  /// Of a response: what is wrong, in the words of the record's `error`.
  const std::string& fault_text() const { return fault_text_; }
  std::size_t consumed() const { return position_; }
  /// The request line was read without fault.
  bool has_start_line() const { return has_start_line_; }

 private:
  template <class Message>
  Status run(std::string_view bytes, const HeadLimits& limits, Message& message);
  bool start_line(std::string_view line, Request& request);
  bool start_line(std::string_view line, Response& response);
  bool field_line(std::string_view line, Headers& headers);
  bool refuse(HeadFault fault, std::string text = {});

  Kind kind_;
  FaultText text_;
  HeadFault fault_ = HeadFault::none;
  std::string fault_text_;
  std::size_t position_ = 0;  ///< start of the next line
  std::size_t scanned_ = 0;   ///< no line end before this
  std::size_t fields_ = 0;
  std::size_t limit_ = 0;
  bool has_start_line_ = false;
  bool bad_name_ = false;
};

/// The empty line that some clients send behind a body: what `input`, which is not empty, begins
/// with of it.
enum class BlankLine { none, begun, whole };
inline constexpr std::size_t kBlankLineSize = 2;
BlankLine leading_blank_line(std::string_view input);

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

bool is_token(std::string_view text);
/// The name of an answer's field from what stands before the colon: a proxy removes blanks there
/// (RFC 9112 section 5.1). A field that frames is left as it is, and so is no name: it must not be
/// read in two ways.
std::string_view answer_field_name(std::string_view before_colon);
/// Calls `each(token)` for the comma-separated elements of a field value, trimmed, empty ones
/// skipped.
template <class Each>
void for_each_token(std::string_view value, Each each) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    std::string_view token = value.substr(0, comma);
    while (!token.empty() && (token.front() == ' ' || token.front() == '\t'))
      token.remove_prefix(1);
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
    if (!token.empty()) each(token);
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
}
bool has_token(std::string_view value, std::string_view token);

}  // namespace iron::proxy

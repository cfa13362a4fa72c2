#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "proxy/http/message_checks.h"

namespace iron::proxy {

struct HeadLimits {
  std::size_t bytes = 1048576;        ///< start line and fields
  std::size_t connect_bytes = 65536;  ///< the same for CONNECT
  std::size_t start_line_bytes = 65536;
  std::size_t fields = 1000;
};

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

}  // namespace iron::proxy

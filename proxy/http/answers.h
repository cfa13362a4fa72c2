#pragma once

#include <string>
#include <string_view>

#include "proxy/http/message_checks.h"

namespace iron::proxy {

/// Answers the proxy makes itself, byte for byte (docs/compatibility.md, "Answers"). No client
/// field, path or URL is in any.

/// `HTTP/1.1 X`, text/plain, `Connection: close`, body X. The connection closes after it.
std::string closing_answer(std::string_view status_and_reason, std::string_view reason_field = {});
/// What the record's `error` says of a head or a body that breaks the grammar.
inline constexpr std::string_view kMalformedRequest = "malformed request";
/// The closing answer to a head fault, the status in it, and what the record's `error` says.
struct HeadRefusal {
  std::string answer;
  int status = 400;
  std::string_view record_error;
};
HeadRefusal head_refusal(HeadFault fault);

/// What makes an answer of ours differ from one request to the next.
struct AnswerContext {
  int minor_version = 1;
  bool head_method = false;
  bool close = false;              ///< adds `Connection: close`
  bool keep_alive_10 = false;      ///< adds `Connection: keep-alive` for HTTP/1.0
  std::string_view denial_reason;  ///< adds X-Iron-Proxy-Reason
};
/// An answer of ours to a request that was read, before it is written for its client.
struct OwnAnswer {
  enum class Form {
    text,        ///< text_answer(): `reason` and `text`
    denial,      ///< forbidden_answer()
    options,     ///< options_answer()
    policy,      ///< policy_answer(): `content_type` and `text`
    closing,     ///< closing_answer(): `text` is status and reason in one
    head_fault,  ///< head_refusal() of `fault`
  } form = Form::denial;
  int status = 403;
  std::string_view reason{};  ///< lives for good
  std::string text{};
  std::string_view content_type{};  ///< lives for good
  HeadFault fault = HeadFault::none;
  std::string_view denial_reason{};  ///< lives as long as the exchange; empty: is not told

  /// The client gets no other answer on this connection.
  bool closes() const { return form == Form::closing || form == Form::head_fault; }
};
/// Its bytes in HTTP/1. `context.denial_reason` is not looked at.
std::string write_own_answer(const OwnAnswer& answer, AnswerContext context);

/// text/plain with nosniff, Date and length: `400` with `missing Host header\n`, `502` with `bad
/// gateway\n`.
std::string text_answer(int status,
                        std::string_view reason,
                        std::string_view body,
                        const AnswerContext& context);
/// The empty 200 to an OPTIONS that ends here.
std::string options_answer(const AnswerContext& context);
/// The empty 403 of a denied request.
std::string forbidden_answer(const AnswerContext& context);

inline constexpr std::string_view kConnectEstablished =
    "HTTP/1.1 200 Connection Established\r\n\r\n";
inline constexpr std::string_view kMethodNotAllowed = "HTTP/1.1 405 Method Not Allowed\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
/// An answer that a transform made.
std::string policy_answer(int status,
                          std::string_view content_type,
                          std::string_view body,
                          const AnswerContext& context);
/// The same to a CONNECT.
std::string connect_answer(int status,
                           std::string_view content_type,
                           std::string_view body,
                           std::string_view denial_reason);
std::string connect_forbidden(bool transform_failed, std::string_view denial_reason);

/// IMF-fixdate of now (RFC 9110 section 5.6.7), cached for the second per thread.
std::string_view http_date();

}  // namespace iron::proxy

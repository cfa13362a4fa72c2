#include "proxy/http/answers.h"

#include <ctime>

#include "policy/http_status.h"

namespace iron::proxy {
namespace {

void append_reason(std::string& out, std::string_view reason) {
  if (!reason.empty()) out.append("X-Iron-Proxy-Reason: ").append(reason).append("\r\n");
}

void append_typed(std::string& out, int status, std::string_view content_type, std::size_t size) {
  out.append(std::to_string(status)).append(" ").append(status_reason(status));
  out.append("\r\nContent-Length: ").append(std::to_string(size));
  out.append("\r\nContent-Type: ").append(content_type).append("\r\n");
}

void append_connection(std::string& out, const AnswerContext& context) {
  if (context.close && context.minor_version == 1) out.append("Connection: close\r\n");
  if (context.keep_alive_10) out.append("Connection: keep-alive\r\n");
}

}  // namespace

std::string closing_answer(std::string_view status_and_reason, std::string_view reason_field) {
  std::string out = "HTTP/1.1 ";
  out.append(status_and_reason)
      .append("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n");
  append_reason(out, reason_field);
  return out.append("\r\n").append(status_and_reason);
}

HeadRefusal head_refusal(HeadFault fault) {
  switch (fault) {
    case HeadFault::header_name:
      return {closing_answer("400 Bad Request: invalid header name"), 400, kMalformedRequest};
    case HeadFault::missing_host:
      return {closing_answer("400 Bad Request: missing required Host header"), 400,
              "missing Host header"};
    case HeadFault::malformed_host:
      return {closing_answer("400 Bad Request: malformed Host header"), 400,
              "malformed Host header"};
    case HeadFault::too_large:
      return {closing_answer("431 Request Header Fields Too Large"), 431, "request head too large"};
    case HeadFault::version:
      return {closing_answer("505 HTTP Version Not Supported: unsupported protocol version"), 505,
              "unsupported protocol version"};
    case HeadFault::preface: {
      AnswerContext context;
      context.close = true;
      return {text_answer(400, "Bad Request", "missing Host header\n", context), 400,
              "unsupported protocol version: HTTP/2 preface"};
    }
    case HeadFault::transfer_encoding:
      return {
          "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\n"
          "Connection: close\r\n\r\nUnsupported transfer encoding",
          501, "unsupported transfer encoding"};
    case HeadFault::expectation:
      return {std::string("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nDate: ")
                  .append(http_date())
                  .append("\r\nContent-Length: 0\r\n\r\n"),
              417, "expectation failed"};
    case HeadFault::none:
    case HeadFault::malformed:
      break;
  }
  return {closing_answer("400 Bad Request"), 400, kMalformedRequest};
}

std::string text_answer(int status,
                        std::string_view reason,
                        std::string_view body,
                        const AnswerContext& context) {
  std::string out = context.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out.append(std::to_string(status)).append(" ").append(reason);
  out.append(
      "\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: ");
  out.append(http_date()).append("\r\nContent-Length: ").append(std::to_string(body.size()));
  out.append("\r\n");
  append_connection(out, context);
  append_reason(out, context.denial_reason);
  out.append("\r\n");
  if (!context.head_method) out.append(body);
  return out;
}

std::string options_answer(const AnswerContext& context) {
  std::string out = context.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out.append("200 OK\r\nDate: ").append(http_date()).append("\r\nContent-Length: 0\r\n");
  append_connection(out, context);
  return out.append("\r\n");
}

std::string forbidden_answer(const AnswerContext& context) {
  std::string out = context.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out.append("403 Forbidden\r\nContent-Type: text/plain\r\nDate: ").append(http_date());
  out.append("\r\n");
  if (!context.head_method) out.append("Content-Length: 0\r\n");
  append_connection(out, context);
  append_reason(out, context.denial_reason);
  return out.append("\r\n");
}

std::string write_own_answer(const OwnAnswer& answer, AnswerContext context) {
  context.denial_reason = answer.denial_reason;
  switch (answer.form) {
    case OwnAnswer::Form::text:
      return text_answer(answer.status, answer.reason, answer.text, context);
    case OwnAnswer::Form::policy:
      return policy_answer(answer.status, answer.content_type, answer.text, context);
    case OwnAnswer::Form::options:
      return options_answer(context);
    case OwnAnswer::Form::closing:
      return closing_answer(answer.text);
    case OwnAnswer::Form::head_fault:
      return head_refusal(answer.fault).answer;
    case OwnAnswer::Form::denial:
      break;
  }
  return forbidden_answer(context);
}

std::string policy_answer(int status,
                          std::string_view content_type,
                          std::string_view body,
                          const AnswerContext& context) {
  std::string out = context.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  append_typed(out, status, content_type, body.size());
  out.append("Date: ").append(http_date()).append("\r\n");
  append_connection(out, context);
  append_reason(out, context.denial_reason);
  out.append("\r\n");
  if (!context.head_method) out.append(body);
  return out;
}

std::string connect_answer(int status,
                           std::string_view content_type,
                           std::string_view body,
                           std::string_view denial_reason) {
  std::string out = "HTTP/1.1 ";
  append_typed(out, status, content_type, body.size());
  append_reason(out, denial_reason);
  return out.append("\r\n").append(body);
}

std::string connect_forbidden(bool transform_failed, std::string_view denial_reason) {
  std::string out = "HTTP/1.1 403 Forbidden\r\n";
  if (!transform_failed) out.append("Content-Type: text/plain\r\n");
  out.append("Content-Length: 0\r\n");
  append_reason(out, denial_reason);
  return out.append("\r\n");
}

std::string_view http_date() {
  thread_local std::time_t cached = 0;
  thread_local char text[32] = {};
  const std::time_t now = std::time(nullptr);
  if (now != cached) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    cached = now;
  }
  return text;
}

}  // namespace iron::proxy

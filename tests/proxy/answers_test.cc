#include "proxy/http/answers.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/proxy/dateless.h"

namespace iron::proxy {
namespace {

using test::dateless;

std::string closing(const std::string& text) {
  return "HTTP/1.1 " + text +
         "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + text;
}

TEST(Answers, ToEachFaultOfAHead) {
  struct Row {
    HeadFault fault;
    int status;
    std::string bytes;
  };
  const Row rows[] = {
      {HeadFault::malformed, 400, closing("400 Bad Request")},
      {HeadFault::header_name, 400, closing("400 Bad Request: invalid header name")},
      {HeadFault::missing_host, 400, closing("400 Bad Request: missing required Host header")},
      {HeadFault::malformed_host, 400, closing("400 Bad Request: malformed Host header")},
      {HeadFault::too_large, 431, closing("431 Request Header Fields Too Large")},
      {HeadFault::version, 505,
       closing("505 HTTP Version Not Supported: unsupported protocol version")},
      {HeadFault::preface, 400,
       "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
       "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 20\r\n"
       "Connection: close\r\n\r\nmissing Host header\n"},
      {HeadFault::transfer_encoding, 501,
       "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\n"
       "Connection: close\r\n\r\nUnsupported transfer encoding"},
      {HeadFault::expectation, 417,
       "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nDate: <D>\r\n"
       "Content-Length: 0\r\n\r\n"},
  };
  for (const Row& row : rows) {
    const HeadRefusal refusal = head_refusal(row.fault);
    EXPECT_EQ(dateless(refusal.answer), row.bytes);
    EXPECT_EQ(refusal.status, row.status);
    EXPECT_FALSE(refusal.record_error.empty()) << row.bytes;
  }
  // Its answer names the field that such a client does not send; the record tells what came.
  EXPECT_EQ(head_refusal(HeadFault::preface).record_error,
            "unsupported protocol version: HTTP/2 preface");
}

TEST(Answers, ThatCloseRepeatTheirStatus) {
  EXPECT_EQ(closing_answer("413 Request Entity Too Large"),
            closing("413 Request Entity Too Large"));
  EXPECT_EQ(closing_answer("503 Service Unavailable"), closing("503 Service Unavailable"));
}

TEST(Answers, AReasonIsTheLastField) {
  EXPECT_EQ(closing_answer("503 Service Unavailable", "limits: no memory"),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Connection: close\r\nX-Iron-Proxy-Reason: limits: no memory\r\n\r\n"
            "503 Service Unavailable");
  AnswerContext context;
  context.close = true;
  context.denial_reason = "allowlist: no rule matches";
  EXPECT_EQ(dateless(forbidden_answer(context)),
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nDate: <D>\r\n"
            "Content-Length: 0\r\nConnection: close\r\n"
            "X-Iron-Proxy-Reason: allowlist: no rule matches\r\n\r\n");
  EXPECT_EQ(connect_forbidden(false, "allowlist: x"),
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
            "X-Iron-Proxy-Reason: allowlist: x\r\n\r\n");
}

TEST(Answers, OfAnExchange) {
  EXPECT_EQ(dateless(text_answer(502, "Bad Gateway", "bad gateway\n", {})),
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 12\r\n\r\n"
            "bad gateway\n");
  EXPECT_EQ(dateless(text_answer(400, "Bad Request", "missing Host header\n", {})),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 20\r\n\r\n"
            "missing Host header\n");
}

TEST(Answers, ToHeadHaveNoBody) {
  AnswerContext context;
  context.head_method = true;
  EXPECT_EQ(dateless(text_answer(502, "Bad Gateway", "bad gateway\n", context)),
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 12\r\n\r\n");
  EXPECT_EQ(dateless(forbidden_answer(context)),
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nDate: <D>\r\n\r\n");
}

TEST(Answers, ToOldClients) {
  AnswerContext context;
  context.minor_version = 0;
  context.close = true;
  EXPECT_EQ(dateless(forbidden_answer(context)),
            "HTTP/1.0 403 Forbidden\r\nContent-Type: text/plain\r\nDate: <D>\r\n"
            "Content-Length: 0\r\n\r\n");
  context.close = false;
  context.keep_alive_10 = true;
  EXPECT_EQ(dateless(text_answer(502, "Bad Gateway", "bad gateway\n", context)),
            "HTTP/1.0 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 12\r\n"
            "Connection: keep-alive\r\n\r\nbad gateway\n");
}

TEST(Answers, OfTunnels) {
  EXPECT_EQ(kConnectEstablished, "HTTP/1.1 200 Connection Established\r\n\r\n");
  EXPECT_EQ(kMethodNotAllowed, "HTTP/1.1 405 Method Not Allowed\r\n\r\n");
  EXPECT_EQ(connect_forbidden(false, {}),
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(connect_forbidden(true, {}), "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(kContinue, "HTTP/1.1 100 Continue\r\n\r\n");
}

}  // namespace
}  // namespace iron::proxy

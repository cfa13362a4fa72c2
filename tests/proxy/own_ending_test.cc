#include "proxy/exchange/own_ending.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/proxy/dateless.h"

namespace iron::proxy {
namespace {

using Answered = OwnEnding::Answered;

/// Its first line, or what else the client gets.
std::string said(const OwnEnding& ending) {
  if (ending.answered == Answered::reset) return "reset";
  if (ending.answered == Answered::no) return "closed";
  const std::string bytes = write_own_answer(ending.answer, AnswerContext{});
  return bytes.substr(0, bytes.find("\r\n"));
}

TEST(OwnEnding, OfEachFailure) {
  struct Case {
    Fault fault;
    bool cut;
    const char* said;
    int status;
    Action action;
    const char *error, *rejected_by, *reason;
    bool frees_body, closes;
  };
  const Case cases[] = {
      {Fault::other, false, "HTTP/1.1 502 Bad Gateway", 502, Action::error, "why", "",
       "upstream: failed", false, false},
      {Fault::header_timeout, false, "HTTP/1.1 502 Bad Gateway", 502, Action::error, "why", "",
       "upstream: why", false, false},
      {Fault::bad_request, false, "HTTP/1.1 400 Bad Request", 400, Action::reject, "why",
       "protocol", "", false, true},
      {Fault::body_too_large, false, "HTTP/1.1 413 Request Entity Too Large", 413, Action::error,
       "why", "", "", true, true},
      {Fault::no_budget, false, "HTTP/1.1 503 Service Unavailable", 503, Action::error, "why", "",
       "", true, true},
      {Fault::client_silent, false, "closed", 400, Action::error, "why", "", "", false, false},
      {Fault::client_gone, false, "reset", 200, Action::client_cancel, "", "", "", false, false},
      {Fault::other, true, "reset", 200, Action::client_cancel, "", "", "", false, false},
      {Fault::body_too_large, true, "reset", 200, Action::client_cancel, "", "", "", false, false},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(row.fault) << ' ' << row.cut);
    const OwnEnding ending = OwnEnding::of_failure(fail("why", row.fault), row.cut);
    EXPECT_EQ(said(ending), row.said);
    EXPECT_EQ(ending.status, row.status);
    EXPECT_EQ(ending.action, row.action);
    EXPECT_EQ(ending.error, row.error);
    EXPECT_EQ(ending.rejected_by, row.rejected_by);
    EXPECT_EQ(ending.denial_reason, row.reason);
    EXPECT_EQ(ending.frees_body, row.frees_body);
    EXPECT_FALSE(ending.before_policy);
    if (ending.answered == Answered::yes) {
      EXPECT_EQ(ending.answer.status, row.status);
      EXPECT_EQ(ending.answer.closes(), row.closes);
    }
  }
}

TEST(OwnEnding, OfWhatIsRefusedBeforePolicy) {
  const OwnEnding head = OwnEnding::of_head(HeadFault::too_large);
  EXPECT_TRUE(head.before_policy);
  EXPECT_TRUE(head.answer.closes());
  EXPECT_EQ(head.status, 431);
  EXPECT_EQ(head.error, "request head too large");
  EXPECT_EQ(said(head), "HTTP/1.1 431 Request Header Fields Too Large");

  const OwnEnding refusal = OwnEnding::of_refusal("path contains dot segments");
  EXPECT_TRUE(refusal.before_policy);
  EXPECT_FALSE(refusal.answer.closes());
  EXPECT_EQ(refusal.status, 400);
  EXPECT_EQ(refusal.error, "path contains dot segments");
  EXPECT_EQ(refusal.denial_reason, "protocol: path contains dot segments");
  const std::string bytes = write_own_answer(refusal.answer, AnswerContext{});
  EXPECT_TRUE(bytes.ends_with("\r\n\r\npath contains dot segments\n")) << bytes;
}

TEST(OwnEnding, OfWhatPolicyRefuses) {
  const OwnEnding denial = OwnEnding::of_denial("allowlist");
  EXPECT_EQ(denial.rejected_by, "allowlist");
  EXPECT_EQ(denial.action, Action::reject);
  EXPECT_EQ(denial.status, 403);
  EXPECT_EQ(denial.error, "");
  EXPECT_EQ(said(denial), "HTTP/1.1 403 Forbidden");

  const OwnEnding trace = OwnEnding::of_scrubbed_trace();
  EXPECT_EQ(trace.rejected_by, "scrub_responses");
  EXPECT_EQ(trace.denial_reason, "scrub_responses: TRACE would show the request");
  EXPECT_EQ(trace.action, Action::reject);
  EXPECT_EQ(trace.status, 405);
  EXPECT_EQ(trace.error, "");
  EXPECT_EQ(said(trace), "HTTP/1.1 405 Method Not Allowed");
}

TEST(OwnEnding, OfTheLastHop) {
  const OwnEnding options = OwnEnding::of_last_hop("OPTIONS");
  EXPECT_EQ(options.action, Action::allow);
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.rejected_by, "");
  EXPECT_EQ(said(options), "HTTP/1.1 200 OK");

  const OwnEnding trace = OwnEnding::of_last_hop("TRACE");
  EXPECT_EQ(trace.action, Action::reject);
  EXPECT_EQ(trace.status, 405);
  EXPECT_EQ(trace.rejected_by, "protocol");
  EXPECT_EQ(trace.error, "method not allowed here");
  EXPECT_EQ(trace.denial_reason, "protocol: method not allowed here");
}

}  // namespace
}  // namespace iron::proxy

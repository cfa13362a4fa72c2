#include <gtest/gtest.h>

#include <string>

#include "proxy/http1/head_parser.h"
#include "tests/proxy/judged_head.h"

namespace iron::proxy {
namespace {

using test::judge;
using test::Judged;
using test::Status;
using test::with_fields;

TEST(RequestLimits, TheRequestLine) {
  const auto line = [](std::size_t size) {
    return "GET /" + std::string(size - 14, 'a') + " HTTP/1.1\r\nHost: h.test\r\n\r\n";
  };
  EXPECT_EQ(judge(line(65536 - 2)).fault, HeadFault::none);
  EXPECT_EQ(judge(line(65536 + 1)).fault, HeadFault::too_large);
}

TEST(RequestLimits, ARequestLineWithoutEndIsNotWaitedFor) {
  const Judged judged = judge("GET /" + std::string(65600, 'a'));
  EXPECT_EQ(judged.status, Status::fault);
  EXPECT_EQ(judged.fault, HeadFault::too_large);
}

TEST(RequestLimits, TheHead) {
  const auto head = [](std::size_t size) {
    const std::string frame = with_fields("A: \r\n");
    return with_fields("A: " + std::string(size - frame.size(), 'x') + "\r\n");
  };
  EXPECT_EQ(judge(head(1048576)).fault, HeadFault::none);
  EXPECT_EQ(judge(head(1048577)).fault, HeadFault::too_large);
}

TEST(RequestLimits, AFieldWithoutEndIsNotWaitedFor) {
  const Judged judged = judge("GET / HTTP/1.1\r\nA: " + std::string(1048600, 'x'));
  EXPECT_EQ(judged.fault, HeadFault::too_large);
}

TEST(RequestLimits, BytesBehindTheHeadDoNotCount) {
  EXPECT_EQ(judge(with_fields("") + std::string(2000000, 'x')).fault, HeadFault::none);
}

TEST(RequestLimits, FieldLines) {
  const auto head = [](int fields) {
    std::string lines;
    for (int i = 1; i < fields; ++i) lines += "A: b\r\n";
    return with_fields(lines);
  };
  EXPECT_EQ(judge(head(1000)).fault, HeadFault::none);
  EXPECT_EQ(judge(head(1001)).fault, HeadFault::too_large);
}

TEST(RequestLimits, ConnectHasItsOwn) {
  const auto head = [](std::size_t size) {
    const std::string frame = "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\nA: \r\n\r\n";
    return "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\nA: " +
           std::string(size - frame.size(), 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(judge(head(65536)).fault, HeadFault::none);
  EXPECT_EQ(judge(head(65537)).fault, HeadFault::too_large);
  EXPECT_EQ(judge("CONNECT h.test:443 HTTP/1.1\r\nA: " + std::string(65536, 'x')).fault,
            HeadFault::too_large);
}

TEST(RequestLimits, HoldHoweverTheBytesArrive) {
  HeadLimits limits;
  limits.bytes = 90;
  limits.connect_bytes = 60;
  limits.start_line_bytes = 40;
  limits.fields = 3;
  for (const std::string& input :
       {with_fields("A: b\r\nC: d\r\n"), with_fields("A: b\r\nC: d\r\nE: f\r\n"),
        with_fields("A: " + std::string(60, 'x') + "\r\n"),
        "GET /" + std::string(50, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nA: " + std::string(40, 'x') + "\r\n\r\n"}) {
    const Judged whole = judge(input, {}, limits);
    EXPECT_NE(whole.status, Status::incomplete);
    for (std::size_t stop = 0; stop < input.size(); ++stop) {
      EXPECT_EQ(judge(input, {stop}, limits), whole) << input << ", split at " << stop;
    }
  }
}

}  // namespace
}  // namespace iron::proxy

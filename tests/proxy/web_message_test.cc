#include "proxy/admin/web_message.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "proxy/http1/head_parser.h"

namespace iron::proxy {
namespace {

/// The request that the pages see of these bytes, which the strict parser has to take.
std::optional<WebRequest> seen(const std::string& bytes, std::size_t most = 1 << 20) {
  HeadParser parser(HeadParser::Kind::request);
  Request head;
  EXPECT_EQ(parser.parse(bytes, {}, head), HeadParser::Status::complete);
  EXPECT_EQ(check_request(head).fault, HeadFault::none) << bytes;
  return web_request(head, most);
}

TEST(WebMessage, PagesSeeWhatTheStrictParserRead) {
  const auto request = seen(
      "POST http://h:1/a%2f?b=\x80 HTTP/1.1\r\nHost: h\r\naUthorization: \tBearer a  b \r\n"
      "X:\r\nContent-Length: 5\r\nAuthorization: other\r\n\r\nbody!");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method_string(), "POST");
  EXPECT_EQ(request->target(), "http://h:1/a%2f?b=\x80");
  EXPECT_EQ(request->version(), 11U);
  EXPECT_EQ((*request)["AUTHORIZATION"], "Bearer a  b");
  EXPECT_EQ((*request)["x"], "");
  EXPECT_EQ(request->count("X"), 1U);
  EXPECT_EQ(request->count("Y"), 0U);
}

TEST(WebMessage, WhatTheStrictParserTakesBeastTakesToo) {
  const std::string_view heads[] = {
      "GET / HTTP/1.0\r\n\r\n",
      "get * HTTP/1.1\r\nHost:\r\n\r\n",
      "!#$%&'*+-.^_`|~09 /\xff HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09: \xff\t\x80 x\r\n\r\n",
      "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: a b, (x), \"close\"\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nProxy-Connection: a b\r\nConnection: ,\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: ,\r\nTE: ;\r\n\r\n",
  };
  for (const std::string_view head : heads) {
    EXPECT_TRUE(seen(std::string(head))) << head;
  }
  const std::string many = [] {
    std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 999; ++i) text += "X: " + std::to_string(i) + "\r\n";
    return text + "\r\n";
  }();
  ASSERT_TRUE(seen(many));
  EXPECT_EQ(seen(many)->count("X"), 999U);
}

TEST(WebMessage, FieldsBeyondWhatBeastHoldsAreLeftOut) {
  for (const std::size_t size : {std::size_t{60000}, kLongestWebField, kLongestWebField + 1}) {
    const auto request = seen("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(size, 'a') + "\r\n" +
                              std::string(size, 'n') + ": b\r\nC: d\r\n\r\n");
    ASSERT_TRUE(request) << size;
    const std::size_t wanted = size > kLongestWebField ? 0 : 1;
    EXPECT_EQ(request->count("A"), wanted) << size;
    EXPECT_EQ(request->count(std::string(size, 'n')), wanted) << size;
    EXPECT_EQ((*request)["C"], "d") << size;
  }
}

TEST(WebMessage, RefusesWhatOnlyOneOfTheTwoTakes) {
  Request head;
  head.method = "GET";
  head.target = "/a b";
  EXPECT_FALSE(web_request(head, 1000));
  head.target = "/";
  EXPECT_TRUE(web_request(head, 1000));
  head.headers.add("A", "x\ny");
  EXPECT_FALSE(web_request(head, 1000));
  head.headers.clear();
  head.headers.add("A\r\nB", "x");
  EXPECT_FALSE(web_request(head, 1000));
}

}  // namespace
}  // namespace iron::proxy

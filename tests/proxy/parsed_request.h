#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "proxy/http/message_checks.h"
#include "proxy/http1/head_parser.h"
#include "transforms/exchange.h"

namespace iron::proxy::test {

/// A parsed request whose bytes stay.
struct Parsed {
  explicit Parsed(std::string lines, std::string_view first_line = "GET /p?q HTTP/1.1")
      : bytes(std::string(first_line) + "\r\n" + std::move(lines) + "\r\n") {
    HeadParser parser(HeadParser::Kind::request);
    const auto status = parser.parse(bytes, {}, exchange.request);
    EXPECT_EQ(status, HeadParser::Status::complete) << bytes;
    const std::string_view target = exchange.request.target;
    const std::size_t query = target.find('?');
    exchange.raw_path = target.substr(0, query);
    exchange.has_query = query != target.npos;
    if (exchange.has_query) exchange.raw_query = target.substr(query + 1);
    checks = check_request(exchange.request);
  }

  std::string bytes;
  transforms::Exchange exchange;
  RequestChecks checks;
};

inline std::string lines_of(const Headers& headers) {
  std::string lines;
  for (const Field& field : headers.all()) {
    lines.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return lines;
}

}  // namespace iron::proxy::test

#include "proxy/http/max_forwards.h"

#include <gtest/gtest.h>

#include <string>

namespace iron::proxy {
namespace {

Request request_with(std::string_view method, std::string_view value) {
  Request request;
  request.method = method;
  request.headers.add("Host", "h.test");
  request.headers.add("max-forwards", value);
  return request;
}

/// The value that leaves; `answered` for a request that ends here.
std::string passed_on(Request request) {
  FewerForwards fewer;
  const std::optional<std::uint64_t> received = max_forwards(request);
  if (received == 0) return "answered";
  if (received) fewer.apply(request, *received);
  return std::string(request.headers.find("Max-Forwards")->value);
}

TEST(MaxForwards, OneLess) {
  const struct {
    const char* received;
    const char* leaves;
  } rows[] = {
      {"0", "answered"},
      {"00", "answered"},
      {"1", "0"},
      {"10", "9"},
      {"007", "6"},
      {"18446744073709551615", "18446744073709551614"},
      {"18446744073709551616", "18446744073709551614"},
      {"99999999999999999999999999", "18446744073709551614"},
      // Malformed: as it came.
      {"", ""},
      {"-1", "-1"},
      {"+1", "+1"},
      {"1.0", "1.0"},
      {"0x1", "0x1"},
      {"1, 2", "1, 2"},
      {"1 2", "1 2"},
      {"x", "x"},
      {"0x", "0x"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(passed_on(request_with("OPTIONS", row.received)), row.leaves) << row.received;
    EXPECT_EQ(passed_on(request_with("TRACE", row.received)), row.leaves) << row.received;
    EXPECT_EQ(passed_on(request_with("GET", row.received)), row.received);
    EXPECT_EQ(passed_on(request_with("trace", row.received)), row.received);
  }
}

TEST(MaxForwards, OneFieldOfTheClientOnly) {
  Request request = request_with("OPTIONS", "3");
  EXPECT_EQ(max_forwards(request), 3u);
  request.headers.add("Max-Forwards", "3");
  EXPECT_EQ(max_forwards(request), std::nullopt);
  request = request_with("OPTIONS", "3");
  request.headers.all().back().rewrite = 1;
  EXPECT_EQ(max_forwards(request), std::nullopt);
  request.headers.clear();
  EXPECT_EQ(max_forwards(request), std::nullopt);
}

}  // namespace
}  // namespace iron::proxy

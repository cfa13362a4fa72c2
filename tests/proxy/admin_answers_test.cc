#include "proxy/admin/admin_answers.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/proxy/dateless.h"

namespace iron::proxy {
namespace {

using test::dateless;

Request of(std::string_view method, int minor_version = 1) {
  Request request;
  request.method = method;
  request.minor_version = minor_version;
  return request;
}

TEST(AdminAnswers, SayHowTheConnectionGoesOnWhereTheVersionDoesNot) {
  const AdminAnswer answer{"200 OK", "X-A: b\r\n", "text"};
  const std::string fields = " 200 OK\r\nX-A: b\r\nDate: <D>\r\nContent-Length: 4\r\n";
  EXPECT_EQ(dateless(admin_answer(answer, of("GET"), false)), "HTTP/1.1" + fields + "\r\ntext");
  EXPECT_EQ(dateless(admin_answer(answer, of("GET"), true)),
            "HTTP/1.1" + fields + "Connection: close\r\n\r\ntext");
  EXPECT_EQ(dateless(admin_answer(answer, of("GET", 0), false)),
            "HTTP/1.0" + fields + "Connection: keep-alive\r\n\r\ntext");
  EXPECT_EQ(dateless(admin_answer(answer, of("GET", 0), true)), "HTTP/1.0" + fields + "\r\ntext");
}

TEST(AdminAnswers, ToHeadHaveNoBody) {
  EXPECT_EQ(dateless(admin_answer({"200 OK", {}, "text"}, of("HEAD"), false)),
            "HTTP/1.1 200 OK\r\nDate: <D>\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(dateless(health_answer(of("HEAD"), false)),
            "HTTP/1.1 200 OK\r\nDate: <D>\r\nContent-Length: 2\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\n");
}

TEST(AdminAnswers, Health) {
  EXPECT_EQ(dateless(health_answer(of("GET", 0), true)),
            "HTTP/1.0 200 OK\r\nDate: <D>\r\nContent-Length: 2\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nOK");
}

TEST(AdminAnswers, NotFound) {
  EXPECT_EQ(dateless(not_found_answer(of("GET"), false)),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 19\r\n\r\n"
            "404 page not found\n");
}

TEST(AdminAnswers, RedirectsShowALinkToThoseWhoRead) {
  EXPECT_EQ(dateless(redirect_answer(of("GET"), "/a?b=\"<'&>", false)),
            "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n"
            "Location: /a?b=\"<'&>\r\nDate: <D>\r\nContent-Length: 64\r\n\r\n"
            "<a href=\"/a?b=&#34;&lt;&#39;&amp;&gt;\">Temporary Redirect</a>.\n\n");
  EXPECT_EQ(dateless(redirect_answer(of("HEAD"), "/a", false)),
            "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n"
            "Location: /a\r\nDate: <D>\r\n\r\n");
  EXPECT_EQ(dateless(redirect_answer(of("POST"), "/a", false)),
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: /a\r\nDate: <D>\r\n"
            "Content-Length: 0\r\n\r\n");
}

TEST(AdminAnswers, ErrorsAreSafeInScripts) {
  EXPECT_EQ(json_error_body("a \"b\" <&>"), "{\"error\":\"a \\\"b\\\" \\u003c\\u0026\\u003e\"}\n");
}

TEST(AdminAnswers, PathsAreCleaned) {
  const std::string_view rows[][2] = {
      {"", "/"},          {"/", "/"},          {"//", "/"},      {"/a", "/a"},
      {"/a/", "/a/"},     {"//a//b", "/a/b"},  {"/./a/.", "/a"}, {"/a/../b", "/b"},
      {"/../../a", "/a"}, {"/a/b/../", "/a/"}, {"/..", "/"},     {"a", "/a"},
      {"/...", "/..."},   {"/a/..//", "/"},
  };
  for (const auto& [path, clean] : rows) EXPECT_EQ(clean_path(path), clean) << path;
}

TEST(AdminAnswers, PathsAreEncodedAnew) {
  EXPECT_EQ(uri_path("/a%2fb?c"), "/a%2fb?c");
  EXPECT_EQ(uri_path("/\"<>\\^`{|}"), "/%22%3C%3E%5C%5E%60%7B%7C%7D");
  EXPECT_EQ(uri_path("/\xC3\xA4\xFF"), "/%C3%A4%FF");
}

}  // namespace
}  // namespace iron::proxy

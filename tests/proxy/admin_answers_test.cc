#include "proxy/admin/admin_answers.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/proxy/dateless.h"

namespace iron::proxy {
namespace {

using test::dateless;

WebRequest of(std::string_view method, unsigned version = 11) {
  WebRequest request;
  request.method_string(method);
  request.version(version);
  return request;
}

std::string bytes(WebAnswer answer, std::string_view method = "GET") {
  return dateless(answer_bytes(std::move(answer), of(method), false));
}

TEST(AdminAnswers, SayHowTheConnectionGoesOnWhereTheVersionDoesNot) {
  const WebAnswer answer = options_answer();
  const std::string fields = " 200 OK\r\nContent-Length: 0\r\nDate: <D>\r\n";
  EXPECT_EQ(dateless(answer_bytes(answer, of("GET"), false)), "HTTP/1.1" + fields + "\r\n");
  EXPECT_EQ(dateless(answer_bytes(answer, of("GET"), true)),
            "HTTP/1.1" + fields + "Connection: close\r\n\r\n");
  EXPECT_EQ(dateless(answer_bytes(answer, of("GET", 10), false)),
            "HTTP/1.0" + fields + "Connection: keep-alive\r\n\r\n");
  EXPECT_EQ(dateless(answer_bytes(answer, of("GET", 10), true)), "HTTP/1.0" + fields + "\r\n");
}

TEST(AdminAnswers, ToHeadHaveNoBody) {
  EXPECT_EQ(bytes(health_answer(), "HEAD"),
            "HTTP/1.1 200 OK\r\nDate: <D>\r\nContent-Length: 2\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\n");
  EXPECT_EQ(bytes(health_answer(), "head").substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_TRUE(bytes(health_answer(), "head").ends_with("\r\n\r\nOK"));
}

TEST(AdminAnswers, Health) {
  EXPECT_EQ(bytes(health_answer()),
            "HTTP/1.1 200 OK\r\nDate: <D>\r\nContent-Length: 2\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nOK");
}

TEST(AdminAnswers, NotFound) {
  EXPECT_EQ(bytes(not_found_answer()),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "X-Content-Type-Options: nosniff\r\nDate: <D>\r\nContent-Length: 19\r\n\r\n"
            "404 page not found\n");
}

TEST(AdminAnswers, RedirectsShowALinkToThoseWhoRead) {
  EXPECT_EQ(bytes(redirect_answer("GET", "/a?b=\"<'&>")),
            "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n"
            "Location: /a?b=\"<'&>\r\nDate: <D>\r\nContent-Length: 64\r\n\r\n"
            "<a href=\"/a?b=&#34;&lt;&#39;&amp;&gt;\">Temporary Redirect</a>.\n\n");
  EXPECT_EQ(bytes(redirect_answer("HEAD", "/a"), "HEAD"),
            "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n"
            "Location: /a\r\nDate: <D>\r\n\r\n");
  EXPECT_EQ(bytes(redirect_answer("POST", "/a"), "POST"),
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: /a\r\nDate: <D>\r\n"
            "Content-Length: 0\r\n\r\n");
  const std::string longest(kLongestWebField, 'a');
  EXPECT_NE(bytes(redirect_answer("POST", longest)).find("Location: " + longest + "\r\n"),
            std::string::npos);
}

TEST(AdminAnswers, Json) {
  using boost::beast::http::status;
  EXPECT_EQ(bytes(json_answer(status::unprocessable_entity, "{}\n")),
            "HTTP/1.1 422 Unprocessable Entity\r\nContent-Type: application/json\r\nDate: <D>\r\n"
            "Content-Length: 3\r\n\r\n{}\n");
  EXPECT_EQ(bytes(only_post_answer()),
            "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Type: application/json\r\n"
            "Date: <D>\r\nContent-Length: 31\r\n\r\n{\"error\":\"method not allowed\"}\n");
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

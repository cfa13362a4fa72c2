#include "proxy/admin/web_message.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <limits>

#include "proxy/wait/buffers.h"

namespace iron::proxy {
namespace {

namespace http = boost::beast::http;

bool for_pages(const Field& field) {
  return std::max(field.name.size(), field.value.size()) <= kLongestWebField &&
         !iequals(field.name, "Connection") && !iequals(field.name, "Proxy-Connection");
}

std::string written(const Request& head) {
  std::string text;
  std::size_t size = head.method.size() + head.target.size() + sizeof "  HTTP/1.1\r\n\r\n";
  for (const Field& field : head.headers.all()) size += field.name.size() + field.value.size() + 4;
  make_room(text, size);
  text.append(head.method).append(" ").append(head.target);
  text.append(head.minor_version == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const Field& field : head.headers.all()) {
    if (!for_pages(field)) continue;
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return text.append("\r\n");
}

}  // namespace

// Beast takes what HeadParser refuses: folded lines, lists of equal lengths, two Host fields,
// Content-Length behind the last of several codings. And it refuses what HeadParser takes: elements
// of Connection that are no tokens. So it never sees the wire. HeadParser and check_request() judge
// the bytes received, with their limits and an answer for each fault, and what is left of them,
// read and written once more, is what Beast parses: it can refuse more, and take nothing else.
std::optional<WebRequest> web_request(const Request& head, std::size_t most) {
  std::string text = written(head);
  http::request_parser<http::empty_body, WipedMemory<char>> parser;
  parser.header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(most, std::numeric_limits<std::uint32_t>::max())));
  parser.skip(true);  // BodyReader reads bodies: it is as strict
  boost::beast::error_code error;
  const std::size_t taken = parser.put(boost::asio::buffer(text), error);
  const bool whole = !error && parser.is_done() && taken == text.size();
  wipe(text);
  if (!whole) return std::nullopt;
  return parser.release();
}

std::string answer_bytes(WebAnswer answer, const WebRequest& request, bool close) {
  answer.version(request.version());
  if (close && request.version() == 11) answer.insert(http::field::connection, "close");
  if (!close && request.version() == 10) answer.insert(http::field::connection, "keep-alive");
  if (request.method() == http::verb::head) answer.body().clear();
  std::string bytes;
  http::response_serializer<http::string_body> serializer(answer);
  boost::beast::error_code error;
  while (!serializer.is_done() && !error) {
    serializer.next(error, [&](boost::beast::error_code&, const auto& buffers) {
      std::size_t size = 0;
      for (const boost::asio::const_buffer piece : boost::beast::buffers_range_ref(buffers)) {
        bytes.append(static_cast<const char*>(piece.data()), piece.size());
        size += piece.size();
      }
      serializer.consume(size);
    });
  }
  return bytes;
}

}  // namespace iron::proxy

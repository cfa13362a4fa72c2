#include "tests/proxy/http_message.h"

#include <charconv>
#include <optional>

namespace iron::proxy::test {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

std::optional<std::size_t> number(std::string_view text, int base) {
  std::size_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, base);
  if (text.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

/// Takes the next line, without its end; nothing if it is not here yet.
std::optional<std::string_view> take_line(std::string_view& bytes) {
  const std::size_t end = bytes.find(kLineEnd);
  if (end == bytes.npos) return std::nullopt;
  const std::string_view line = bytes.substr(0, end);
  bytes.remove_prefix(end + kLineEnd.size());
  return line;
}

/// Reads chunks up to the end of the trailers. False: they go on, or are broken.
bool read_chunks(std::string_view& rest, Message& message) {
  while (const auto line = take_line(rest)) {
    const auto size = number(*line, 16);
    if (!size) return message.fault = "a chunk size that is none", false;
    if (*size == 0) {
      while (const auto trailer = take_line(rest)) {
        if (trailer->empty()) return true;
      }
      return false;
    }
    const std::string_view data = rest.substr(0, *size);
    message.body += data;
    if (rest.size() < *size + kLineEnd.size()) return false;
    rest.remove_prefix(*size);
    if (!rest.starts_with(kLineEnd)) return message.fault = "a chunk of another size", false;
    rest.remove_prefix(kLineEnd.size());
  }
  return false;
}

bool read_counted(std::string_view& rest, std::size_t size, Message& message) {
  message.body = rest.substr(0, size);
  if (rest.size() < size) return false;
  rest.remove_prefix(size);
  return true;
}

bool read_body(std::string_view& rest, BodyRule rule, bool ended, Message& message) {
  const std::string_view length = message.field("Content-Length");
  const std::string_view coding = message.field("Transfer-Encoding");
  if (rule == BodyRule::none) return true;
  if (!length.empty() && !coding.empty()) return message.fault = "two framings", false;
  if (coding == "chunked") return read_chunks(rest, message);
  if (!coding.empty()) return message.fault = "another coding", false;
  if (!length.empty()) {
    const auto size = number(length, 10);
    if (!size) return message.fault = "a length that is none", false;
    return read_counted(rest, *size, message);
  }
  if (rule == BodyRule::request) return true;
  message.until_end = true;
  message.body = rest;
  rest = {};
  return ended;
}

}  // namespace

std::string_view Message::field(std::string_view name) const {
  std::string_view rest = fields;
  while (const auto line = take_line(rest)) {
    if (line->starts_with(name) && line->substr(name.size()).starts_with(": ")) {
      return line->substr(name.size() + 2);
    }
  }
  return {};
}

int Message::status() const {
  return static_cast<int>(number(std::string_view(start).substr(9, 3), 10).value_or(0));
}

Message read_message(std::string_view bytes, BodyRule rule, bool ended) {
  Message message;
  std::string_view rest = bytes;
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == bytes.npos) return message;
  message.head_done = true;
  message.start = *take_line(rest);
  const std::size_t fields = bytes.size() - rest.size();
  message.fields = bytes.substr(fields, end + kLineEnd.size() - fields);
  rest = bytes.substr(end + 4);
  const bool is_answer = message.start.starts_with("HTTP/1.");
  if (rule != BodyRule::request) {
    if (!is_answer || message.status() < 100) return message.fault = "no answer", message;
    const int status = message.status();
    if (status < 200 || status == 204 || status == 304) rule = BodyRule::none;
  }
  message.complete = read_body(rest, rule, ended, message);
  message.size = bytes.size() - rest.size();
  return message;
}

}  // namespace iron::proxy::test

#include "proxy/http1/head_parser.h"

#include <cstring>

#include "proxy/http/field_text.h"

namespace iron::proxy {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Percent escapes are checked up to the query only, as servers do.
bool escapes_ok(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  for (std::size_t at = path.find('%'); at != path.npos; at = path.find('%', at + 1)) {
    if (at + 2 >= path.size() || !is_hex(path[at + 1]) || !is_hex(path[at + 2])) return false;
  }
  return true;
}

}  // namespace

void HeadParser::restart() {
  fault_ = HeadFault::none;
  fault_text_.clear();
  position_ = scanned_ = fields_ = limit_ = 0;
  has_start_line_ = bad_name_ = false;
}

bool HeadParser::refuse(HeadFault fault, std::string text) {
  fault_ = fault;
  if (kind_ == Kind::response) fault_text_ = kBrokenAnswer + std::move(text);
  return false;
}

bool HeadParser::start_line(std::string_view line, Request& request) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == line.npos ? line.npos : line.find(' ', first + 1);
  if (second == line.npos) return refuse(HeadFault::malformed);
  const std::string_view version = line.substr(second + 1);
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7])) {
    return refuse(HeadFault::malformed);
  }
  request.method = line.substr(0, first);  // only of a line that has the three parts
  request.target = line.substr(first + 1, second - first - 1);
  if (!is_token(request.method)) return refuse(HeadFault::malformed);
  if (request.target.empty() || !all(request.target, kTarget) || !escapes_ok(request.target)) {
    return refuse(HeadFault::malformed);
  }
  if (version[5] != '1') {
    const bool preface = line == "PRI * HTTP/2.0";
    return refuse(preface ? HeadFault::preface : HeadFault::version);
  }
  if (version[7] > '1') return refuse(HeadFault::malformed);
  request.minor_version = version[7] - '0';
  return true;
}

bool HeadParser::start_line(std::string_view line, Response& response) {
  const std::size_t blank = line.find(' ');
  if (blank == line.npos || !all(line, kValue)) {
    return refuse(HeadFault::malformed, described("malformed HTTP response", line, text_));
  }
  const std::string_view version = line.substr(0, blank);
  const std::string_view rest = line.substr(blank + 1);
  const std::string_view code = rest.substr(0, rest.find(' '));
  if (code.size() != 3 || !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]) ||
      code[0] == '0') {
    return refuse(HeadFault::malformed, described("malformed HTTP status code", code, text_));
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return refuse(HeadFault::version, described("malformed HTTP version", version, text_));
  }
  response.minor_version = version.back() - '0';
  response.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  response.reason = rest.size() > 4 ? rest.substr(4) : std::string_view();
  return true;
}

bool HeadParser::field_line(std::string_view line, Headers& headers) {
  const std::size_t colon = line.find(':');
  if (line.front() == ' ' || line.front() == '\t' || colon == 0 || colon == line.npos) {
    return refuse(HeadFault::malformed,
                  described("malformed MIME header: missing colon:", line, text_));
  }
  std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!all(name, kToken)) {
    const bool answer = kind_ == Kind::response;
    if (answer) name = answer_field_name(name);
    if (!all(name, answer ? kToken : kPrintable)) {
      return refuse(HeadFault::malformed, "malformed MIME header line");
    }
    bad_name_ = !answer;
  }
  if (!all(value, kValue)) return refuse(HeadFault::malformed, "malformed MIME header line");
  headers.add(name, value);
  return true;
}

template <class Message>
HeadParser::Status HeadParser::run(std::string_view bytes,
                                   const HeadLimits& limits,
                                   Message& message) {
  while (true) {
    const std::size_t allowed = limit_ != 0 ? limit_ : limits.bytes;
    const void* found = std::memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_);
    const std::size_t end =
        found ? static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data())
              : bytes.size();
    const std::size_t seen = found ? end + 1 : end;
    if (seen > allowed || (!has_start_line_ && seen > limits.start_line_bytes)) {
      refuse(HeadFault::too_large, "net/http: server response headers exceeded " +
                                       std::to_string(allowed) + " bytes; aborted");
      return Status::fault;
    }
    if (!found) {
      scanned_ = end;
      return Status::incomplete;
    }
    std::string_view line = bytes.substr(position_, end - position_);
    position_ = scanned_ = end + 1;
    if (line.empty() || line.back() != '\r') {
      refuse(HeadFault::malformed, "malformed line end");
      return Status::fault;
    }
    line.remove_suffix(1);
    if (!has_start_line_) {
      if (!start_line(line, message)) return Status::fault;
      has_start_line_ = true;
      if constexpr (std::is_same_v<Message, Request>) {
        limit_ = message.method == "CONNECT" ? limits.connect_bytes : limits.bytes;
      }
      continue;
    }
    if (line.empty()) {
      if (bad_name_) fault_ = HeadFault::header_name;
      return Status::complete;
    }
    if (++fields_ > limits.fields) {
      refuse(HeadFault::too_large, "too many header fields");
      return Status::fault;
    }
    if (!field_line(line, message.headers)) return Status::fault;
  }
}

HeadParser::Status HeadParser::parse(std::string_view bytes,
                                     const HeadLimits& limits,
                                     Request& request) {
  if (position_ == 0) {
    request.headers.clear();
    request.method = request.target = {};
  }
  return run(bytes, limits, request);
}

HeadParser::Status HeadParser::parse(std::string_view bytes,
                                     const HeadLimits& limits,
                                     Response& response) {
  if (position_ == 0) response.headers.clear();
  return run(bytes, limits, response);
}

BlankLine leading_blank_line(std::string_view input) {
  if (input == "\r") return BlankLine::begun;
  return input.starts_with("\r\n") ? BlankLine::whole : BlankLine::none;
}

}  // namespace iron::proxy

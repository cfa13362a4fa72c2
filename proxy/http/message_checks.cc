#include "proxy/http/message_checks.h"

#include "policy/quote.h"

namespace iron::proxy {
namespace {

/// One length of 1 to 18 digits (RFC 9110 section 8.6); lists and signs are refused.
bool parse_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > 18) return false;
  length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

std::string repeated_lengths(const Headers& headers, FaultText kind) {
  std::string text = "http: message cannot contain multiple Content-Length headers";
  if (kind == FaultText::fixed) return text;
  text += "; got [";
  for (const Field& field : headers.all()) {
    if (!iequals(field.name, "Content-Length")) continue;
    if (text.size() > 200) break;  // the record need not hold them all
    if (text.back() != '[') text.push_back(' ');
    text += policy::quoted(field.value.substr(0, 100));
  }
  text.push_back(']');
  return text;
}

}  // namespace

std::string described(std::string what, std::string_view bytes, FaultText text) {
  if (text == FaultText::quoting) return what + " " + policy::quoted(bytes.substr(0, 100));
  if (what.back() == ':') what.pop_back();
  return what;
}

std::string_view answer_field_name(std::string_view before_colon) {
  std::string_view name = before_colon;
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
  const bool frames = iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding");
  return frames ? before_colon : name;
}

RequestChecks check_request(const Request& request) {
  RequestChecks checks;
  const Field* length = nullptr;
  const Field* encoding = nullptr;
  const Field* expect = nullptr;
  bool doubled = false, doubled_encoding = false, unmet = false;
  for (const Field& field : request.headers.all()) {
    const Field** slot = nullptr;
    switch (field.name.size()) {
      case 4:
        if (iequals(field.name, "Host")) slot = &checks.host;
        break;
      case 6:
        if (iequals(field.name, "Expect")) slot = &expect;
        break;
      case 14:
        if (iequals(field.name, "Content-Length")) slot = &length;
        break;
      case 17:
        if (iequals(field.name, "Transfer-Encoding")) slot = &encoding;
        break;
      default:
        break;
    }
    if (slot == nullptr) continue;
    if (slot == &expect && !iequals(field.value, "100-continue")) unmet = true;
    if (*slot != nullptr && slot == &encoding)
      doubled_encoding = true;
    else if (*slot != nullptr && slot != &expect)
      doubled = true;
    *slot = &field;
  }
  const auto with = [&checks](HeadFault fault) {
    checks.fault = fault;
    return checks;
  };
  if (doubled || (length != nullptr && encoding != nullptr) ||
      (encoding != nullptr && request.minor_version == 0)) {
    return with(HeadFault::malformed);
  }
  if (encoding != nullptr) {
    if (doubled_encoding || !iequals(encoding->value, "chunked")) {
      return with(HeadFault::transfer_encoding);
    }
    checks.framing.kind = BodyFraming::Kind::chunked;
  } else if (length != nullptr) {
    if (!parse_length(length->value, checks.framing.length)) return with(HeadFault::malformed);
    checks.framing.kind =
        checks.framing.length > 0 ? BodyFraming::Kind::length : BodyFraming::Kind::none;
  }
  if (checks.host == nullptr && request.minor_version == 1) return with(HeadFault::missing_host);
  if (unmet) return with(HeadFault::expectation);
  checks.expects_continue = expect != nullptr;
  return checks;
}

ResponseChecks check_response(const Response& response,
                              std::string_view request_method,
                              FaultText text) {
  ResponseChecks checks;
  const std::size_t lengths = response.headers.count("Content-Length");
  const std::size_t encodings = response.headers.count("Transfer-Encoding");
  const auto broken = [&checks](std::string fault) {
    checks.error = kBrokenAnswer + std::move(fault);
    return checks;
  };
  if (lengths > 1) return broken(repeated_lengths(response.headers, text));
  if (lengths + encodings > 1 && encodings > 0) return broken("more than one body framing");
  if (encodings == 1) {
    const std::string_view coding = response.headers.find("Transfer-Encoding")->value;
    if (!iequals(coding, "chunked") || response.minor_version == 0) {
      return broken(described("unsupported transfer encoding:", coding, text));
    }
    checks.framing.kind = BodyFraming::Kind::chunked;
  } else if (lengths == 1) {
    const std::string_view length = response.headers.find("Content-Length")->value;
    if (!parse_length(length, checks.framing.length)) {
      return broken(described("bad Content-Length", length, text));
    }
    checks.framing.kind = BodyFraming::Kind::length;
  } else {
    checks.framing.kind = BodyFraming::Kind::until_close;
  }
  if (request_method == "HEAD" || response.status < 200 || response.status == 204 ||
      response.status == 304) {
    checks.framing = {};
  }
  return checks;
}

}  // namespace iron::proxy

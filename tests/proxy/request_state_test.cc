#include "proxy/exchange/request_state.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace iron::proxy {
namespace {

// A state goes from one client's request to another's. The structured bindings below name every
// field of what it is made of: a new field does not compile until it stands here, in fill() and in
// the comparison, and then has to be reset. What is kept for its capacity alone stands there too.

/// The names of the fields that differ.
class Differences {
 public:
  template <class T>
  void field(std::string_view name, const T& one, const T& other) {
    ++compared_;
    if (!(one == other)) names_.push_back(prefix_ + std::string(name));
  }
  /// A view that is empty, but still points to something, is one that was forgotten.
  void view(std::string_view name, std::string_view one, std::string_view other) {
    ++compared_;
    if (one.data() != other.data() || one.size() != other.size()) {
      names_.push_back(prefix_ + std::string(name));
    }
  }
  template <class T>
  void inside(std::string_view name, const T& one, const T& other);
  const std::vector<std::string>& names() const { return names_; }
  std::size_t compared() const { return compared_; }

 private:
  std::string prefix_;
  std::vector<std::string> names_;
  std::size_t compared_ = 0;
};

void compare(Differences& out, const Request& one, const Request& other) {
  const auto& [method, target, minor_version, headers] = one;
  out.view("method", method, other.method);
  out.view("target", target, other.target);
  out.field("minor_version", minor_version, other.minor_version);
  out.field("headers", headers.size(), other.headers.size());
}

void compare(Differences& out, const Response& one, const Response& other) {
  const auto& [status, minor_version, reason, headers] = one;
  out.field("status", status, other.status);
  out.field("minor_version", minor_version, other.minor_version);
  out.view("reason", reason, other.reason);
  out.field("headers", headers.size(), other.headers.size());
}

void compare(Differences& out, const policy::Authority& one, const policy::Authority& other) {
  const auto& [host, port, literal] = one;
  out.field("host", host, other.host);
  out.field("port", port, other.port);
  out.field("literal", literal.has_value(), other.literal.has_value());
}

void compare(Differences& out, const UpstreamTarget& one, const UpstreamTarget& other) {
  const auto& [tls, host, literal, port] = one;
  out.field("tls", tls, other.tls);
  out.field("host", host, other.host);
  out.field("literal", literal.has_value(), other.literal.has_value());
  out.field("port", port, other.port);
}

void compare(Differences& out, const transforms::BodyView& one, const transforms::BodyView& other) {
  const auto& [present, loaded, complete, failed, too_large, limit, declared, bytes, parts] = one;
  out.field("present", present, other.present);
  out.field("loaded", loaded, other.loaded);
  out.field("complete", complete, other.complete);
  out.field("failed", failed, other.failed);
  out.field("too_large", too_large, other.too_large);
  out.field("limit", limit, other.limit);
  out.field("declared", declared, other.declared);
  out.view("bytes", bytes, other.bytes);
  out.field("parts", parts.size(), other.parts.size());
}

void compare(Differences& out, const transforms::Exchange& one, const transforms::Exchange& other) {
  const auto& [mode, tunnel_check, client_tls, upgrade, request, authority, path, path_kept,
               path_reduced, path_kept_reduced, host, raw_path, raw_query, has_query,
               remote_address, field_rewrites, field_rewrite_count, query_rewrites,
               rewrites_of_pairs, path_parts, body, response_body, capture, request_traces,
               request_trace_count, response_traces, response_trace_count, rejected_by, stubbed_by,
               quiet_refusal, denial_reason, error, next_transform, response, scratch, values,
               now_ns, supplied, awaited, step_began, answer, own, body_change] = one;
  // Their counts say how much of them means anything; nothing of the scratch does.
  (void)field_rewrites, (void)request_traces, (void)response_traces, (void)scratch;
  out.field("mode", mode, other.mode);
  out.field("tunnel_check", tunnel_check, other.tunnel_check);
  out.field("client_tls", client_tls, other.client_tls);
  out.field("upgrade", upgrade, other.upgrade);
  out.inside("request.", request, other.request);
  out.inside("authority.", authority, other.authority);
  out.field("path", path, other.path);
  out.field("path_kept", path_kept, other.path_kept);
  out.field("path_reduced", path_reduced, other.path_reduced);
  out.field("path_kept_reduced", path_kept_reduced, other.path_kept_reduced);
  out.view("raw_path", raw_path, other.raw_path);
  out.view("raw_query", raw_query, other.raw_query);
  out.field("has_query", has_query, other.has_query);
  out.view("remote_address", remote_address, other.remote_address);
  out.field("field_rewrite_count", field_rewrite_count, other.field_rewrite_count);
  out.field("query_rewrites", query_rewrites.size(), other.query_rewrites.size());
  out.field("rewrites_of_pairs", rewrites_of_pairs, other.rewrites_of_pairs);
  out.field("path_parts", path_parts.size(), other.path_parts.size());
  out.inside("body.", body, other.body);
  out.inside("response_body.", response_body, other.response_body);
  out.field("capture", capture.has_value(), other.capture.has_value());
  out.field("request_trace_count", request_trace_count, other.request_trace_count);
  out.field("response_trace_count", response_trace_count, other.response_trace_count);
  out.view("rejected_by", rejected_by, other.rejected_by);
  out.field("quiet_refusal", quiet_refusal, other.quiet_refusal);
  out.field("denial_reason", denial_reason, other.denial_reason);
  out.field("error", error, other.error);
  out.field("next_transform", next_transform, other.next_transform);
  out.field("response", response, other.response);
  out.view("stubbed_by", stubbed_by, other.stubbed_by);
  out.field("values", values, other.values);
  out.field("now_ns", now_ns, other.now_ns);
  out.field("supplied", supplied.size(), other.supplied.size());
  out.field("awaited", awaited, other.awaited);
  out.field("step_began", step_began.has_value(), other.step_began.has_value());
  out.field("answer", answer.has_value(), other.answer.has_value());
  out.field("own", own.size(), other.own.size());
  out.view("host", host, other.host);
  out.field("body_change", body_change == nullptr, other.body_change == nullptr);
}

template <class T>
void Differences::inside(std::string_view name, const T& one, const T& other) {
  const std::string outer = prefix_;
  prefix_ += name;
  compare(*this, one, other);
  prefix_ = outer;
}

Differences differences(const RequestState& one, const RequestState& other) {
  const auto& [exchange, response, target, pool_key, upstream_address, parent, name_only,
               answer_head] = one;
  Differences out;
  out.inside("exchange.", exchange, other.exchange);
  out.inside("response.", response, other.response);
  out.inside("target.", target, other.target);
  out.field("pool_key", pool_key, other.pool_key);
  out.field("upstream_address", upstream_address, other.upstream_address);
  out.field("parent", parent, other.parent);
  out.field("name_only", name_only, other.name_only);
  out.field("answer_head", answer_head, other.answer_head);
  return out;
}

constexpr std::string_view kPoison = "poison";

struct NoChange final : transforms::BodyChange {
  Result<void> feed(std::string_view, std::string&) override { return {}; }
  Result<void> end(std::string&) override { return {}; }
  void refuse(transforms::Exchange&) override {}
};

void fill(Headers& headers) { headers.add(kPoison, kPoison); }

void fill(transforms::BodyView& body) {
  auto& [present, loaded, complete, failed, too_large, limit, declared, bytes, parts] = body;
  present = loaded = complete = failed = too_large = true;
  limit = 1;
  declared = 1;
  bytes = kPoison;
  parts.emplace_back();
}

void fill(transforms::Exchange& filled, const Response& received) {
  auto& [mode, tunnel_check, client_tls, upgrade, request, authority, path, path_kept, path_reduced,
         path_kept_reduced, host, raw_path, raw_query, has_query, remote_address, field_rewrites,
         field_rewrite_count, query_rewrites, rewrites_of_pairs, path_parts, body, response_body,
         capture, request_traces, request_trace_count, response_traces, response_trace_count,
         rejected_by, stubbed_by, quiet_refusal, denial_reason, error, next_transform, response,
         scratch, values, now_ns, supplied, awaited, step_began, answer, own, body_change] = filled;
  mode = transforms::Mode::passthrough;
  tunnel_check = client_tls = upgrade = has_query = quiet_refusal = true;
  request.method = request.target = kPoison;
  request.minor_version = 0;
  fill(request.headers);
  authority.host = kPoison;
  authority.port = 1;
  authority.literal = policy::IpAddress::v4({1, 2, 3, 4});
  path = denial_reason = error = kPoison;
  path_kept = path_reduced = path_kept_reduced = kPoison;
  raw_path = raw_query = remote_address = rejected_by = stubbed_by = host = kPoison;
  values = std::make_shared<const transforms::Values>();
  now_ns = 1;
  supplied.emplace_back(nullptr, nullptr);
  awaited = reinterpret_cast<const transforms::Supply*>(&filled);
  step_began.emplace();
  answer.emplace();
  own.emplace_back();
  body_change = std::make_unique<NoChange>();
  filled.rewrite_of(request.headers.all().front());
  filled.rewrite_of_pair(3);
  path_parts.emplace_back();
  fill(body);
  fill(response_body);
  capture.emplace();
  filled.new_request_trace();
  filled.new_response_trace();
  next_transform = 1;
  response = &received;
  scratch.text = kPoison;
  EXPECT_EQ(field_rewrites.size() + request_traces.size() + response_traces.size(), 3U);
  EXPECT_EQ(field_rewrite_count + request_trace_count + response_trace_count, 3U);
  EXPECT_EQ(query_rewrites.size() + rewrites_of_pairs.size(), 2U);
}

void fill(RequestState& state) {
  static const policy::ProxyUrl of_last;
  auto& [exchange, response, target, pool_key, upstream_address, parent, name_only, answer_head] =
      state;
  parent = &of_last;
  name_only = true;
  fill(exchange, response);
  response.status = 200;
  response.minor_version = 0;
  response.reason = kPoison;
  fill(response.headers);
  target.tls = true;
  target.host = kPoison;
  target.literal = policy::IpAddress::v4({1, 2, 3, 4});
  target.port = 1;
  pool_key = upstream_address = answer_head = kPoison;
}

TEST(RequestState, NothingOfARequestIsLeftForTheNext) {
  const RequestState fresh;
  RequestState used;
  fill(used);
  const Differences filled = differences(used, fresh);
  EXPECT_EQ(filled.names().size(), filled.compared()) << "fill() forgets one";
  used.reset();
  EXPECT_EQ(differences(used, fresh).names(), std::vector<std::string>());
}

}  // namespace
}  // namespace iron::proxy

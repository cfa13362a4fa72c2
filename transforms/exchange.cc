#include "transforms/exchange.h"

#include <utility>

namespace iron::transforms {
namespace {

Trace& next_trace(std::vector<Trace>& traces, std::size_t& count) {
  if (count == traces.size()) traces.emplace_back();
  Trace& trace = traces[count++];
  trace.name = {};
  trace.action = TraceAction::allow;
  trace.duration_ns = 0;
  trace.annotations.clear();
  trace.error.clear();
  return trace;
}

void clear_body(BodyView& body) {
  body.present = body.loaded = body.complete = body.failed = body.too_large = false;
  body.limit = 0;
  body.declared.reset();
  body.bytes = {};
  body.parts.clear();
}

}  // namespace

bool Exchange::decode_path() {
  if (!policy::percent_decode(raw_path, path)) return false;
  path_kept.reset();
  std::string kept;
  if (policy::decode_keeping_separators(raw_path, kept)) path_kept = std::move(kept);
  return true;
}

bool Exchange::refuses_dot_segments(policy::DotSegments kind) {
  path_reduced.reset();
  path_kept_reduced.reset();
  if (!policy::has_dot_segments(path, kind)) return false;
  std::string raw;
  if (kind == policy::DotSegments::strict || !policy::remove_dot_segments(raw_path, raw)) {
    return true;
  }
  // What the client spelled in another way is still there.
  std::string reduced;
  if (!policy::percent_decode(raw, reduced) || policy::has_dot_segments(reduced, kind)) return true;
  path_reduced = std::move(reduced);
  if (path_kept) policy::decode_keeping_separators(raw, path_kept_reduced.emplace());
  return false;
}

std::string Exchange::plain_path() const {
  std::string out;
  for (const char c : path_reduced ? *path_reduced : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

policy::Subject Exchange::subject() const {
  policy::Subject subject;
  subject.host = authority.host;
  subject.literal = authority.literal;
  subject.method = request.method;
  subject.path = path;
  if (path_kept) subject.path_kept = *path_kept;
  if (path_reduced) subject.path_reduced = *path_reduced;
  if (path_kept_reduced) subject.path_kept_reduced = *path_kept_reduced;
  subject.tunnel_check = tunnel_check && mode == Mode::mitm;
  return subject;
}

FieldRewrite& Exchange::rewrite_of(Field& field) {
  if (field.rewrite != 0) return field_rewrites[field.rewrite - 1];
  if (field_rewrite_count == field_rewrites.size()) field_rewrites.emplace_back();
  FieldRewrite& rewrite = field_rewrites[field_rewrite_count++];
  rewrite.kind = FieldRewrite::Kind::plain;
  rewrite.parts.clear();
  rewrite.spelling = {};
  rewrite.decoded.clear();
  field.rewrite = static_cast<std::uint32_t>(field_rewrite_count);
  return rewrite;
}

const QueryRewrite* Exchange::find_rewrite_of_pair(std::size_t begin) const {
  const auto found = rewrites_of_pairs.find(begin);
  return found == rewrites_of_pairs.end() ? nullptr : &query_rewrites[found->second];
}

QueryRewrite& Exchange::rewrite_of_pair(std::size_t begin) {
  const auto [place, is_new] = rewrites_of_pairs.try_emplace(begin, query_rewrites.size());
  if (is_new) query_rewrites.emplace_back().begin = begin;
  return query_rewrites[place->second];
}

Trace& Exchange::new_request_trace() { return next_trace(request_traces, request_trace_count); }

Trace& Exchange::new_response_trace() { return next_trace(response_traces, response_trace_count); }

const Supplied* Exchange::known(const Supply& supply) const {
  for (const auto& [from, what] : supplied) {
    if (from == &supply) return what.get();
  }
  const bool there = values != nullptr && supply.slot() < values->slots.size();
  return there ? values->slots[supply.slot()].get() : nullptr;
}

const Supplied* Exchange::use(const Supply& supply) {
  for (const auto& [from, what] : supplied) {
    if (from == &supply) return what.get();
  }
  const Supplied* found = known(supply);
  if (found != nullptr && found->until_ns > now_ns) return found;
  awaited = &supply;
  return nullptr;
}

const Secret& Exchange::hold(Secret value) {
  own.push_back(std::make_unique<const Secret>(std::move(value)));
  return *own.back();
}

bool Exchange::holds_secret() const {
  for (const Field& field : request.headers.all()) {
    if (field.rewrite != 0 && !field_rewrites[field.rewrite - 1].parts.empty()) return true;
  }
  for (const QueryRewrite& rewrite : query_rewrites) {
    if (rewrite.kind != QueryRewrite::Kind::remove) return true;
  }
  return !path_parts.empty() || !body.parts.empty();
}

void Exchange::reset() {
  mode = Mode::mitm;
  tunnel_check = client_tls = upgrade = has_query = quiet_refusal = false;
  request.method = request.target = {};
  request.minor_version = 1;
  request.headers.clear();
  authority.host.clear();
  authority.port.reset();
  authority.literal.reset();
  path.clear();
  path_kept.reset();
  path_reduced.reset();
  path_kept_reduced.reset();
  host = raw_path = raw_query = remote_address = rejected_by = stubbed_by = {};
  field_rewrite_count = 0;
  query_rewrites.clear();
  rewrites_of_pairs.clear();
  path_parts.clear();
  clear_body(body);
  clear_body(response_body);
  capture.reset();
  request_trace_count = response_trace_count = 0;
  denial_reason.clear();
  error.clear();
  next_transform = 0;
  response = nullptr;
  values.reset();
  now_ns = 0;
  supplied.clear();
  awaited = nullptr;
  step_began.reset();
  answer.reset();
  own.clear();
  body_change.reset();
}

}  // namespace iron::transforms

#include "proxy/log/record.h"

#include <span>

#include "policy/json/line_writer.h"

namespace iron::proxy {
namespace {

using policy::LineWriter;

// Of a usual line without its variable texts.
constexpr std::size_t kUsualBytes = 1024;

// Refusals before policy may come with a path as long as a head may be; every other path was
// bounded by what the policy accepted.
constexpr std::size_t kRefusedPathBytes = 8192;

std::string_view text_of(Action action) {
  constexpr std::string_view kTexts[] = {"allow", "reject", "stub", "error", "client_cancel"};
  return kTexts[static_cast<std::size_t>(action)];
}

std::string_view text_of(transforms::TraceAction action) {
  constexpr std::string_view kTexts[] = {"allow", "reject", "stub", "error"};
  return kTexts[static_cast<std::size_t>(action)];
}

std::string_view text_of(transforms::Mode mode) {
  constexpr std::string_view kTexts[] = {"mitm", "sni-only", "passthrough"};
  return kTexts[static_cast<std::size_t>(mode)];
}

std::array<char, 16> id_digits(std::uint64_t id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, 16> digits;
  for (char& digit : digits) {
    digit = kDigits[id >> 60];
    id <<= 4;
  }
  return digits;
}

void append_id(LineWriter& out, std::uint64_t id) {
  const auto digits = id_digits(id);
  out.put({digits.data(), digits.size()});
}

/// `key` stands with its comma and colon.
void append_text(LineWriter& out, std::string_view key, std::string_view value) {
  out.put(key);
  out.put_json(value);
}

void append_number(LineWriter& out, std::string_view key, std::int64_t value) {
  out.put(key);
  out.put_integer(value);
}

void append_traces(LineWriter& out,
                   std::string_view key,
                   std::span<const transforms::Trace> traces) {
  out.put(key);
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const transforms::Trace& trace = traces[i];
    if (i > 0) out.put(',');
    append_text(out, "{\"name\":", trace.name);
    out.put(",\"action\":\"");
    out.put(text_of(trace.action));
    out.put("\",\"duration_ms\":");
    out.put_milliseconds(trace.duration_ns);
    if (!trace.error.empty()) append_text(out, ",\"error\":", trace.error);
    if (!trace.annotations.empty() && trace.annotations != "{}") {
      out.put(",\"annotations\":");
      out.put(trace.annotations);
    }
    out.put('}');
  }
  out.put(']');
}

std::span<const transforms::Trace> request_traces(const transforms::Exchange& exchange) {
  return {exchange.request_traces.data(), exchange.request_trace_count};
}

void append_audit(LineWriter& out, const Record& record) {
  std::string_view path = record.path;
  if (record.rejected_by == "protocol") path = path.substr(0, kRefusedPathBytes);
  append_text(out, ",\"audit\":{\"host\":", record.host);
  append_text(out, ",\"method\":", record.method);
  append_text(out, ",\"path\":", path);
  append_text(out, ",\"remote_addr\":", record.remote_addr);
  append_text(out, ",\"sni\":", record.sni);
  out.put(",\"mode\":\"");
  out.put(text_of(record.mode));
  out.put("\",\"action\":\"");
  out.put(text_of(record.action));
  append_number(out, "\",\"status_code\":", record.status_code);
  out.put(",\"duration_ms\":");
  out.put_milliseconds(record.duration_ns);
  append_number(out, ",\"request_bytes\":", static_cast<std::int64_t>(record.request_bytes));
  append_number(out, ",\"response_bytes\":", static_cast<std::int64_t>(record.response_bytes));
  if (!record.upstream_addr.empty()) append_text(out, ",\"upstream_addr\":", record.upstream_addr);
  if (record.upstream_ns) {
    out.put(",\"upstream_ms\":");
    out.put_milliseconds(*record.upstream_ns);
  }
  if (record.tls) {
    append_text(out, ",\"tls\":{\"version\":", record.tls->version);
    out.put(record.tls->resumed ? ",\"resumed\":true}" : ",\"resumed\":false}");
  }
  out.put(",\"id\":\"");
  append_id(out, record.id);
  out.put('"');
  if (record.name_only) out.put(",\"deny_check\":\"name_only\"");
  if (!record.upstream_proxy.empty()) {
    append_text(out, ",\"upstream_proxy\":", record.upstream_proxy);
  }
  out.put('}');
}

void append_exchange(LineWriter& out, const transforms::Exchange& exchange) {
  if (exchange.request_trace_count > 0) {
    append_traces(out, ",\"request_transforms\":[", request_traces(exchange));
  }
  if (exchange.response_trace_count > 0) {
    append_traces(out, ",\"response_transforms\":[",
                  {exchange.response_traces.data(), exchange.response_trace_count});
  }
  if (!exchange.capture || exchange.capture->text.empty() || exchange.tunnel_check) return;
  append_text(out, ",\"body_capture\":{\"request_body\":", exchange.capture->text);
  out.put(exchange.capture->truncated ? ",\"request_body_truncated\":true}"
                                      : ",\"request_body_truncated\":false}");
}

}  // namespace

std::string record_id_text(std::uint64_t id) {
  const auto digits = id_digits(id);
  return {digits.data(), digits.size()};
}

bool is_quiet(const Record& record) {
  return record.action == Action::reject && record.exchange != nullptr &&
         record.exchange->quiet_refusal;
}

Level level_of(const Record& record) {
  if (record.action == Action::reject) return is_quiet(record) ? Level::debug : Level::warn;
  return record.action == Action::error ? Level::error : Level::info;
}

void render(const Record& record, std::string& line) {
  line += '{';
  append_record_time(line);
  LineWriter out(line, kUsualBytes);
  out.put(",\"level\":\"");
  out.put(level_name(level_of(record)));
  out.put("\",\"msg\":\"request\"");
  append_audit(out, record);
  if (!record.tunnel.empty()) {
    out.put(',');
    out.put(record.tunnel);
  }
  if (!record.rejected_by.empty()) append_text(out, ",\"rejected_by\":", record.rejected_by);
  if (!record.stubbed_by.empty()) append_text(out, ",\"stubbed_by\":", record.stubbed_by);
  if (!record.error.empty()) append_text(out, ",\"error\":", record.error);
  if (record.exchange != nullptr) append_exchange(out, *record.exchange);
  out.put("}\n");
}

std::string render_tunnel(std::string_view target, const transforms::Exchange& check) {
  std::string text;
  {  // the writer must be gone before the string moves its bytes
    LineWriter out(text, kUsualBytes);
    append_text(out, "\"tunnel\":{\"target\":", target);
    if (check.request_trace_count > 0) {
      append_traces(out, ",\"request_transforms\":[", request_traces(check));
    }
    out.put('}');
  }
  text.shrink_to_fit();  // it lives as long as the tunnel
  return text;
}

}  // namespace iron::proxy

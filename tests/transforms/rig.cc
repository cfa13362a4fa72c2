#include "tests/transforms/rig.h"

#include <stdlib.h>

#include <algorithm>

#include "policy/match/path.h"
#include "policy/yaml/yaml_reader.h"

namespace iron::transforms {

Rig::Rig(Env environment) {
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  // Values are overwritten in place when they are taken, so each rig takes its own.
  for (const auto& entry : environment) environment_->take(entry.first);
  config_.path = "proxy.yaml";
}

Rig& Rig::with(const std::string& name, const std::string& yaml) {
  config_.transforms.push_back({name, policy::parse_yaml(yaml)});
  return *this;
}

Rig& Rig::secrets(const std::string& entries) { return with("secrets", "secrets: " + entries); }

Pipeline& Rig::pipeline() {
  if (!pipeline_) {
    Services services;
    services.environment = environment_.get();
    services.secret_failed = [this](const std::string& name, const std::string& error, auto retry) {
      failures.push_back(name + " " + error + " " + std::to_string(retry));
    };
    services.now = [] {
      return std::chrono::system_clock::time_point(std::chrono::seconds(1'795'509'726) +
                                                   std::chrono::nanoseconds(123'456'789));
    };
    services.warn = [this](std::string_view message, std::span<const Note> notes) {
      std::string line(message);
      for (const Note& note : notes) {
        line.append(" ").append(note.key).append("=");
        line += note.is_number ? std::to_string(note.number) : std::string(note.text);
      }
      warned.push_back(line);
    };
    pipeline_ = std::make_unique<Pipeline>(config_, services, warnings);
  }
  return *pipeline_;
}

std::string Rig::build_error() {
  try {
    pipeline();
  } catch (const policy::ConfigError& error) {
    return error.text();
  }
  return {};
}

std::vector<std::string> Rig::risks() {
  pipeline();
  std::vector<std::string> out;
  for (const policy::ConfigWarning& warning : warnings) {
    if (warning.message != "risky setting") continue;
    const std::string count =
        warning.attributes.size() > 2 ? " (" + warning.attributes[2].text + ")" : "";
    out.push_back(warning.attributes.at(0).text + ": " + warning.attributes.at(1).text + count);
  }
  return out;
}

Rig& Rig::request(const std::string& line,
                  std::vector<std::string> fields,
                  const std::string& host) {
  exchange.reset();
  body_.clear();
  line_ = line;
  field_texts_ = std::move(fields);
  const std::string_view text = line_;
  exchange.request.method = text.substr(0, text.find(' '));
  exchange.request.target = text.substr(std::min(text.find(' ') + 1, text.size()));
  for (const std::string_view field : field_texts_) {
    const std::size_t colon = field.find(':');
    exchange.request.headers.add(field.substr(0, colon),
                                 field.substr(std::min(colon + 2, field.size())));
  }
  exchange.authority = policy::Authority::parse(host).value();
  host_ = host;
  exchange.host = host_;
  const std::string_view target = exchange.request.target;
  const std::size_t mark = target.find('?');
  exchange.raw_path = target.substr(0, mark);
  exchange.has_query = mark != std::string_view::npos;
  if (exchange.has_query) exchange.raw_query = target.substr(mark + 1);
  exchange.decode_path();
  refused_path = exchange.refuses_dot_segments(policy::DotSegments::plain);
  return *this;
}

Rig& Rig::body(const std::string& bytes) {
  chunked(bytes);
  exchange.body.declared = bytes.size();
  return *this;
}

Rig& Rig::chunked(const std::string& bytes) {
  body_ = bytes;
  exchange.body.present = true;
  exchange.body.limit = limit_;
  return *this;
}

Rig& Rig::limit(std::uint64_t bytes) {
  limit_ = bytes;
  return *this;
}

Rig& Rig::tunnel(std::vector<std::string> fields, const std::string& host) {
  request("CONNECT ", std::move(fields), host);
  exchange.tunnel_check = true;
  return *this;
}

Rig::Progress Rig::run() {
  while (true) {
    const Progress progress = pipeline().run_request(exchange, last_need);
    if (progress == Progress::wait) {
      const Supply& awaited = *std::exchange(exchange.awaited, nullptr);
      Supplied came = result_of(pipeline().supply(awaited.slot()).fetch(outside));
      exchange.supplied.emplace_back(&awaited, std::make_shared<const Supplied>(std::move(came)));
      continue;
    }
    if (progress != Progress::need_body) return progress;
    if (last_need.whole && body_.size() > limit_ && pipeline().judges_large_body(exchange)) {
      exchange.body.too_large = true;
      continue;
    }
    exchange.body.loaded = true;
    exchange.body.bytes =
        std::string_view(body_).substr(0, last_need.whole ? body_.size() : last_need.prefix);
    exchange.body.complete = exchange.body.bytes.size() == body_.size();
  }
}

std::string Rig::target() const {
  std::string out(target_bound(exchange), '\0');
  out.resize(static_cast<std::size_t>(write_target(exchange, out.data()) - out.data()));
  return out;
}

std::vector<std::string> Rig::fields() const {
  std::vector<std::string> out;
  for (const Field& field : exchange.request.headers.all()) {
    std::string value(field_value_bound(exchange, field), '\0');
    value.resize(
        static_cast<std::size_t>(write_field_value(exchange, field, value.data()) - value.data()));
    out.push_back(std::string(field_name(exchange, field)) + ": " + value);
  }
  return out;
}

std::string Rig::sent_body() const {
  std::string out;
  BodyCursor cursor;
  char piece[3];
  while (const std::size_t size = write_body(exchange.body, cursor, piece, sizeof piece)) {
    out.append(piece, size);
  }
  return out;
}

const std::string& Rig::annotations(std::size_t index) const {
  return exchange.request_traces.at(index).annotations;
}

}  // namespace iron::transforms

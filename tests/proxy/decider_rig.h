#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/secret/secret.h"
#include "proxy/exchange/decider.h"
#include "proxy/http1/head_parser.h"

namespace iron::proxy::test {

/// The configuration whose file has this text, with what its secrets are made of.
class Configured {
 public:
  explicit Configured(const std::string& yaml) {
    for (const auto& [name, value] : {std::pair{"DECIDER_KEY", "the-key"},
                                      {"DECIDER_LINES", "two\r\nlines"},
                                      {"DECIDER_DOTS", ".."},
                                      {"DECIDER_DOTS_AND_MORE", "..;x"}}) {
      ::setenv(name, value, 1);
      environment_.take(name);
    }
    const int file = ::memfd_create("configuration", MFD_CLOEXEC);
    EXPECT_EQ(::write(file, yaml.data(), yaml.size()), static_cast<ssize_t>(yaml.size()));
    snapshot_.config = policy::load_config("/proc/self/fd/" + std::to_string(file));
    ::close(file);
    transforms::Services services;
    services.environment = &environment_;
    std::vector<policy::ConfigWarning> warnings;
    snapshot_.pipeline =
        std::make_shared<const transforms::Pipeline>(snapshot_.config, services, warnings);
  }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  SecretEnvironment environment_;
  Snapshot snapshot_;
};

struct Who {
  bool tls = false;
  const char* server_name = "";
  const char* tunnel = nullptr;
};

/// `|` in heads and in outcomes stands for a line's end.
inline std::string with_line_ends(std::string_view text) {
  std::string out;
  for (const char each : text) each == '|' ? out += "\r\n" : out += each;
  return out;
}

/// One request and what is decided about it.
class Asked {
  using Next = Decider::Next;

 public:
  Asked(const std::string& yaml, std::string_view head, const Who& who = {})
      : configured_(yaml), head_(with_line_ends(head)) {
    HeadParser parser(HeadParser::Kind::request);
    EXPECT_EQ(parser.parse(head_, HeadLimits{}, state_.exchange.request),
              HeadParser::Status::complete)
        << head;
    const RequestChecks checks = check_request(state_.exchange.request);
    framing_ = checks.framing;
    if (who.tunnel != nullptr) tunnel_ = policy::Authority::parse(who.tunnel);
    ClientFacts client;
    client.remote_address = "192.0.2.7:5000";
    client.over_tls = who.tls;
    client.sni = client.server_name = who.server_name;
    client.tunnel = tunnel_ ? &*tunnel_ : nullptr;
    decider_.emplace(configured_.snapshot(), state_, client, framing_,
                     checks.host != nullptr ? checks.host->value : std::string_view());
  }

  std::string begin() { return said(decider_->begin()); }
  std::string loaded(std::string_view bytes, bool complete) {
    transforms::BodyView& body = state_.exchange.body;
    body.loaded = true;
    body.complete = complete;
    body.bytes = bytes;
    return said(decider_->body_loaded({}));
  }
  std::string not_loaded(Fault fault, bool broke_off = false) {
    state_.exchange.body.failed = state_.exchange.body.loaded = broke_off;
    return said(decider_->body_loaded(fail("why", fault)));
  }
  std::string traces() const {
    std::string out;
    for (std::size_t i = 0; i < state_.exchange.request_trace_count; ++i) {
      const transforms::Trace& trace = state_.exchange.request_traces[i];
      out.append(out.empty() ? "" : " ").append(trace.name);
      if (!trace.error.empty()) out.append("(").append(trace.error).append(")");
    }
    return out;
  }
  Decider& decider() { return *decider_; }
  transforms::Exchange& exchange() { return state_.exchange; }
  const RequestState& state() const { return state_; }

 private:
  std::string said(Next next) {
    switch (next) {
      case Next::load_body: {
        const transforms::BodyNeed& need = decider_->body_need();
        return need.whole ? "load whole" : "load " + std::to_string(need.prefix);
      }
      case Next::await_supply:
        return "await supply " + std::to_string(exchange().awaited->slot());
      case Next::answer:
        return ending();
      case Next::forward:
        return (state_.exchange.upgrade ? "upgrade " : "forward ") + leaving();
    }
    return {};
  }
  std::string ending() {
    const OwnEnding& ending = decider_->ending();
    static constexpr const char* kActions[] = {"allow", "reject", "stub", "error", "client_cancel"};
    std::string out = std::to_string(ending.status) + " ";
    out += kActions[static_cast<int>(ending.action)];
    if (ending.answered == OwnEnding::Answered::no) out += " unanswered";
    if (ending.answered == OwnEnding::Answered::reset) out += " reset";
    if (ending.before_policy) out += " before policy";
    if (!ending.rejected_by.empty()) out.append(" by ").append(ending.rejected_by);
    if (!ending.error.empty()) out += ": " + ending.error;
    const std::string& reason =
        ending.denial_reason.empty() ? state_.exchange.denial_reason : ending.denial_reason;
    return reason.empty() ? out : out + " (" + reason + ")";
  }
  /// What leaves, and where to; a field whose value is rewritten has a `*`.
  std::string leaving() {
    const transforms::Exchange& ex = state_.exchange;
    std::string out = state_.target.tls ? "https://" : "http://";
    out += state_.target.host + ":" + std::to_string(state_.target.port) + " ";
    out.append(ex.request.method).append(" ").append(ex.path);
    if (ex.has_query) out.append("?").append(ex.raw_query);
    for (const Field& field : ex.request.headers.all()) {
      out.append("|").append(field.name).append(field.rewrite != 0 ? "*" : "");
      out.append(": ").append(field.value);
    }
    return out;
  }

  Configured configured_;
  const std::string head_;
  RequestState state_;
  BodyFraming framing_;
  std::optional<policy::Authority> tunnel_;
  std::optional<Decider> decider_;
};

}  // namespace iron::proxy::test

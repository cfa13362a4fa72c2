#include "transforms/pipeline.h"

#include <chrono>

#include "transforms/registry.h"

namespace iron::transforms {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

/// The body, as far as it is loaded, does not answer the need.
bool must_load(const BodyNeed& need, const BodyView& body) {
  if (!need.any() || !body.present || body.complete || body.failed || body.too_large) return false;
  return !body.loaded || need.whole || body.bytes.size() < need.prefix;
}

void note_failure(Exchange& exchange,
                  std::string_view name,
                  const char* phase,
                  const Trace& trace) {
  exchange.error = "transform ";
  exchange.error += name;
  exchange.error += phase;
  exchange.error += trace.error;
}

/// What is changed behind a signature breaks it.
void warn_of_broken_signatures(const policy::Config& config,
                               std::vector<policy::ConfigWarning>& warnings) {
  bool is_signed = false;
  for (std::size_t i = 0; i < config.transforms.size(); ++i) {
    const std::string& name = config.transforms[i].name;
    if (is_signed && (name == "secrets" || name == "hmac_sign")) {
      warnings.push_back({"transform behind aws_auth can break its signatures",
                          {{"transform", name}, {"key", "transforms[" + std::to_string(i) + "]"}}});
    }
    is_signed = is_signed || name == "aws_auth";
  }
}

}  // namespace

Pipeline::Pipeline(const policy::Config& config,
                   const Services& services,
                   std::vector<policy::ConfigWarning>& warnings) {
  Risks risks(config.tls.sni_only() ? policy::PassThroughList()
                                    : policy::PassThroughList(config.proxy.passthrough));
  for (std::size_t i = 0; i < config.transforms.size(); ++i) {
    const policy::TransformConfig& entry = config.transforms[i];
    const BuildContext context{entry.config, "transforms[" + std::to_string(i) + "].config",
                               config.path,  services,
                               warnings,     risks,
                               needs_,       config.tls.sni_only()};
    transforms_.push_back(make_transform(entry.name, context));
    needs_response_body_ = needs_response_body_ || transforms_.back()->needs_response_body();
    scrubs_ = scrubs_ || transforms_.back()->scrubs();
    gives_keys_ = gives_keys_ || transforms_.back()->gives_keys();
  }
  warn_of_broken_signatures(config, warnings);
  risks.report(warnings);
  for (const auto& transform : transforms_) transform->keys(keys_);
  key_net_ = std::make_shared<const KeyNet>(keys_);
  for (std::size_t i = 0; i < needs_.supplies.size(); ++i) {
    needs_.supplies[i]->slot_ = static_cast<std::uint32_t>(i);
  }
}

std::shared_ptr<const KeyNet> Pipeline::key_net_with(const std::vector<SuppliedPtr>& slots) const {
  std::vector<const Secret*> keys = keys_;
  for (const SuppliedPtr& slot : slots) {
    if (slot == nullptr) continue;
    if (slot->value != nullptr && slot->is_key) keys.push_back(slot->value.get());
    for (const SecretPtr& key : slot->keys) keys.push_back(key.get());
  }
  return std::make_shared<const KeyNet>(keys);
}

Pipeline::~Pipeline() = default;

Pipeline::Progress Pipeline::run_request(Exchange& exchange, BodyNeed& need) const {
  Clock::time_point before = exchange.step_began.value_or(Clock::now());
  exchange.step_began.reset();
  for (; exchange.next_transform < transforms_.size(); ++exchange.next_transform) {
    const Transform& transform = *transforms_[exchange.next_transform];
    need = transform.body_need(exchange);
    if (must_load(need, exchange.body)) return Progress::need_body;
    Trace& trace = exchange.new_request_trace();
    trace.name = transform.name();
    const Verdict verdict = transform.on_request(exchange, trace);
    if (verdict == Verdict::wait) {
      --exchange.request_trace_count;
      exchange.step_began = before;
      return Progress::wait;
    }
    const Clock::time_point after = Clock::now();
    trace.duration_ns = nanoseconds(after - before);
    before = after;
    if (verdict == Verdict::reject) {
      trace.action = TraceAction::reject;
      exchange.rejected_by = transform.name();
      return Progress::rejected;
    }
    if (verdict == Verdict::answer) {
      trace.action = TraceAction::stub;
      exchange.stubbed_by = transform.name();
      return Progress::answered;
    }
    if (verdict == Verdict::error) {
      trace.action = TraceAction::error;
      note_failure(exchange, transform.name(), " request: ", trace);
      return Progress::failed;
    }
  }
  return Progress::done;
}

bool Pipeline::judges_large_body(const Exchange& exchange) const {
  return transforms_[exchange.next_transform]->judges_large_bodies();
}

void Pipeline::fail_body(Exchange& exchange, std::string_view error) const {
  Trace& trace = exchange.new_request_trace();
  trace.name = transforms_[exchange.next_transform]->name();
  trace.action = TraceAction::error;
  trace.error = error;
}

Pipeline::Progress Pipeline::run_response(Exchange& exchange) const {
  for (const auto& transform : transforms_) {
    Trace& trace = exchange.new_response_trace();
    trace.name = transform->name();
    if (!transform->acts_on_response()) continue;
    const Clock::time_point before = Clock::now();
    const Verdict verdict = transform->on_response(exchange, trace);
    trace.duration_ns = nanoseconds(Clock::now() - before);
    if (verdict == Verdict::pass) continue;
    trace.action = TraceAction::error;
    note_failure(exchange, transform->name(), " response: ", trace);
    return Progress::failed;
  }
  return Progress::done;
}

void Pipeline::scrub_entries(Exchange& exchange, std::vector<ScrubEntry>& out) const {
  for (const auto& transform : transforms_) transform->scrub_entries(exchange, out);
}

std::string Pipeline::joined_names() const {
  std::string names;
  for (const auto& transform : transforms_) {
    if (!names.empty()) names += " → ";
    names += transform->name();
  }
  return names;
}

}  // namespace iron::transforms

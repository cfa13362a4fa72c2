#include <algorithm>

#include "policy/json/json_writer.h"
#include "policy/match/rules.h"
#include "policy/utf8.h"
#include "transforms/registry.h"

namespace iron::transforms {
namespace {

constexpr std::string_view kName = "body_capture";
constexpr std::int64_t kDefaultCap = 16384;

/// Puts the body that the client sent into the record. See docs/transforms.md, "body_capture".
class BodyCaptureTransform : public Transform {
 public:
  explicit BodyCaptureTransform(const BuildContext& context);
  std::string_view name() const override { return kName; }
  BodyNeed body_need(Exchange& exchange) const override;
  Verdict on_request(Exchange& exchange, Trace& trace) const override;

 private:
  bool applies(const Exchange& exchange) const;

  std::size_t cap_ = kDefaultCap;
  std::vector<policy::Rule> rules_;
};

BodyCaptureTransform::BodyCaptureTransform(const BuildContext& context) {
  policy::YamlErrors errors;
  const auto reading = context.reader(errors);
  policy::BlockReader block(context.node.get(), "bodycapture.bodyCaptureConfig", context.path,
                            reading);
  std::int64_t cap = 0;
  block.integer("max_request_body_bytes", cap);
  const policy::RuleReader rules(block, "rules", reading);
  block.finish();
  check_yaml(errors, kName);
  rules_ = rules.build(std::string(kName));
  note_rules(rules_, context.path, context.risks);
  cap_ = static_cast<std::size_t>(cap > 0 ? cap : kDefaultCap);
}

bool BodyCaptureTransform::applies(const Exchange& exchange) const {
  const policy::Subject subject = exchange.subject();
  return std::any_of(rules_.begin(), rules_.end(), [&](const auto& rule) {
    return rule.matches_host(subject) && rule.concerns(subject);
  });
}

BodyNeed BodyCaptureTransform::body_need(Exchange& exchange) const {
  if (!exchange.body.present || !applies(exchange)) return {};
  return {false, cap_ + 1};
}

/// Whether the text ends with a whole UTF-8 sequence.
bool ends_whole(std::string_view text) {
  for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length) {
    if (policy::utf8_sequence(text.substr(text.size() - length)) == length) return true;
  }
  return false;
}

Verdict BodyCaptureTransform::on_request(Exchange& exchange, Trace& trace) const {
  const BodyView& body = exchange.body;
  if (!body.present || !applies(exchange)) return Verdict::pass;
  if (body.failed) {
    trace.annotations = R"({"body_capture_error":"unexpected EOF"})";
    return Verdict::pass;
  }
  if (body.bytes.empty()) return Verdict::pass;
  const bool truncated = body.bytes.size() > cap_;
  std::string_view text = body.bytes.substr(0, cap_);
  for (int i = 0; truncated && i < 3 && !text.empty() && !ends_whole(text); ++i) {
    text.remove_suffix(1);
  }
  exchange.capture = BodyCapture{std::string(text), truncated};
  trace.annotations = R"({"captured_bytes":)";
  policy::append_json_integer(trace.annotations, static_cast<std::int64_t>(text.size()));
  trace.annotations += truncated ? R"(,"truncated":true})" : R"(,"truncated":false})";
  return Verdict::pass;
}

}  // namespace

std::unique_ptr<const Transform> make_body_capture(const BuildContext& context) {
  return std::make_unique<BodyCaptureTransform>(context);
}

}  // namespace iron::transforms

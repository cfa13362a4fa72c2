#include "transforms/secrets/secrets.h"

#include <algorithm>

#include "policy/json/json_writer.h"
#include "policy/quote.h"
#include "transforms/encoding.h"
#include "transforms/inject.h"
#include "transforms/secrets/sent_credential.h"

namespace iron::transforms {
namespace {

constexpr std::uint32_t kNobody = UINT32_MAX;

/// Appends `KEY` with what must stand before it: annotations are one object whose keys come in byte
/// order.
void begin_key(std::string& out, std::string_view key) {
  out += out.empty() ? "{\"" : ",\"";
  out += key;
  out += "\":";
}

}  // namespace

Secrets::Secrets(const BuildContext& context) : entries_(read_secret_entries(context, tokens_)) {
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const SecretEntry& entry = *entries_[i];
    any_body_ = any_body_ || entry.match_body;
    any_scrub_ = any_scrub_ || entry.scrub != ScrubResponses::off;
    any_require_ = any_require_ || entry.require != Require::never;
    any_when_sent_ = any_when_sent_ || entry.require == Require::when_sent;
    for (const policy::Rule& rule : entry.rules) {
      const auto id = static_cast<std::uint32_t>(rules_.size());
      if (rule.host) {
        index_.add(*rule.host, id);
      } else {
        index_.add(*rule.cidr, id);
      }
      rules_.push_back(&rule);
      entry_of_rule_.push_back(i);
    }
  }
  index_.build();
  tokens_.build();
}

void Secrets::keys(std::vector<const Secret*>& out) const {
  for (const auto& entry : entries_) entry->source->keys(out);
}

/// Fills scratch.active with the entries whose rules match, in order, up to one that ends the
/// request.
Secrets::Plan Secrets::plan(Exchange& exchange) const {
  Scratch& scratch = exchange.scratch;
  scratch.active.clear();
  scratch.unavailable.clear();
  scratch.rules.clear();
  const policy::Subject subject = exchange.subject();
  index_.find(subject.host, subject.literal, scratch.rules);
  Plan plan;
  std::uint32_t last = kNobody;
  for (std::span<const std::uint32_t> left(scratch.rules); !left.empty(); left = left.subspan(1)) {
    const std::uint32_t id = entry_of_rule_[left.front()];
    if (id == last) continue;
    last = id;
    // The first rule is nearly always enough: 20 instructions less for each entry.
    if (rules_[left.front()]->admits(subject) || other_rule_admits(left, subject)) {
      plan.end = activate(exchange, id, plan);
    } else if (any_rule_concerns(left, subject)) {
      plan.end = guard(exchange, *entries_[id]);
    }
    plan.entry = id;
    if (plan.end != End::none) break;
  }
  return plan;
}

std::span<const std::uint32_t> Secrets::of_one_entry(std::span<const std::uint32_t> rules) const {
  const auto end = std::find_if(rules.begin(), rules.end(), [&](std::uint32_t rule) {
    return entry_of_rule_[rule] != entry_of_rule_[rules.front()];
  });
  return {rules.begin(), end};
}

bool Secrets::other_rule_admits(std::span<const std::uint32_t> rules,
                                const policy::Subject& subject) const {
  return std::ranges::any_of(of_one_entry(rules).subspan(1),
                             [&](std::uint32_t rule) { return rules_[rule]->admits(subject); });
}

bool Secrets::any_rule_concerns(std::span<const std::uint32_t> rules,
                                const policy::Subject& subject) const {
  return std::ranges::any_of(of_one_entry(rules),
                             [&](std::uint32_t rule) { return rules_[rule]->concerns(subject); });
}

bool Secrets::lacks_tls(const Exchange& exchange, const SecretEntry& entry) {
  if (!entry.require_tls || exchange.client_tls) return false;
  return !exchange.tunnel_check && exchange.mode == Mode::mitm;
}

Secrets::End Secrets::guard(Exchange& exchange, const SecretEntry& entry) const {
  if (lacks_tls(exchange, entry)) return End::needs_tls;
  return must_have_token(entry, exchange) ? End::not_admitted : End::none;
}

/// `when_sent` leaves alone what shows no credential. Nothing is seen of what a tunnel carries that
/// is not intercepted, so there it is `true`.
bool Secrets::must_have_token(const SecretEntry& entry, Exchange& exchange) const {
  if (entry.require != Require::when_sent) return entry.require == Require::always;
  if (exchange.mode != Mode::mitm) return true;
  return !exchange.tunnel_check && sends_credential(entry, exchange);
}

Secrets::End Secrets::activate(Exchange& exchange, std::uint32_t id, Plan& plan) const {
  const SecretEntry& entry = *entries_[id];
  if (lacks_tls(exchange, entry)) return End::needs_tls;
  const Supplied* supplied = entry.source->look(exchange);
  if (supplied == nullptr) return End::waits;
  if (supplied->value == nullptr) {
    if (must_have_token(entry, exchange)) return End::unavailable;
    exchange.scratch.unavailable.push_back(id);
    return End::none;
  }
  const SecretForms& forms = *supplied->forms;
  const Secret* value = &forms.value();
  if (entry.injects()) {
    const SecretForms::Injected injected = forms.injected();
    plan.error = injected.error;
    if (injected.value == nullptr) return End::not_formatted;
    value = injected.value;
  }
  exchange.scratch.active.push_back({id, value, &forms, 0, false});
  return End::none;
}

std::uint32_t Secrets::first_missing(Exchange& exchange) const {
  // The requests inside an intercepted tunnel carry the token; the tunnel itself cannot.
  if (!any_require_ || (exchange.tunnel_check && exchange.mode == Mode::mitm)) return kNobody;
  // A token beside the target of what is relayed unseen says nothing about that: its check is the
  // only one.
  const bool token_counts = exchange.mode != Mode::passthrough;
  for (const Scratch::Active& active : exchange.scratch.active) {
    const SecretEntry& entry = *entries_[active.entry];
    if (entry.injects() || (active.hit && token_counts)) continue;
    if (must_have_token(entry, exchange)) return active.entry;
  }
  return kNobody;
}

/// What the fields and the query hold is swapped.
std::uint32_t Secrets::first_not_alone(Exchange& exchange) const {
  if (!any_when_sent_ || exchange.tunnel_check || exchange.mode != Mode::mitm) return kNobody;
  for (const Scratch::Active& active : exchange.scratch.active) {
    const SecretEntry& entry = *entries_[active.entry];
    if (entry.require != Require::when_sent || !active.hit) continue;
    if (sends_other_credential(entry, exchange)) return active.entry;
  }
  return kNobody;
}

BodyNeed Secrets::body_need(Exchange& exchange) const {
  const BodyView& body = exchange.body;
  if (!any_body_ || !body.present || body.complete || body.failed) return {};
  if (plan(exchange).end == End::waits) return {};  // on_request() says so
  const auto& active = exchange.scratch.active;
  const auto first = std::find_if(active.begin(), active.end(),
                                  [&](const auto& at) { return entries_[at.entry]->match_body; });
  if (first == active.end()) return {};
  // A request that an earlier entry refuses is refused without reading its body.
  const std::uint32_t reads_body = first->entry;
  SecretSearch(entries_, tokens_, exchange, SecretSearch::Purpose::probe).run();
  if (first_missing(exchange) < reads_body) return {};
  return {true, 0};
}

Verdict Secrets::on_request(Exchange& exchange, Trace& trace) const {
  const Plan planned = plan(exchange);
  if (planned.end == End::waits) return Verdict::wait;
  if (exchange.scratch.active.empty() && exchange.scratch.unavailable.empty() &&
      planned.end == End::none) {
    return Verdict::pass;
  }
  SecretSearch(entries_, tokens_, exchange, SecretSearch::Purpose::rewrite).run();
  const std::uint32_t missing = first_missing(exchange), not_alone = first_not_alone(exchange);
  if (not_alone < missing) return reject(exchange, trace, not_alone, End::not_alone);
  if (missing != kNobody) return reject(exchange, trace, missing, End::none);
  if (planned.end == End::not_formatted) {
    trace.error = "injecting secret " + policy::quoted(entries_[planned.entry]->name()) +
                  ": executing formatter: " + *planned.error;
    return Verdict::error;
  }
  if (planned.end != End::none) return reject(exchange, trace, planned.entry, planned.end);
  apply(exchange, trace);
  return Verdict::pass;
}

Verdict Secrets::reject(Exchange& exchange, Trace& trace, std::uint32_t id, End why) const {
  std::string& out = trace.annotations;
  exchange.denial_reason = "secrets: the request does not carry the required token";
  if (why == End::unavailable) {
    begin_key(out, "reject_reason");
    out += "\"secret_unavailable\"";
    exchange.denial_reason = "secrets: a required secret is not available";
  } else if (why == End::needs_tls) {
    begin_key(out, "reject_reason");
    out += "\"tls_required\"";
    exchange.denial_reason = "secrets: TLS is required";
  } else if (why == End::not_admitted) {
    exchange.denial_reason = "secrets: not every reading of the path gets the required key";
  } else if (why == End::not_alone) {
    exchange.denial_reason = "secrets: the request carries another credential beside the token";
  }
  begin_key(out, "rejected");
  out += entries_[id]->quoted_name;
  out += '}';
  return Verdict::reject;
}

void Secrets::apply(Exchange& exchange, Trace& trace) const {
  std::string& out = trace.annotations;
  annotate_injected(exchange.scratch, out);
  annotate_unavailable(exchange.scratch, out);
  annotate_swapped(exchange, out);
  if (!out.empty()) out += '}';
  for (const Scratch::Active& active : exchange.scratch.active) {
    const SecretEntry& entry = *entries_[active.entry];
    if (!entry.header.empty()) inject_field(exchange, entry.header, *active.value);
    if (!entry.query_param.empty()) inject_query(exchange, entry.query_param, *active.value);
  }
}

void Secrets::annotate_injected(const Scratch& scratch, std::string& out) const {
  bool any = false;
  for (const Scratch::Active& active : scratch.active) {
    const SecretEntry& entry = *entries_[active.entry];
    if (!entry.injects()) continue;
    if (!any) begin_key(out, "injected");
    out += any ? ",{\"secret\":" : "[{\"secret\":";
    any = true;
    out += entry.quoted_name;
    out += ",\"locations\":[";
    out += entry.quoted_location;
    out += "]}";
  }
  if (any) out += ']';
}

void Secrets::annotate_unavailable(const Scratch& scratch, std::string& out) const {
  if (scratch.unavailable.empty()) return;
  begin_key(out, "secret_unavailable");
  char separator = '[';
  for (const std::uint32_t id : scratch.unavailable) {
    out += separator;
    out += entries_[id]->quoted_name;
    separator = ',';
  }
  out += ']';
}

void Secrets::annotate_swapped(Exchange& exchange, std::string& out) const {
  auto& places = exchange.scratch.locations;
  if (places.empty()) return;
  const auto& fields = exchange.request.headers.all();
  const auto canonical_order = [&](const Scratch::Location& a, const Scratch::Location& b) {
    if (a.place != Scratch::Location::Place::header) return 0;
    return compare_canonical(fields[a.index].name, fields[b.index].name);
  };
  std::sort(places.begin(), places.end(), [&](const auto& a, const auto& b) {
    if (a.active != b.active) return a.active < b.active;
    if (a.place != b.place) return a.place < b.place;
    if (a.rank != b.rank) return a.rank < b.rank;
    const int names = canonical_order(a, b);
    return names != 0 ? names < 0 : a.index < b.index;
  });
  begin_key(out, "swapped");
  const Scratch::Location* before = nullptr;
  for (const Scratch::Location& at : places) {
    const SecretEntry& entry = *entries_[exchange.scratch.active[at.active].entry];
    const bool same_entry = before != nullptr && before->active == at.active;
    // With match_headers a name is listed once, else once for each of its fields.
    const bool listed = same_entry && before->place == at.place && !entry.match_headers.empty() &&
                        at.place == Scratch::Location::Place::header && before->rank == at.rank &&
                        canonical_order(*before, at) == 0;
    if (listed) continue;
    if (!same_entry) {
      out += before == nullptr ? "[{\"secret\":" : "]},{\"secret\":";
      out += entry.quoted_name;
      out += ",\"locations\":[";
    } else {
      out += ',';
    }
    append_location(exchange, at, out);
    before = &at;
  }
  out += "]}]";
}

void Secrets::append_location(Exchange& exchange,
                              const Scratch::Location& at,
                              std::string& out) const {
  using Place = Scratch::Location::Place;
  std::string& text = exchange.scratch.text;
  switch (at.place) {
    case Place::path:
      out += "\"path\"";
      return;
    case Place::body:
      out += "\"body\"";
      return;
    case Place::header: {
      const HeaderMatcher& names =
          entries_[exchange.scratch.active[at.active].entry]->match_headers;
      const std::string_view literal = names.empty() ? std::string_view() : names.literal(at.rank);
      text = "header:";
      if (literal.empty()) {
        append_canonical_name(text, exchange.request.headers.all()[at.index].name);
      } else {
        text += literal;
      }
      break;
    }
    case Place::query: {
      const std::string_view pair = exchange.raw_query.substr(at.index);
      decode_form(pair.substr(0, pair.find('=')), text);
      text.insert(0, "query:");
      break;
    }
  }
  policy::append_json_string(out, text);
}

void Secrets::scrub_entries(Exchange& exchange, std::vector<ScrubEntry>& out) const {
  if (!any_scrub_) return;
  exchange.scratch.rules.clear();
  const policy::Subject subject = exchange.subject();
  index_.find(subject.host, subject.literal, exchange.scratch.rules);
  std::uint32_t last = kNobody;
  for (const std::uint32_t rule : exchange.scratch.rules) {
    const std::uint32_t id = entry_of_rule_[rule];
    if (id == last) continue;
    last = id;
    const SecretEntry& entry = *entries_[id];
    if (entry.scrub == ScrubResponses::off) continue;
    const Supplied* supplied = entry.source->peek(exchange);
    if (supplied == nullptr) continue;
    const SecretForms& forms = *supplied->forms;
    out.push_back({&forms.value(), entry.token, entry.name(), entry.scrub, &forms.scrub_forms()});
  }
}

std::unique_ptr<const Transform> make_secrets(const BuildContext& context) {
  return std::make_unique<Secrets>(context);
}

}  // namespace iron::transforms

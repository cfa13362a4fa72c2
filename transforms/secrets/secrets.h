#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/match/rules.h"
#include "transforms/secrets/secret_entry.h"
#include "transforms/secrets/secret_search.h"
#include "transforms/secrets/token_search.h"
#include "transforms/transform.h"

namespace iron::transforms {

/// Puts real keys in the place of tokens, or adds them, on requests to the hosts that the entries
/// name. See docs/secrets.md.
class Secrets : public Transform {
 public:
  explicit Secrets(const BuildContext& context);
  std::string_view name() const override { return "secrets"; }
  bool gives_keys() const override { return true; }
  BodyNeed body_need(Exchange& exchange) const override;
  Verdict on_request(Exchange& exchange, Trace& trace) const override;

  bool scrubs() const override { return any_scrub_; }
  /// Entries with `scrub_responses` `on` or `block` that have a rule for the request's host;
  /// method, path and whether the request carried the token do not count.
  void scrub_entries(Exchange& exchange, std::vector<ScrubEntry>& out) const override;
  void keys(std::vector<const Secret*>& out) const override;

 private:
  /// Why no entry after the active ones counts.
  enum class End { none, waits, unavailable, not_admitted, not_alone, needs_tls, not_formatted };
  struct Plan {
    End end = End::none;
    std::uint32_t entry = 0;             ///< that ended it
    const std::string* error = nullptr;  ///< of not_formatted
  };

  Plan plan(Exchange& exchange) const;
  bool must_have_token(const SecretEntry& entry, Exchange& exchange) const;
  End activate(Exchange& exchange, std::uint32_t id, Plan& plan) const;
  /// Of an entry that matches one reading of the path only: no key, but what it refuses stays
  /// refused.
  End guard(Exchange& exchange, const SecretEntry& entry) const;
  /// Of the rules that match a request's host, those in front that are one entry's.
  std::span<const std::uint32_t> of_one_entry(std::span<const std::uint32_t> rules) const;
  bool other_rule_admits(std::span<const std::uint32_t> rules,
                         const policy::Subject& subject) const;
  bool any_rule_concerns(std::span<const std::uint32_t> rules,
                         const policy::Subject& subject) const;
  static bool lacks_tls(const Exchange& exchange, const SecretEntry& entry);
  /// The first active entry that must have a hit and has none.
  std::uint32_t first_missing(Exchange& exchange) const;
  /// The first active entry with `when_sent` whose token came with another credential.
  std::uint32_t first_not_alone(Exchange& exchange) const;
  void apply(Exchange& exchange, Trace& trace) const;
  void annotate_injected(const Scratch& scratch, std::string& out) const;
  void annotate_unavailable(const Scratch& scratch, std::string& out) const;
  void annotate_swapped(Exchange& exchange, std::string& out) const;
  void append_location(Exchange& exchange, const Scratch::Location& at, std::string& out) const;
  Verdict reject(Exchange& exchange, Trace& trace, std::uint32_t id, End why) const;

  TokenSearch tokens_;
  SecretEntries entries_;
  std::vector<std::uint32_t> entry_of_rule_;
  std::vector<const policy::Rule*> rules_;
  policy::HostIndex index_;
  bool any_body_ = false, any_scrub_ = false;
  bool any_require_ = false, any_when_sent_ = false;
};

}  // namespace iron::transforms

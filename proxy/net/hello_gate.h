#pragma once

#include <string>
#include <string_view>

#include "policy/match/host.h"
#include "proxy/net/relay.h"

namespace iron::proxy {

/// Judges what a client says first in a tunnel that is relayed unseen: TLS must be for the host of
/// the tunnel, or the bytes of one admitted host would reach another that shares its address. What
/// does not begin as TLS passes at once; a TLS record that servers pass over before a hello would
/// hide the hello and is refused. No I/O.
class HelloGate final : public FirstBytes {
 public:
  /// `target` outlives it.
  explicit HelloGate(const policy::Authority& target) : target_(target) {}

  Verdict judge(std::string_view bytes, bool ended, SteadyTime now) override;
  SteadyTime deadline() const override { return deadline_; }
  void expire() override { refusal_ = "client hello is not complete after 5s"; }

  /// As the client sent it; empty if there was none.
  const std::string& server_name() const { return server_name_; }
  /// Why it refused, for the record; empty if it did not.
  std::string_view refusal() const { return refusal_; }

 private:
  Verdict refuse(std::string_view why);
  bool is_target(const std::string& name) const;

  const policy::Authority& target_;
  std::string server_name_;
  std::string_view refusal_;
  SteadyTime deadline_ = SteadyTime::max();
};

}  // namespace iron::proxy

#include "proxy/dns/local_lookups.h"

#include <utility>

#include "proxy/dns/network_lookup.h"
#include "proxy/wait/loop.h"

namespace iron::proxy::dns {

struct LocalLookups::State : std::enable_shared_from_this<LocalLookups::State> {
  State(boost::asio::io_context& io_in, Resolver& resolver_in, Post post_in)
      : io(io_in), resolver(resolver_in), post(std::move(post_in)) {}

  void ask_resolver(const std::string& name, LookupDone done);

  boost::asio::io_context& io;
  Resolver& resolver;
  Post post;
  Resolver::Sources sources;
  std::shared_ptr<JoinedLookups> joined = std::make_shared<JoinedLookups>();
  bool ended = false;
};

LocalLookups::LocalLookups(boost::asio::io_context& io, Resolver& resolver, Post post)
    : state_(std::make_shared<State>(io, resolver, std::move(post))) {}

LocalLookups::~LocalLookups() {
  state_->ended = true;
  state_->joined->end();
}

void LocalLookups::State::ask_resolver(const std::string& name, LookupDone done) {
  auto arrived = [self = shared_from_this(), done = std::move(done)](
                     const LookupOutcome& outcome, const Resolver::Sources& read) {
    // Who waits on the worker is told by nobody else.
    with_patience([&] {
      self->post([self, done, outcome, read] {
        if (self->ended) return;
        if (read != nullptr) self->sources = read;
        tell(done, outcome);
      });
    });
  };
  resolver.resolve(name, Names::searched, std::move(arrived));
}

void LocalLookups::lookup(const std::string& name, LookupDone done) {
  State& state = *state_;
  const auto sources = state.sources;
  if (!sources || !sources->fresh() || sources->way() != LookupSources::Way::network) {
    state.ask_resolver(name, std::move(done));
    return;
  }
  if (auto outcome = sources->at_once(name)) {
    done(*std::move(outcome));
    return;
  }
  state.joined->join_or_ask(name, std::move(done), [&](LookupDone all) {
    if (auto counted = state.resolver.counted(name, std::move(all)))
      NetworkLookup::start(state.io, sources->plan(name, Names::searched), std::move(counted));
  });
}

}  // namespace iron::proxy::dns

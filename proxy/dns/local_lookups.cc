#include "proxy/dns/local_lookups.h"

#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "proxy/dns/answer_cache.h"
#include "proxy/dns/network_lookup.h"
#include "proxy/wait/patience.h"

namespace iron::proxy::dns {

struct LocalLookups::State : std::enable_shared_from_this<LocalLookups::State> {
  State(EventLoop& loop_in, Resolver& resolver_in) : loop(loop_in), resolver(resolver_in) {}

  void read_files_first(const std::string& name, LookupDone done);
  void have_read(const Resolver::Sources& read);
  void ask(const std::string& name, const LookupDone& done);
  void ask_resolver(const std::string& name, const LookupDone& done);
  LookupDone keeping(const std::string& name, LookupDone done);
  void forget_answers();

  struct Waiting {
    std::string name;
    LookupDone done;
  };

  EventLoop& loop;
  Resolver& resolver;
  Resolver::Sources sources;
  std::vector<Waiting> waiting_for_files;
  AnswerCache answers;
  std::uint64_t answers_begun = 0;  ///< how often they were forgotten
  std::shared_ptr<JoinedLookups> joined = std::make_shared<JoinedLookups>();
  bool ended = false;
};

LocalLookups::LocalLookups(EventLoop& loop, Resolver& resolver)
    : state_(std::make_shared<State>(loop, resolver)) {}

LocalLookups::~LocalLookups() {
  state_->ended = true;
  state_->joined->end();
}

void LocalLookups::lookup(const std::string& name, LookupDone done) {
  State& state = *state_;
  if (state.sources && state.resolver.current(*state.sources)) {
    state.ask(name, done);
  } else {
    state.read_files_first(name, std::move(done));
  }
}

void LocalLookups::forget_answers() { state_->forget_answers(); }

void LocalLookups::State::forget_answers() {
  answers.clear();
  ++answers_begun;
}

void LocalLookups::State::read_files_first(const std::string& name, LookupDone done) {
  waiting_for_files.push_back({name, std::move(done)});
  if (waiting_for_files.size() > 1) return;
  try {
    resolver.read([self = shared_from_this()](const Resolver::Sources& read) {
      // Who waits on the worker is told by nobody else.
      with_patience([&] {
        self->loop.post([self, read] {
          if (!self->ended) self->have_read(read);
        });
      });
    });
  } catch (...) {
    waiting_for_files.clear();
    throw;
  }
}

void LocalLookups::State::have_read(const Resolver::Sources& read) {
  if (!sources || sources->generation != read->generation) forget_answers();
  sources = read;
  for (const Waiting& one : std::exchange(waiting_for_files, {})) {
    try {
      ask(one.name, one.done);
    } catch (const std::bad_alloc&) {
      one.done(LookupOutcome::failure("out of memory"));
    }
  }
}

void LocalLookups::State::ask(const std::string& name, const LookupDone& done) {
  if (sources->way() != LookupSources::Way::network) return ask_resolver(name, done);
  if (auto outcome = sources->at_once(name)) return done(*std::move(outcome));
  if (auto known = answers.get(name, loop.now())) {
    LookupOutcome outcome;
    outcome.status = LookupOutcome::Status::found;
    outcome.addresses = *std::move(known);
    return done(std::move(outcome));
  }
  joined->join_or_ask(name, done, [&](LookupDone all) {
    if (auto counted = resolver.counted(name, keeping(name, std::move(all))))
      NetworkLookup::start(loop, sources->plan(name, Names::searched), std::move(counted));
  });
}

LookupDone LocalLookups::State::keeping(const std::string& name, LookupDone done) {
  return [self = shared_from_this(), name, begun = answers_begun,
          done = std::move(done)](LookupOutcome outcome) {
    // Answered to an earlier configuration, or by a server of an earlier resolv.conf.
    if (outcome.ttl && begun == self->answers_begun) {
      try {
        self->answers.put(name, outcome.addresses, *outcome.ttl, self->loop.now());
      } catch (const std::bad_alloc&) {
        // Asked again next time.
      }
    }
    done(std::move(outcome));
  };
}

void LocalLookups::State::ask_resolver(const std::string& name, const LookupDone& done) {
  auto arrived = [self = shared_from_this(), done](const LookupOutcome& outcome) {
    with_patience([&] {
      self->loop.post([self, done, outcome] {
        if (!self->ended) tell(done, outcome);
      });
    });
  };
  resolver.resolve(name, Names::searched, std::move(arrived));
}

}  // namespace iron::proxy::dns

#include "proxy/dns/resolver.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>
#include <optional>
#include <set>
#include <utility>

#include "policy/config/open_file.h"
#include "proxy/dns/network_lookup.h"
#include "proxy/dns/resolv_conf.h"
#include "proxy/dns/system_lookup.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {
namespace {

using Done = dns::LookupDone;
constexpr int kQuietLooks = 10;

/// A file of /etc that may change while the program runs.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)) {}
  /// True if the file may say something else than at the last call.
  bool changed() {
    struct stat info{};
    const bool there = ::stat(path_.c_str(), &info) == 0;
    const Mark now{there, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    if (seen_ && *seen_ == now) return false;
    seen_ = now;
    return true;
  }
  /// Nothing if it is there but cannot be read: then what it said before stands, and the next call
  /// of changed() tells it again.
  std::optional<std::string> read() {
    const int own = ::open(path_.c_str(), kFlags);
    foreign_ = own < 0 && errno == EACCES;
    const OpenFile file{foreign_ ? policy::open_file(path_, kFlags) : own};
    std::string text;
    if (file.descriptor < 0 && seen_ && seen_->there) {
      seen_.reset();
      return std::nullopt;
    }
    std::array<char, 16384> part;
    ssize_t got = 0;
    while (file.descriptor >= 0 && (got = ::read(file.descriptor, part.data(), part.size())) > 0) {
      text.append(part.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  /// The next call of changed() tells that it may.
  void forget() { seen_.reset(); }
  /// The process may not open it, nor may the C library: it was handed over.
  bool foreign() const { return foreign_; }

 private:
  static constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  struct OpenFile {
    int descriptor;
    ~OpenFile() {
      if (descriptor >= 0) ::close(descriptor);
    }
  };
  struct Mark {
    bool there;
    ino_t inode;
    off_t size;
    time_t seconds;
    long nanoseconds;
    bool operator==(const Mark&) const = default;
  };
  std::string path_;
  std::optional<Mark> seen_;
  bool foreign_ = false;
};

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

/// A lookup under way, counted while this lives.
class Place {
 public:
  Place(std::shared_ptr<std::atomic<int>> count, int limit)
      : free(count->fetch_add(1) < limit), count_(std::move(count)) {}
  Place(const Place&) = delete;
  ~Place() { --*count_; }
  const bool free;

 private:
  std::shared_ptr<std::atomic<int>> count_;
};

}  // namespace

struct Resolver::State : std::enable_shared_from_this<Resolver::State> {
  explicit State(Options options_in)
      : options(std::move(options_in)),
        resolv_conf_file(options.resolv_conf),
        hosts_file(options.hosts),
        nsswitch_file(options.nsswitch) {
    dns::LookupSources first;
    first.set_upstream(options.upstream_resolver);
    first.try_limit = options.try_limit;
    first.total_limit = options.total_limit;
    first.hosts = std::make_shared<dns::HostsFile>();
    first.conf = dns::ResolvConf::parse("", host_name());
    sources = std::make_shared<dns::LookupSources>(std::move(first));
    look_at_files();
  }

  bool fresh() const;
  void look_at_files();
  void look_if_stale();
  void look_again();
  void go_by(dns::LookupSources next);
  void start(const std::string& name, Names names, Done done);
  Done counted(const std::string& name, Done done);
  void ask(const std::string& name, Names names, Done done);
  void ask_system(const std::string& name, Names names, Done done);
  /// The C library takes its time; the caller's is limited. A late answer finds nothing.
  struct Race {
    std::optional<Alarm> timer;
    Done done;
  };
  void finish(const std::shared_ptr<Race>& race, const LookupOutcome& outcome);
  void ask_network(const std::string& name, Names names, Done done);
  void find_upstream(const std::string& name, Names names, Done done);

  Options options;
  WatchedFile resolv_conf_file, hosts_file, nsswitch_file;
  Sources sources;  ///< replaced as a whole: others hold what it was
  // For other threads, which see a later look together with the generation that it brought.
  std::atomic<std::uint64_t> generation{0};
  std::atomic<SteadyTime> looked_at{};
  std::atomic<bool> asked_for{false};  ///< since the last look
  int quiet_looks = 0;

  std::shared_ptr<dns::JoinedLookups> joined = std::make_shared<dns::JoinedLookups>();
  std::shared_ptr<std::atomic<int>> outstanding = std::make_shared<std::atomic<int>>(0);
  std::atomic<bool> ending{false};
  EventLoop loop;
  std::set<std::shared_ptr<Race>> races;  ///< under way
  Alarm next_look{loop, [this] { look_again(); }};
  dns::SystemLookups system;
};

bool Resolver::State::fresh() const {
  return loop.now() - looked_at.load(std::memory_order_acquire) < options.fresh;
}

void Resolver::State::go_by(dns::LookupSources next) {
  next.generation = sources->generation + 1;
  sources = std::make_shared<dns::LookupSources>(std::move(next));
  generation.store(sources->generation, std::memory_order_release);
}

void Resolver::State::look_at_files() {
  const auto now = loop.now();
  try {
    const bool other_conf = resolv_conf_file.changed(), other_hosts = hosts_file.changed(),
               other_modules = nsswitch_file.changed();
    const auto conf = other_conf ? resolv_conf_file.read() : std::nullopt;
    const auto hosts = other_hosts ? hosts_file.read() : std::nullopt;
    const auto modules = other_modules ? nsswitch_file.read() : std::nullopt;
    const bool blind = other_conf ? resolv_conf_file.foreign() : sources->library_is_blind;
    if (conf || hosts || modules || blind != sources->library_is_blind) {
      dns::LookupSources next = *sources;
      if (conf) next.conf = dns::ResolvConf::parse(*conf, host_name());
      next.library_is_blind = blind;
      if (hosts) next.hosts = std::make_shared<dns::HostsFile>(dns::HostsFile::parse(*hosts));
      if (modules) next.modules = dns::needs_system_lookup(*modules);
      go_by(std::move(next));
    }
  } catch (...) {
    for (WatchedFile* file : {&resolv_conf_file, &hosts_file, &nsswitch_file}) file->forget();
    throw;
  }
  looked_at.store(now, std::memory_order_release);
}

void Resolver::State::look_if_stale() {
  if (!fresh()) look_at_files();
  if (next_look.is_set()) return;
  quiet_looks = 0;
  next_look.set(loop.now() + options.look_each);
}

/// While names are looked up, so that those who do it find the files looked at and wake nobody.
void Resolver::State::look_again() {
  quiet_looks = asked_for.exchange(false, std::memory_order_relaxed) ? 0 : quiet_looks + 1;
  if (quiet_looks >= kQuietLooks) return;
  next_look.set(loop.now() + options.look_each);
  look_at_files();
}

void Resolver::State::start(const std::string& name, Names names, Done done) {
  if (auto outcome = sources->at_once(name)) {
    done(*std::move(outcome));
    return;
  }
  joined->join_or_ask((names == Names::absolute ? "=" : "?") + name, std::move(done),
                      [&](Done all) {
                        if (auto one = counted(name, std::move(all)))
                          ask(name, names, std::move(one));
                      });
}

void Resolver::State::ask(const std::string& name, Names names, Done done) {
  switch (sources->way()) {
    case dns::LookupSources::Way::network:
      return ask_network(name, names, std::move(done));
    case dns::LookupSources::Way::system:
      return ask_system(name, names, std::move(done));
    case dns::LookupSources::Way::network_then_system:
      return ask_network(name, names,
                         [this, name, names, done = std::move(done)](LookupOutcome outcome) {
                           if (outcome.status == LookupOutcome::Status::found)
                             return done(std::move(outcome));
                           ask_system(name, names, done);
                         });
    case dns::LookupSources::Way::upstream_name:
      return find_upstream(name, names, std::move(done));
  }
}

void Resolver::State::ask_system(const std::string& name, Names names, Done done) {
  auto race = std::make_shared<Race>();
  race->done = std::move(done);
  race->timer.emplace(loop, [this, late = std::weak_ptr(race), name] {
    if (const auto in_time = late.lock()) {
      finish(in_time, LookupOutcome::failure(lookup_error(name, "", "i/o timeout")));
    }
  });
  race->timer->set(loop.now() + options.total_limit);
  races.insert(race);
  auto answered = [weak = weak_from_this(),
                   late = std::weak_ptr(race)](const LookupOutcome& outcome) {
    const auto state = weak.lock();
    if (!state) return;
    state->loop.post([state = state.get(), late, outcome] {
      if (const auto in_time = late.lock()) state->finish(in_time, outcome);
    });
  };
  const bool rooted = names == Names::absolute && !name.ends_with('.');
  if (system.start(rooted ? name + "." : name, name, std::move(answered))) return;
  finish(race, LookupOutcome::failure(lookup_error(name, "", "too many lookups")));
}

void Resolver::State::finish(const std::shared_ptr<Race>& race, const LookupOutcome& outcome) {
  races.erase(race);
  if (const Done first = std::exchange(race->done, nullptr)) dns::tell(first, outcome);
}

void Resolver::State::find_upstream(const std::string& name, Names names, Done done) {
  ask_system(sources->upstream_host, Names::searched,
             [this, name, names, done = std::move(done)](LookupOutcome outcome) {
               if (outcome.addresses.empty()) {
                 done(LookupOutcome::failure(
                     lookup_error(name, sources->first_server(), "dial udp: " + outcome.error)));
                 return;
               }
               dns::LookupSources next = *sources;
               next.upstream_address = outcome.addresses.front();
               go_by(std::move(next));
               ask_network(name, names, done);
             });
}

void Resolver::State::ask_network(const std::string& name, Names names, Done done) {
  dns::NetworkLookup::start(loop, sources->plan(name, names), std::move(done));
}

Resolver::Resolver(std::string upstream_resolver)
    : Resolver(Options{.upstream_resolver = std::move(upstream_resolver)}) {}

Resolver::Resolver(Options options) : state_(std::make_shared<State>(std::move(options))) {}

void Resolver::start() {
  thread_ = std::thread([state = state_.get()] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    state->loop.run([] {});  // each lookup tells those who wait for it
  });
}

Resolver::~Resolver() {
  state_->ending = true;
  state_->joined->end();
  state_->loop.post([&loop = state_->loop] {
    loop.cut_all();
    loop.stop();
  });
  if (thread_.joinable()) thread_.join();
}

dns::LookupDone Resolver::State::counted(const std::string& name, Done done) {
  const auto place = std::make_shared<Place>(outstanding, options.max_outstanding);
  if (!place->free) {
    done(LookupOutcome::failure(lookup_error(name, "", "too many lookups")));
    return nullptr;
  }
  return [place, done = std::move(done)](LookupOutcome outcome) { done(std::move(outcome)); };
}

dns::LookupDone Resolver::counted(const std::string& name, dns::LookupDone done) {
  return state_->counted(name, std::move(done));
}

void Resolver::resolve(const std::string& name, Names names, dns::LookupDone done) {
  State& state = *state_;
  const auto once = std::make_shared<dns::LookupOnce>(state.ending, std::move(done));
  state.loop.post([&state, name, names, once] {
    state.look_if_stale();
    state.start(name, names, [once](LookupOutcome outcome) { once->pass(std::move(outcome)); });
  });
}

void Resolver::read(std::function<void(const Sources&)> done) {
  state_->loop.post([&state = *state_, done = std::move(done)] {
    if (state.ending) return;
    try {
      state.look_if_stale();
    } catch (const std::bad_alloc&) {
      // What was read before serves them, and the next one looks again.
    }
    done(state.sources);
  });
}

bool Resolver::current(const dns::LookupSources& sources) const {
  if (!state_->asked_for.load(std::memory_order_relaxed))
    state_->asked_for.store(true, std::memory_order_relaxed);
  return state_->fresh() &&
         state_->generation.load(std::memory_order_acquire) == sources.generation;
}

}  // namespace iron::proxy

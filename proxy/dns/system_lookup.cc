#include "proxy/dns/system_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "proxy/wait/socket_address.h"

namespace iron::proxy::dns {
namespace {

constexpr std::chrono::seconds kIdleLimit{10};

LookupOutcome failure(int code, const std::string& shown) {
  using Status = LookupOutcome::Status;
  if (code == EAI_NONAME)
    return {Status::no_such_name, {}, lookup_error(shown, "", "no such host")};
  if (code == EAI_NODATA)
    return {Status::no_addresses, {}, lookup_error(shown, "", "no such host")};
  return {Status::failed, {}, lookup_error(shown, "", ::gai_strerror(code))};
}

}  // namespace

LookupOutcome system_lookup(const std::string& name, const std::string& shown) {
  in_addr as_number{};
  if (::inet_aton(name.c_str(), &as_number) != 0) return failure(EAI_NONAME, shown);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (code != 0) return failure(code, shown);
  LookupOutcome outcome;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const auto address = address_of(*info->ai_addr);
    auto& list = outcome.addresses;
    if (address && std::find(list.begin(), list.end(), *address) == list.end()) {
      list.push_back(*address);
    }
  }
  ::freeaddrinfo(found);
  if (outcome.addresses.empty()) return failure(EAI_NODATA, shown);
  outcome.status = LookupOutcome::Status::found;
  return outcome;
}

struct SystemLookups::State {
  struct Job {
    std::string name, shown;
    Done done;
  };
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  std::size_t threads = 0, idle = 0;
  bool stopping = false;

  static void work(const std::shared_ptr<State>& state) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock lock(state->mutex);
    while (true) {
      ++state->idle;
      const bool called = state->wake.wait_for(
          lock, kIdleLimit, [&state] { return state->stopping || !state->jobs.empty(); });
      --state->idle;
      if (!called || state->stopping) break;
      Job job = std::move(state->jobs.front());
      state->jobs.pop_front();
      lock.unlock();
      LookupOutcome outcome = system_lookup(job.name, job.shown);
      lock.lock();
      if (state->stopping) break;
      lock.unlock();
      job.done(std::move(outcome));
      job = {};
      lock.lock();
    }
    --state->threads;
  }
};

SystemLookups::SystemLookups() : state_(std::make_shared<State>()) {}

SystemLookups::~SystemLookups() {
  const std::lock_guard lock(state_->mutex);
  state_->stopping = true;
  state_->jobs.clear();
  state_->wake.notify_all();
}

bool SystemLookups::start(std::string name, std::string shown, Done done) {
  const std::lock_guard lock(state_->mutex);
  if (state_->jobs.size() >= kMaxQueued) return false;
  state_->jobs.push_back({std::move(name), std::move(shown), std::move(done)});
  if (state_->idle >= state_->jobs.size() || state_->threads >= kMaxThreads) {
    state_->wake.notify_one();
    return true;
  }
  try {
    // Detached: a blocked lookup can not be ended, and it holds nothing but its own state.
    std::thread([state = state_] { State::work(state); }).detach();
    ++state_->threads;
  } catch (const std::system_error&) {
    if (state_->threads > 0) return true;
    state_->jobs.pop_back();
    return false;
  }
  return true;
}

}  // namespace iron::proxy::dns

#include "proxy/run/server.h"

#include <sched.h>

namespace iron::proxy {
namespace {
/// Sessions that were cut end within their next wake; this is only for a loop busy with something
/// else.
constexpr auto kCutGrace = std::chrono::milliseconds(500);
}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

Server::Server(Services& services,
               Resolver* names,
               std::shared_ptr<const Snapshot> snapshot,
               int workers) {
  for (int i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(services, snapshot, workers));
  }
  calls_ = std::make_unique<CallDesk>(services, names, [this](auto pipeline, auto values) {
    for (auto& worker : workers_) {
      worker->post(
          [&worker = *worker, pipeline, values] { worker.site().set_values(pipeline, values); });
    }
  });
  services.supplies = calls_.get();
  reloader_ = std::make_unique<Reloader>(
      services, std::move(snapshot),
      [this](const std::shared_ptr<const Snapshot>& next) { publish(next); });
}

Server::~Server() { finish(); }

void Server::publish(const std::shared_ptr<const Snapshot>& snapshot) {
  for (auto& worker : workers_) {
    worker->post([&worker = *worker, snapshot] { worker.site().set_snapshot(snapshot); });
  }
  calls_->forget_others(snapshot->pipeline);
}

void Server::listen() {
  for (auto& acceptor : acceptors_) acceptor->listen();
  for (auto& admin : admins_) admin->listen();
}

void Server::start() {
  for (auto& acceptor : acceptors_) {
    for (auto& worker : workers_) acceptor->start(worker->site());
  }
  for (auto& admin : admins_) admin->start(workers_.front()->site());
  for (auto& worker : workers_) {
    worker->site().on_idle([this] {
      const std::lock_guard lock(mutex_);
      ++idle_workers_;
      changed_.notify_all();
    });
    threads_.emplace_back([&worker = *worker] { worker.run(); });
  }
}

void Server::begin_drain() {
  for (auto& worker : workers_) {
    worker->post([this, &worker = *worker] {
      for (auto& acceptor : acceptors_) acceptor->stop(worker.site());
      worker.site().begin_drain();
    });
  }
}

bool Server::await_drained(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline,
                      [this] { return hurried_ || idle_workers_ == workers_.size(); });
  return idle_workers_ == workers_.size();
}

void Server::hurry() {
  const std::lock_guard lock(mutex_);
  hurried_ = true;
  changed_.notify_all();
}

bool Server::finish() {
  if (std::exchange(finished_, true)) return true;
  reloader_.reset();
  if (threads_.empty()) return true;
  for (auto& worker : workers_) {
    worker->post([this, &worker = *worker] {
      for (auto& acceptor : acceptors_) acceptor->stop(worker.site());
      if (!worker.site().loop().draining()) worker.site().begin_drain();
      worker.site().loop().cut_all();
    });
  }
  {
    std::unique_lock lock(mutex_);
    hurried_ = false;
  }
  const bool ended = await_drained(std::chrono::steady_clock::now() + kCutGrace);
  for (auto& worker : workers_) {
    worker->post([this, &worker = *worker] {
      if (&worker == workers_.front().get()) {
        for (auto& admin : admins_) admin->stop();
      }
      worker.stop();
    });
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  calls_->stop();
  return ended;
}

}  // namespace iron::proxy

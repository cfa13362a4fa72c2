#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "proxy/admin/reload.h"
#include "proxy/exchange/services.h"
#include "proxy/exchange/snapshot.h"

namespace iron::proxy {

/// Builds the transforms of a configuration with this process's services.
std::shared_ptr<const transforms::Pipeline> build_pipeline(
    const policy::Config& config, Services& services, std::vector<policy::ConfigWarning>& warnings);
/// Writes the warnings, but none again that a process writes once.
void write_warnings(Services& services, const std::vector<policy::ConfigWarning>& warnings);
tls::LeafOptions leaf_options(const policy::Config& config);

/// Reads the configuration again for `POST /v1/reload` and SIGHUP, one at a time, on a thread of
/// its own. A new snapshot is built whole and then published; on any error the running one stays
/// (docs/configuration.md, "Reload").
class Reloader final : public Reload {
 public:
  using Publish = std::function<void(std::shared_ptr<const Snapshot>)>;
  Reloader(Services& services, std::shared_ptr<const Snapshot> running, Publish publish);
  ~Reloader() override;
  Reloader(const Reloader&) = delete;

  /// Queues a reload; `done` is called on the reloading thread.
  void request(std::function<void(Outcome)> done) override;

 private:
  void run();
  Outcome reload();
  void load();
  std::shared_ptr<Snapshot> build(const policy::Config& loaded,
                                  std::vector<policy::ConfigWarning>& warnings) const;

  Services& services_;
  std::shared_ptr<const Snapshot> running_;
  Publish publish_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void(Outcome)>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace iron::proxy

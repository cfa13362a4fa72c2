#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "policy/secret/secret.h"
#include "proxy/calls/call_client.h"
#include "proxy/calls/program_line.h"
#include "proxy/log/log.h"
#include "proxy/wait/event_loop.h"
#include "transforms/outside.h"

namespace iron::proxy {

/// The world outside for one fetch of a supply, on the loop of calls, for half a minute.
class FetchRun final : public transforms::Outside {
 public:
  static constexpr std::chrono::seconds kLimit{30};

  /// All outlive it.
  FetchRun(EventLoop& loop,
           CallClient& client,
           ProgramLine& programs,
           const SecretEnvironment& environment,
           SteadyTime deadline);

  Task<Result<transforms::CallAnswer>> call(const transforms::CallRequest& request) override;
  Task<Result<Secret>> read_file(const std::string& path, std::size_t most) override;
  bool readable_by_others(const std::string& path) const override;
  Task<Result<Secret>> read_directory(const std::string& path, std::size_t most) override;
  Task<Result<Secret>> run(const transforms::ProgramRun& program) override;
  Task<bool> sleep(std::chrono::nanoseconds duration) override;
  std::int64_t monotonic_ns() const override;
  std::chrono::system_clock::time_point now() const override;
  std::optional<std::string> variable(const char* name) const override;
  transforms::SecretPtr secret_variable(const std::string& name) const override;
  void note(Gravity gravity,
            std::string_view message,
            std::initializer_list<transforms::Note> attributes) override;

  /// Writes what was noted.
  void write_notes(Log& log);

 private:
  bool over() const { return loop_.now() >= deadline_ || loop_.cut(); }

  struct Line {
    Gravity gravity;
    std::string message;
    struct Value {
      std::string key, text;
      std::int64_t number;
      bool is_number;
    };
    std::vector<Value> values;
  };

  EventLoop& loop_;
  CallClient& client_;
  ProgramLine& programs_;
  const SecretEnvironment& environment_;
  const SteadyTime deadline_;
  Pause pause_;
  Alarm alarm_;  ///< of the nearest end
  std::vector<Line> lines_;
};

}  // namespace iron::proxy

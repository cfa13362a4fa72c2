#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transforms/outside.h"

namespace iron::transforms {

/// The world outside as a test writes it: nothing ever waits, and time passes when someone sleeps.
class FakeOutside final : public Outside {
 public:
  /// What was sent, with its keys in the open.
  struct Sent {
    std::string method, url, body;
    std::vector<std::string> fields;  ///< `Name: value`
    CallRequest::Redirects redirects;
    std::chrono::nanoseconds limit;
    CallTrust trust;
    std::optional<std::string> parent;
    std::string first_line() const { return method + " " + url; }
    /// Value of the field; empty if there is none.
    std::string field(const std::string& name) const;
  };

  /// The answer to the next call that has none yet: a status, a body, and `Name: value` fields.
  void answers(int status, const std::string& body, std::vector<std::string> fields = {});
  /// The next call fails so.
  void fails(const std::string& error);
  /// Decides about every call for which no answer stands ready.
  std::function<Result<CallAnswer>(const Sent&)> otherwise;
  static CallAnswer answer(int status,
                           const std::string& body,
                           const std::vector<std::string>& fields = {});

  std::map<std::string, std::string> files, variables, secret_variables;
  std::function<Result<Secret>(const ProgramRun&)> program;
  std::vector<Sent> sent;
  std::vector<std::chrono::nanoseconds> slept;
  std::vector<std::string> notes;  ///< `WARN message key=value key=value`
  std::int64_t time_ns = 1'000'000'000'000;
  std::chrono::sys_seconds began{std::chrono::seconds(1'795'509'862)};

  Task<Result<CallAnswer>> call(const CallRequest& request) override;
  Task<Result<Secret>> read_file(const std::string& path, std::size_t most) override;
  bool readable_by_others(const std::string& path) const override { return path == "/public"; }
  /// Of `files` those that are in it.
  Task<Result<Secret>> read_directory(const std::string& path, std::size_t most) override;
  Task<Result<Secret>> run(const ProgramRun& program) override;
  Task<bool> sleep(std::chrono::nanoseconds duration) override;
  std::int64_t monotonic_ns() const override { return time_ns; }
  std::chrono::system_clock::time_point now() const override {
    return began + std::chrono::duration_cast<std::chrono::system_clock::duration>(
                       std::chrono::nanoseconds(time_ns - 1'000'000'000'000));
  }
  std::optional<std::string> variable(const char* name) const override;
  SecretPtr secret_variable(const std::string& name) const override;
  void note(Gravity gravity,
            std::string_view message,
            std::initializer_list<Note> attributes) override;

 private:
  std::deque<Result<CallAnswer>> ready_;
};

/// What a task that never waits gives.
template <class T>
T result_of(Task<T> task) {
  task.await_suspend(std::noop_coroutine()).resume();
  return task.await_resume();
}

/// The bytes of a secret, for comparisons.
inline std::string text_of(const Secret& secret) { return std::string(secret.reveal()); }

}  // namespace iron::transforms

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/result.h"
#include "policy/task.h"
#include "transforms/note.h"
#include "transforms/program_need.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// Whom an own call trusts, and how it shows itself, where that is not the usual: the system's
/// trust store, no certificate.
struct CallTrust {
  SecretPtr anchors;           ///< PEM; null: the system's
  bool anchors_add = false;    ///< beside the system's, not in their place
  bool verifies = true;        ///< false: whoever answers is believed
  std::string server_name;     ///< empty: the host of the URL
  SecretPtr certificate, key;  ///< PEM; null: none
  bool usual() const {
    return anchors == nullptr && verifies && server_name.empty() && certificate == nullptr;
  }
};

/// A request of the program's own. Answers that say `Content-Encoding: gzip` are decoded.
struct CallRequest {
  struct Field {
    std::string name;
    std::string text;  ///< its value, unless `secret` is there
    SecretPtr secret;
  };
  enum class Redirects {
    refused,        ///< a redirect is an answer like any other
    followed,       ///< up to ten, as browsers do: 301, 302 and 303 make a GET of it
    followed_once,  ///< one, with method, fields and body
  };
  std::string method = "GET";
  std::string url;
  /// In this order; `Host` is written in front of them, and `Content-Length` where it stands in the
  /// list, or at the end of a request with a body.
  std::vector<Field> fields;
  SecretPtr body;  ///< null: none
  std::chrono::nanoseconds limit = std::chrono::seconds(30);
  std::size_t most = 1 << 20;  ///< bytes of the answer's body; what comes behind is not read
  Redirects redirects = Redirects::refused;
  CallTrust trust;
  /// URL of the parent proxy; nothing: as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.
  std::optional<std::string> parent;
};

/// What came back; all of it may repeat a key.
struct CallAnswer {
  using Fields = std::vector<std::pair<std::string_view, std::string_view>>;
  int status = 0;
  std::string_view reason;  ///< of the status line
  Fields fields;
  Secret head;  ///< where these stand
  Secret body;
  bool cut = false;  ///< the body was longer than `most`

  /// Keeps a copy of the status line's reason and of the fields.
  void set_head(std::string_view reason_in, const Fields& fields_in);
  /// Value of the first field of that name, compared without case; empty if there is none.
  std::string_view field(std::string_view name) const;
  /// `404 Not Found`, with the usual words for a status whose line has none.
  std::string status_text() const;
};

/// One run of a program that the configuration of the start named.
struct ProgramRun : ProgramNeed {
  SecretPtr secret;  ///< the value of `variable`
};

/// What a fetch may do. Each has its own, on the thread of calls, with the limit of the whole:
/// beyond it everything fails with `context deadline exceeded`.
class Outside {
 public:
  virtual ~Outside() = default;

  /// Sends one request. Errors tell what failed as `dial tcp 127.0.0.1:1: connect: connection
  /// refused`, without the URL.
  virtual Task<Result<CallAnswer>> call(const CallRequest& request) = 0;
  /// The whole file. Errors as `open /p: no such file or directory`, `read /p: is a directory`,
  /// `i/o timeout`; Fault::body_too_large beyond `most`.
  virtual Task<Result<Secret>> read_file(const std::string& path, std::size_t most) = 0;
  /// Whether users other than the owner and his group can read the file.
  virtual bool readable_by_others(const std::string& path) const = 0;
  /// The files of a directory behind each other, each with a line break at its end, in the order of
  /// their names; what is in directories within is left out. Errors as of read_file().
  virtual Task<Result<Secret>> read_directory(const std::string& path, std::size_t most) = 0;
  /// What the program wrote, 1 MiB at most. Fails with the last line of its error output, without
  /// `secret`; Fault::gone: there was no such program at the start.
  virtual Task<Result<Secret>> run(const ProgramRun& program) = 0;
  /// False: the time of the whole was over before.
  virtual Task<bool> sleep(std::chrono::nanoseconds duration) = 0;

  virtual std::int64_t monotonic_ns() const = 0;
  virtual std::chrono::system_clock::time_point now() const = 0;
  /// A variable that is no key; nothing if it is unset or empty.
  virtual std::optional<std::string> variable(const char* name) const = 0;
  /// One that is a key, taken out of the environment when the pipeline was built.
  virtual SecretPtr secret_variable(const std::string& name) const = 0;

  enum class Gravity { warn, error };
  /// A line of the log, written behind the fetch, when its net knows the keys of it.
  virtual void note(Gravity gravity,
                    std::string_view message,
                    std::initializer_list<Note> attributes) = 0;
};

}  // namespace iron::transforms

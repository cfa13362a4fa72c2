#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"
#include "proxy/net/peer.h"
#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {

/// What tables are written with, in the notation of Step and Outcome.
inline const std::string kHost = "Host: 10.0.0.1|";
inline const std::string kGet = "GET /a HTTP/1.1|" + kHost + "|";
inline const std::string kPut = "PUT /a HTTP/1.1|" + kHost;
inline const std::string kOk = "HTTP/1.1 200 OK|Content-Length: 2||ok";
/// kOk as it comes out, and answers of our own.
inline const std::string kOkRelayed = "HTTP/1.1 200 OK|Content-Length: 2|Date: <D>||ok";
inline const std::string kBadGateway =
    "HTTP/1.1 502 Bad Gateway|Content-Type: text/plain; charset=utf-8|X-Content-Type-Options: "
    "nosniff|Date: <D>|Content-Length: 12||bad gateway<0a>";
inline const std::string kMissingHost =
    "HTTP/1.1 400 Bad Request: missing required Host header|Content-Type: text/plain; "
    "charset=utf-8|Connection: close||400 Bad Request: missing required Host header";
inline const std::string kBadRequest =
    "HTTP/1.1 400 Bad Request|Content-Type: text/plain; charset=utf-8|Connection: close||400 Bad "
    "Request";
inline const std::string kForbidden =
    "HTTP/1.1 403 Forbidden|Content-Type: text/plain|Date: <D>|Content-Length: 0||";
inline const std::string kForbiddenClosing =
    "HTTP/1.1 403 Forbidden|Content-Type: text/plain|Date: <D>|Content-Length: 0|Connection: "
    "close||";

/// One thing that happens to a session. Everything comes to rest behind it.
struct Step {
  enum class Kind {
    client_sends,
    client_finishes,  ///< ends its side and reads on
    client_closes,
    client_resets,  ///< Link::tcp
    client_stops_reading,
    client_reads_on,
    origin_sends,
    origin_finishes,
    origin_closes,
    origin_resets,  ///< Link::tcp
    origin_stops_reading,
    origin_reads_on,
    time_passes,
    drain,
    cut,
    reload  ///< nobody may go anywhere from then on
  } kind;
  std::string bytes = {};
  std::chrono::nanoseconds time{};
  std::size_t origin = 0;  ///< 0: the one that is lent first
};

/// In `bytes` and in outcomes `|` stands for CRLF, and `<P>` for a port that the system chose.
Step client(std::string_view bytes);
Step origin(std::string_view bytes, std::size_t which = 0);
Step pass(std::chrono::nanoseconds time);
Step happens(Step::Kind kind, std::size_t origin = 0);

/// A session from its first byte, by steps.
struct Script {
  std::vector<Step> steps;
  std::size_t origins = 1;  ///< idle connections to kOrigin
  bool dials = false;       ///< none; those that are dialled at 127.0.0.1:<P> are the origins
  Entry entry = Entry::http;
  Link link = Link::local;  ///< of all connections
  int client_room = 0, origin_room = 0;
  policy::Config config = SessionRig::usual_config();
  SessionRig::Variables variables = {};
};

/// A row of a table: what happens, and the lines_of() what comes of it.
struct Row {
  const char* name;
  Script script;
  std::vector<std::string> outcome;
};

/// What came of it. Where a side ended, `[end]` or `[reset]` stands behind its last byte; dates are
/// `<D>`.
struct Outcome {
  std::string client;
  std::vector<std::string> origins;
  std::vector<std::string> records;
  std::size_t sessions = 0;  ///< that are there still
  std::string leftovers;     ///< when the client has gone and an hour has passed
  std::size_t client_unsent = 0, origin_unsent = 0;  ///< bytes that the session did not take yet
};

/// A place where the bytes of a step are cut in two.
struct Split {
  std::size_t step = 0, offset = 0;
};
Outcome run(const Script& script, std::optional<Split> split = std::nullopt);

/// Every place inside of the bytes of a step.
std::vector<Split> splits_of(const Script& script);

/// `client: …`, `origin: …` for each, `record: …` for each, `session: open` or `session: gone`. The
/// chunks of a body stand as one, in braces: where they end is nobody's promise.
std::vector<std::string> lines_of(
    const Outcome& outcome);  /// Runs every row and expects its outcome.
void expect_rows(const std::vector<Row>& rows);

}  // namespace iron::proxy::test

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/loopback/histogram.h"
#include "bench/loopback/message_reader.h"
#include "bench/loopback/support.h"

namespace iron::bench {

/// What all requests of a run look like, and where they go.
struct RequestShape {
  std::string method, path, token;
  std::string body;          ///< chunked already; empty: none
  std::uint64_t upload = 0;  ///< bytes of a body with a length
  int origin = 0;            ///< port
  int proxy = 0;             ///< port of its tunnel listener; 0: the origin is asked directly
  bool resume = false;       ///< offers the newest TLS session
};

/// What a run brought.
struct Tally {
  std::uint64_t done = 0, errors = 0, bytes = 0;
  std::uint64_t real_credentials = 0, real_bodies = 0;  ///< answers to what held the real key
  std::uint64_t handshakes = 0, resumed = 0;
  Histogram latencies;  ///< of requests, from when each was due
  Histogram events;     ///< of events of a stream, from sending to having read it
  std::string first_error;

  void note_error(std::string_view what);
};

/// What the connections of a run have in common.
struct ClientRun {
  explicit ClientRun(const Arguments& arguments);

  RequestShape shape;
  TlsContext context = make_context(End::client);
  Poller poller;
  Tally tally;
  TlsSession session;  ///< the newest, where sessions are resumed
};

/// One client connection, through a tunnel or straight to the origin, with at most one request on
/// its way. Its place in memory must not change while it is open.
class ClientConnection {
 public:
  enum class State { closed, connecting, idle, busy };

  explicit ClientConnection(ClientRun& run) : run_(run) {}
  ~ClientConnection() { close(false); }
  ClientConnection(const ClientConnection&) = delete;

  /// Connects for the host of that number. A failure is tallied and leaves it closed, as in all
  /// others of these.
  void open(int host);
  /// Sends the request of the run. Its latency counts from `due` (now()).
  void request(std::uint64_t due);
  /// Does what an event of the poller allows.
  void turn(std::uint32_t events);
  void close(bool orderly);

  State state() const { return state_; }
  /// The answer to a request has come, and the origin or the proxy ends the connection behind it.
  bool ending() const { return ending_; }
  /// Whether a request on it was answered.
  bool answered() const { return answered_; }
  /// The last TLS session of the connection becomes the newest of the run.
  void save_session();

 private:
  bool shake_hands();
  bool read_tunnel_answer();
  bool write_request();
  bool read_answer();
  void take_body(std::string_view bytes);
  void take_events(std::string_view bytes);
  void finish();
  void write_when_possible(bool on);
  bool failed(std::string_view what);

  ClientRun& run_;
  State state_ = State::closed;
  int descriptor_ = -1;
  Tls tls_;
  std::string host_, tunnel_, out_, line_;
  std::size_t written_ = 0;
  std::uint64_t upload_left_ = 0, due_ = 0;
  MessageReader answer_{MessageReader::Kind::response};
  bool in_tunnel_ = false, writing_ = false, ending_ = false, answered_ = false;
};

}  // namespace iron::bench

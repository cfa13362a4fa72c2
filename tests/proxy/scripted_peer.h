#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iron::proxy::test {

/// What connects a peer with the session. `local` is a pair of local sockets: nothing is ever on
/// its way, and what the peer has not read counts as not acknowledged. `tcp` is a pair on the
/// loopback interface, for what only TCP has (a reset by SO_LINGER); bytes there may take a while.
enum class Link { local, tcp };

/// A connected pair of sockets, both non-blocking. Throws std::runtime_error.
struct SocketPair {
  explicit SocketPair(Link link);
  int session = -1, peer = -1;  ///< to be closed by whoever takes them
};

/// A connection to that port of the loopback interface, non-blocking; `from`: the last number of
/// its own address, 127.0.0.1 and so on. Throws std::runtime_error.
int connect_to(std::uint16_t port, std::uint8_t from = 1);

/// A listener on the loopback interface, on a port of the system's choice. Throws
/// std::runtime_error.
class Listener {
 public:
  Listener();
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  std::uint16_t port() const { return port_; }
  /// The next connection, non-blocking, or -1 where there is none yet.
  int accept() const;
  /// A connection to it.
  int connect() const { return connect_to(port_); }

 private:
  int descriptor_;
  std::uint16_t port_ = 0;
};

/// The test's end of a connection, a client or an origin. It reads whatever comes, unless told not
/// to, and keeps it; what the socket has no room for is sent later. Things happen in move().
class ScriptedPeer {
 public:
  /// Takes the descriptor.
  explicit ScriptedPeer(int descriptor) : descriptor_(descriptor) {}
  ~ScriptedPeer() { close(); }
  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  void send(std::string_view bytes) { outgoing_ += bytes; }
  /// Ends its side behind what it sends, and reads on.
  void finish() { finishing_ = true; }
  /// Closes at once. What it has not read makes a reset of it.
  void close();
  /// Closes with a reset; Link::tcp only.
  void reset();
  void read(bool reads) { reads_ = reads; }
  bool reads() const { return reads_; }
  /// Sends and receives what goes. False: nothing went.
  bool move();

  enum class End { none, eof, reset };
  /// How the session's end of the connection ended, as far as this peer has read.
  End end() const { return end_; }
  const std::string& received() const { return received_; }
  /// What came since the last call.
  std::string take();
  bool open() const { return descriptor_ >= 0; }
  std::size_t unsent() const { return outgoing_.size(); }
  /// Of that, it sends no more than so many bytes.
  void keep_unsent(std::size_t most) { outgoing_.resize(std::min(most, outgoing_.size())); }
  /// Bytes that have left and are not with the session's system yet.
  bool in_flight() const;

 private:
  bool send_some();
  bool receive_some();

  int descriptor_;
  std::string outgoing_, received_;
  std::size_t taken_ = 0;
  bool reads_ = true, finishing_ = false;
  End end_ = End::none;
};

}  // namespace iron::proxy::test

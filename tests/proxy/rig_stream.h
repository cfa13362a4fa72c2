#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <cstddef>
#include <span>

#include "tests/proxy/scripted_peer.h"
#include "tests/proxy/session_rig.h"

namespace iron::proxy::test {

/// What Boost.Beast and Boost.Asio ask of a synchronous stream (SyncReadStream, SyncWriteStream),
/// for a `Derived` that has `read(span, error)` and `write(span, error)`.
template <class Derived>
class SyncStream {
 public:
  using error_code = boost::system::error_code;
  using executor_type = boost::asio::io_context::executor_type;
  using lowest_layer_type = Derived;

  /// Of a context that nobody runs: the libraries want one for what is done asynchronously.
  executor_type get_executor() { return idle_context().get_executor(); }
  Derived& lowest_layer() { return self(); }

  template <class Buffers>
  std::size_t read_some(const Buffers& into, error_code& error) {
    const boost::asio::mutable_buffer first = first_of<boost::asio::mutable_buffer>(into);
    return self().read({static_cast<char*>(first.data()), first.size()}, error);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& bytes, error_code& error) {
    const boost::asio::const_buffer first = first_of<boost::asio::const_buffer>(bytes);
    return self().write({static_cast<const char*>(first.data()), first.size()}, error);
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& into) {
    return checked([&](error_code& error) { return read_some(into, error); });
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& bytes) {
    return checked([&](error_code& error) { return write_some(bytes, error); });
  }

 private:
  Derived& self() { return static_cast<Derived&>(*this); }

  static boost::asio::io_context& idle_context() {
    static boost::asio::io_context context;
    return context;
  }
  /// The first that is not empty, or an empty one.
  template <class Buffer, class Buffers>
  static Buffer first_of(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto each = boost::asio::buffer_sequence_begin(buffers); each != end; ++each) {
      const Buffer buffer(*each);
      if (buffer.size() > 0) return buffer;
    }
    return Buffer();
  }
  template <class Call>
  static std::size_t checked(const Call& call) {
    error_code error;
    const std::size_t size = call(error);
    if (error) throw boost::system::system_error(error);
    return size;
  }
};

/// A scripted peer as a synchronous stream: who waits for bytes or for room turns the rig
/// meanwhile, and with it everyone else in it. Errors: `eof`, `connection_reset`, and `timed_out`
/// when the rig has been turned often enough and nothing came.
class RigStream final : public SyncStream<RigStream> {
 public:
  /// Both outlive it. The peer is used by nobody else.
  RigStream(SessionRig& rig, ScriptedPeer& peer) : rig_(rig), peer_(peer) {}

  ScriptedPeer& peer() { return peer_; }
  SessionRig& rig() { return rig_; }
  /// `false`: `would_block` instead of waiting for bytes.
  void set_waiting(bool waits) { waits_ = waits; }
  /// How many bytes may wait in the peer before a write waits for room.
  void set_room(std::size_t room) { room_ = room; }
  /// Something is there to be read, were it only the end.
  bool readable();

  std::size_t read(std::span<char> into, error_code& error);
  std::size_t write(std::span<const char> bytes, error_code& error);

 private:
  SessionRig& rig_;
  ScriptedPeer& peer_;
  std::string arrived_;
  std::size_t used_ = 0;  ///< of what arrived
  std::size_t room_ = 256 * 1024;
  bool waits_ = true;
};

}  // namespace iron::proxy::test

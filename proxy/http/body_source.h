#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iron::proxy {

/// The body of a message as it comes in, out of its framing, whatever protocol it comes by. Tried
/// and armed as a connection is: nothing here waits.
class BodySource {
 public:
  virtual ~BodySource() = default;

  enum class Step {
    bytes,    ///< `bytes` is what comes next
    blocked,  ///< nothing is here; the wait is armed
    ended,    ///< all of it was read
    lost,     ///< the peer is gone before its end
    broken,   ///< its framing cannot be read
  };
  enum class From {
    here,  ///< what has come already; `blocked` arms nothing
    peer,  ///< what the connection has, too
  };
  /// What comes next; stays where it is until consume() or drop().
  virtual Step read(std::string_view& bytes, From from = From::peer) = 0;
  /// The first `count` bytes of what read() gave are done with.
  virtual void consume(std::size_t count) = 0;
  /// What read() gave and was not consumed counts as read.
  virtual void drop() = 0;

  /// Its end was read, or it never was more than its head.
  virtual bool done() const = 0;
  /// Bytes still expected of a body that tells its length; 0 otherwise.
  virtual std::uint64_t remaining() const = 0;
  /// Bytes of the body that were read.
  virtual std::uint64_t size() const = 0;
  /// Something has come that was not read.
  virtual bool buffered() const = 0;
  /// What is here already of the rest; nothing is read.
  enum class Ahead { open, complete, broken };
  virtual Ahead look_ahead() const = 0;
  /// Bytes, framing included, that came since this was asked the last time.
  virtual std::size_t take_arrived() = 0;
  /// Why it is lost or broken, in the words of a record.
  virtual std::string_view problem() const = 0;
  /// Trailer fields are kept from now on, and are there once it has ended: `Name: value\r\n` lines.
  virtual void keep_trailers() = 0;
  virtual std::string_view trailers() const = 0;
  /// The transfer is over; see tls::Stream::set_bulk().
  virtual void end_bulk() = 0;
};

}  // namespace iron::proxy

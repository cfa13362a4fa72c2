#pragma once

#include <cstddef>
#include <string_view>

namespace iron::proxy {

/// The body of a message as it leaves, into whatever framing its protocol has. Composing and
/// writing are apart, because the record of an exchange stands between them.
class BodySink {
 public:
  virtual ~BodySink() = default;

  enum class Taken {
    copied,
    held,  ///< it must stay where it is, and nothing more be given, until has_pending() is false
  };
  virtual Taken take(std::string_view bytes) = 0;
  /// The same for bytes that do not stay.
  virtual void copy(std::string_view bytes) = 0;
  /// The body is over. `trailers`: `Name: value\r\n` lines, where wants_trailers().
  virtual void end(std::string_view trailers) = 0;
  virtual bool wants_trailers() const = 0;

  enum class Step {
    written,  ///< all that was pending
    blocked,  ///< the peer takes no more now; the wait is armed
    lost,     ///< nothing can be written any more
  };
  /// Writes what is pending; `moved` gets how much of it left.
  virtual Step write(std::size_t& moved) = 0;
  virtual bool has_pending() const = 0;
  /// How much is composed and not written.
  virtual std::size_t composed() const = 0;
  /// Forgets what is pending; nothing of the message has left.
  virtual void forget() = 0;
  /// Ends what cannot be completed, so that the peer sees that it is not whole.
  virtual void cut() = 0;
};

}  // namespace iron::proxy

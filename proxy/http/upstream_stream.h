#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/http_message.h"
#include "policy/match/proxy_url.h"
#include "policy/result.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/body_source.h"
#include "proxy/http/message_checks.h"
#include "proxy/http/pipe.h"
#include "proxy/wait/pause.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// What a request looks like to a parent proxy that it is sent to without a tunnel.
struct ParentForm {
  std::string origin;  ///< `http://host:port`, in front of path and query (RFC 9112 section 3.2.2)
  const policy::ProxyLogin* login = nullptr;  ///< null: none is sent
};

/// The head of a request as it leaves.
struct OutgoingHead {
  const transforms::Exchange& exchange;  ///< the client's fields and what is written instead
  std::string_view host;                 ///< value of Host, or `:authority`
  /// The body's framing at the client, which stays, unless `length` is there.
  BodyFraming::Kind framing = BodyFraming::Kind::none;
  std::optional<std::uint64_t> length;  ///< of a body that was loaded whole
  bool sensitive = false;               ///< it shows a key, which the answer may echo
  const ParentForm* parent = nullptr;   ///< null: it goes to the origin itself, or in a tunnel
};

/// One request to an origin and its answer, whatever protocol the connection speaks. Used by one
/// exchange, on its worker's thread.
class UpstreamStream {
 public:
  virtual ~UpstreamStream() = default;

  /// Composes the head; may throw std::bad_alloc. It leaves with the first bytes that are written
  /// to the sink of the body, which belongs to the stream. What the stream is blocked on ends the
  /// sleep in `pause`.
  virtual BodySink& begin(const OutgoingHead& head, Pause& pause) = 0;
  /// The request was sent whole.
  virtual bool sent() const = 0;

  enum class Step {
    moved,    ///< bytes came
    blocked,  ///< nothing is here; the wait is armed
    interim,  ///< `head` is an interim answer; pass_interim() is next
    final,    ///< `head` is the final answer, or a 101
    failed,   ///< see error()
  };
  /// Reads the head of the next answer; `moved` gets the bytes that came. Its views stay until the
  /// next call, those of a final one until its body is read.
  virtual Step read_head(Response& head, std::size_t& moved) = 0;
  virtual void pass_interim() = 0;
  virtual const Error& error() const = 0;
  /// Something of an answer came: the request must not be sent again.
  virtual bool answered() const = 0;
  /// The connection had carried a request before this one: it may have been closed meanwhile.
  virtual bool reused() const = 0;

  /// How the body of the final answer is to be read, or why the answer must not be relayed.
  virtual ResponseChecks check(const Response& head, std::string_view method) = 0;
  /// The body of the final answer. To be called before fields of `head` are taken away.
  virtual BodySource& answer(const Response& head, const BodyFraming& framing) = 0;
  /// The connection belongs to the client of this request from now on: its origin may take whoever
  /// speaks on it for the user who logged in.
  virtual void belong_to_client() = 0;
  /// What is on its way is worth nothing any more.
  virtual void reset() = 0;
  /// What a 101 made of the connection.
  virtual Pipe pipe() = 0;
};

}  // namespace iron::proxy

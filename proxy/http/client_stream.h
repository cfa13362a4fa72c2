#pragma once

#include <string_view>

#include "policy/http_message.h"
#include "policy/task.h"
#include "proxy/http/answers.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/body_source.h"
#include "proxy/http/message_checks.h"
#include "proxy/http/pipe.h"
#include "proxy/net/client.h"
#include "proxy/wait/abandonment.h"
#include "proxy/wait/event_loop.h"

namespace iron::proxy {

/// What the client's side of a stream did while an answer is awaited or written.
enum class Presence { present, half_closed, gone };

/// One request of a client and the place for its answer, whatever protocol it came by. Lives from
/// its complete head to its end; one exchange uses it, on its worker's thread. Ends with answer(),
/// with what begin() began, with switch_protocols(), or is reset().
class ClientStream : public Abandonment {
 public:
  virtual Client& client() = 0;
  /// In which the exchange sleeps; what the stream is blocked on ends that sleep.
  virtual Pause& pause() = 0;

  /// How the request says that its body is delimited.
  virtual const BodyFraming& framing() const = 0;
  virtual BodySource& body() = 0;
  /// The request has credentials that authenticate the connection.
  virtual bool logs_connection_in() const = 0;
  /// To be awaited before the body is: tells a client that waits for it to go on, once (RFC 9110
  /// section 10.1.1). False: the client is gone.
  virtual Task<bool> go_on() = 0;

  /// Looks what has become of the client; a half-close counts as its end before the request is
  /// complete. Arms the wait for a change.
  virtual Presence poll() = 0;
  /// Until when a half-closed client is answered; max(): it is none.
  virtual SteadyTime half_close_deadline() const = 0;

  /// Whether it is told of an interim answer with that status.
  virtual bool takes_interim(int status) const = 0;
  /// Sends one (RFC 9110 section 15.2). `sensitive`: it may show a key. False: the client is gone.
  virtual Task<bool> send_interim(Response& head, bool sensitive) = 0;

  struct Terms {
    bool reframes = false;   ///< the body leaves with another length than it came with
    bool sensitive = false;  ///< it may show a key: what was composed is wiped
  };
  /// Composes the head of the final answer, whose body comes from `body`, framed so at its origin.
  /// It leaves with the first bytes that are written to the sink, which belongs to the stream.
  virtual BodySink& begin(Response& head,
                          const BodyFraming& framing,
                          const BodySource& body,
                          const Terms& terms) = 0;
  /// The answer left whole. True: the stream has ended. False: end() is next.
  virtual bool ended() = 0;
  /// Drops what comes of the request's body behind its answer, within bounds.
  virtual Task<void> end() = 0;
  /// Sends an answer of our own and ends the stream. What has been recorded leaves before it.
  virtual Task<void> answer(const OwnAnswer& answer) = 0;
  /// Nobody is answered: the client is gone, or cut off.
  virtual void reset() = 0;

  /// Sends the 101 and gives the connection away; the request's head and its fields are gone.
  /// False: the client is.
  virtual Task<bool> switch_protocols(Response& head, bool sensitive) = 0;
  virtual Pipe pipe() = 0;
};

}  // namespace iron::proxy

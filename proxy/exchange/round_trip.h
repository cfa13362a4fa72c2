#pragma once

#include <optional>

#include "policy/result.h"
#include "proxy/exchange/request_state.h"
#include "proxy/exchange/upload.h"
#include "proxy/http/answer_filter.h"
#include "proxy/http1/client_watch.h"
#include "proxy/http1/head_parser.h"

namespace iron::proxy {

/// The upstream's answer as far as it was read.
struct Reply {
  Buffer input;  ///< head, then body bytes
  explicit Reply(FaultText text) : parser(HeadParser::Kind::response, text) {}
  HeadParser parser;
  std::size_t head_size = 0;
  bool upload_done = false;  ///< the request was sent whole
  bool first_byte = false;   ///< something of an answer came: the request must not be repeated
  bool timed_out = false;
};

/// Sends a request and reads the head of its final answer. Both at once in one coroutine, since an
/// answer may come before the body is sent; meanwhile it notices the client leaving. Relays interim
/// answers.
class RoundTrip {
 public:
  struct Rules {
    policy::Duration header_timeout, stall_timeout, quiet_timeout;
    bool relay_interim = true;       ///< HTTP/1.1 client
    bool relay_continue = false;     ///< the 100 too: we sent none of our own
    bool sensitive = false;          ///< the request carries a key, which the answer may echo
    AnswerFilter* filter = nullptr;  ///< what interim answers must go through; null: nothing
  };
  RoundTrip(Site& site,
            ClientWatch& watch,
            UpstreamConnection& upstream,
            Upload& upload,
            Response& response,
            Reply& reply,
            const Rules& rules)
      : site_(site),
        watch_(watch),
        client_(watch.client()),
        upstream_(upstream),
        upload_(upload),
        response_(response),
        reply_(reply),
        rules_(rules) {}

  /// Fault::client_gone when the client left or the drain is over, Fault::bad_request when it broke
  /// its framing, Fault::client_silent when its body did not come.
  Task<Result<void>> run();

 private:
  enum class Step { blocked, moved, interim, complete, failed };
  Step upload_step();
  Step read_step();
  Step parse_step();
  Task<Step> relay_interim();
  Step fail_with(std::string text, Fault fault = Fault::other);
  Task<Step> sleep();
  SteadyTime deadline() const;

  Site& site_;
  ClientWatch& watch_;
  ClientConnection& client_;
  UpstreamConnection& upstream_;
  Upload& upload_;
  Response& response_;
  Reply& reply_;
  const Rules rules_;
  SteadyTime since_{};  ///< of the silence that is measured
  Turn turn_;
  Error error_;
  int interim_count_ = 0;
  std::size_t interim_bytes_ = 0;
  bool upload_broken_ = false;
};

}  // namespace iron::proxy

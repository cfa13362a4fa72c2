#pragma once

#include <string>
#include <string_view>

#include "proxy/http/body_sink.h"
#include "proxy/http/message_checks.h"
#include "proxy/http1/head_writer.h"
#include "proxy/net/connection.h"

namespace iron::proxy {

/// An answer on a client's HTTP/1 connection: its head, which leaves together with the first bytes
/// of its body, and that body in the framing that the client's version allows (RFC 9112 section 6).
class Http1Answer final : public BodySink {
 public:
  struct Terms {
    int minor_version = 1;
    bool keep_alive = true;  ///< wanted; what is possible is in reusable()
    bool te_trailers = false;
    bool sensitive = false;  ///< it may show a key: what was composed is wiped
  };
  /// Both outlive it; `composed` is empty, and keeps its capacity.
  Http1Answer(Connection& client, std::string& composed, const Terms& terms)
      : client_(client), out_(composed), terms_(terms) {}

  /// Composes the head of `response`, whose body is framed so at its origin. `reframes`: it leaves
  /// with another length.
  void begin(Response& response, const BodyFraming& framing, bool reframes);
  Taken take(std::string_view bytes) override;
  void copy(std::string_view bytes) override;
  void end(std::string_view trailers) override;
  bool wants_trailers() const override { return keep_trailers_; }
  Step write(std::size_t& moved) override;
  bool has_pending() const override { return sent_ < out_.size() || !straight_.empty(); }
  std::size_t composed() const override { return out_.size(); }
  void forget() override;
  void cut() override;

  /// The connection can carry another request behind it.
  bool reusable() const { return terms_.keep_alive; }

 private:
  void plan(const Response& response, const BodyFraming& framing, bool reframes);
  void forget_composed();

  Connection& client_;
  std::string& out_;  ///< composed bytes: head, chunk framing, small pieces
  Terms terms_;
  std::size_t sent_ = 0;
  std::string_view straight_;  ///< bytes that leave from where they lie, behind out_
  ClientFraming framing_ = ClientFraming::none;
  bool drop_length_ = false;
  bool keep_trailers_ = false;
  bool chunking_ = false;  ///< chunk framing is written here
};

}  // namespace iron::proxy

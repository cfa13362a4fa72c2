#pragma once

#include <optional>

#include "proxy/http/upstream_stream.h"
#include "proxy/http1/head_parser.h"
#include "proxy/http1/http1_body.h"
#include "proxy/http1/http1_request.h"
#include "proxy/http1/secret_pages.h"
#include "proxy/net/upstream_pool.h"

namespace iron::proxy {

/// One request on an origin's HTTP/1 connection, and its answer.
class Http1Upstream final : public UpstreamStream {
 public:
  /// `user` is where the client keeps what works for it (Client::upstream_slot()). The pages and
  /// buffers outlive it.
  Http1Upstream(UpstreamPtr connection,
                Connection** user,
                SecretPages& pages,
                BufferPool& buffers,
                FaultText faults);
  ~Http1Upstream() override = default;

  BodySink& begin(const OutgoingHead& head, Pause& pause) override;
  bool sent() const override { return request_.sent(); }
  Step read_head(Response& head, std::size_t& moved) override;
  void pass_interim() override;
  const Error& error() const override { return error_; }
  bool answered() const override { return answered_; }
  bool reused() const override { return connection_->reused; }
  ResponseChecks check(const Response& head, std::string_view method) override;
  BodySource& answer(const Response& head, const BodyFraming& framing) override;
  void belong_to_client() override { connection_->belong_to_client(); }
  void reset() override { connection_->connection.stream().reset_on_close(); }
  Pipe pipe() override;

  /// The connection, if it can carry another request; null otherwise. The exchange is over.
  UpstreamPtr take_reusable();

 private:
  Step fill(std::size_t& moved);
  Step parse(Response& head);
  Step fail_with(std::string text);

  UpstreamPtr connection_;
  BufferPool& buffers_;
  Http1Request request_;
  Buffer input_;  ///< of the answer: its head, then bytes of its body
  HeadParser parser_;
  const FaultText faults_;
  std::optional<Http1Body> body_;
  Error error_;
  int interim_count_ = 0;
  std::size_t interim_bytes_ = 0;
  bool unparsed_ = false;  ///< something came that the parser has not seen
  bool answered_ = false;
  bool sensitive_ = false;
  bool persists_ = false;
};

}  // namespace iron::proxy

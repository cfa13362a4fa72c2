#pragma once

#include <memory>
#include <string_view>

#include "policy/secret/secret_arena.h"
#include "proxy/http/body_sink.h"
#include "proxy/http/upstream_stream.h"
#include "proxy/http1/secret_pages.h"
#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"

namespace iron::proxy {

/// A request on an origin's HTTP/1 connection: its head, which leaves together with the first bytes
/// of its body, and that body in the framing that the head tells (RFC 9112 section 6). What holds
/// keys is composed in secret memory, which goes back as soon as it was sent: the wait for the
/// answer may be long.
class Http1Request final : public BodySink {
 public:
  /// All outlive it.
  Http1Request(Connection& upstream, SecretPages& pages, BufferPool& buffers)
      : upstream_(upstream), pages_(pages), buffers_(buffers) {}
  ~Http1Request() override { forget(); }
  Http1Request(const Http1Request&) = delete;

  /// Composes the head. True: a field that was rewritten holds credentials that authenticate the
  /// connection. Throws std::bad_alloc.
  bool begin(const OutgoingHead& head);
  Taken take(std::string_view bytes) override;
  void copy(std::string_view bytes) override;
  void end(std::string_view trailers) override;
  bool wants_trailers() const override { return false; }
  Step write(std::size_t& moved) override;
  bool has_pending() const override;
  std::size_t composed() const override { return head_used_ + block_.size(); }
  void forget() override;
  /// Nothing: the end of the connection says that the request is not whole.
  void cut() override {}

  /// All of it left.
  bool sent() const { return ended_ && !has_pending(); }

 private:
  bool fits_behind_head(std::size_t size) const;
  bool fits_in_block(std::size_t size);
  void append(std::string_view text);
  Step write_all(std::string_view& bytes, std::size_t& moved);
  void give_head_back();

  Connection& upstream_;
  SecretPages& pages_;
  BufferPool& buffers_;
  /// What is pending, in the order in which it leaves: the head and what rides behind it; pieces
  /// with their framing; bytes that leave from where they lie; the framing behind those.
  std::unique_ptr<SecretBuffer> head_;
  std::size_t head_used_ = 0, head_sent_ = 0;
  Buffer block_;
  std::string_view straight_, tail_;
  bool chunking_ = false, ended_ = false;
};

}  // namespace iron::proxy

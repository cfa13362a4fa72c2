#pragma once

#include <memory>
#include <string_view>

#include "policy/secret/secret_arena.h"
#include "proxy/http/body_source.h"
#include "proxy/net/connection.h"
#include "proxy/wait/buffers.h"
#include "transforms/rewrite.h"

namespace iron::proxy {

class Site;

/// The request on its way to the upstream: head, then body, written as far as the upstream takes
/// it. Heads and rewritten bodies are composed in secret memory and wiped as soon as they are sent;
/// a streamed body goes from where its source has it.
class Upload {
 public:
  Upload(Site& site, BodySource& body);
  ~Upload();
  Upload(const Upload&) = delete;

  /// Space for a head of at most `bound` bytes; written() tells how much was used.
  char* head_space(std::size_t bound);
  void head_written(char* end);
  /// A body that was loaded whole: it is rewritten piece by piece.
  void set_loaded_body(const transforms::BodyView& body);
  /// A body loaded in part, which goes before the rest of the stream.
  void set_prefix(std::string_view bytes) { prefix_ = bytes; }
  void set_streaming(bool chunked);

  enum class Step {
    blocked_upstream,  ///< the upstream takes no more now
    blocked_client,    ///< waits for body bytes of the client
    turn_over,         ///< more goes after the others have had their turn
    finished,
    client_gone,
    client_fault,  ///< broken chunk framing
    upstream_failed,
  };
  /// Writes as much as goes within `turn`. `moved` gets the bytes that were written or read.
  Step advance(Connection& upstream, const Turn& turn, std::size_t& moved);
  /// The rest is not sent: what was taken from its source counts as read. Gives back
  /// all memory, for the close that may follow takes its time.
  void stop();
  bool finished() const { return finished_; }
  bool awaiting_client() const { return !finished_ && pending_.empty(); }

 private:
  bool next_piece(Step& step, std::size_t& moved);
  bool next_streamed(Step& step, std::size_t& moved);
  bool next_chunk(Step& step, std::size_t& moved);
  void compose(std::size_t most);
  bool next_loaded();
  void sent();
  void release();
  void release_scratch();

  Site& site_;
  BodySource& body_;
  std::unique_ptr<SecretBuffer> scratch_;
  std::size_t scratch_used_ = 0;
  std::string_view
      pending_;  ///< to be written; in scratch_, with the source of the body, or in chunk_
  std::size_t body_pending_ = 0;  ///< bytes of pending_ that lie with the source of the body
  Buffer chunk_;
  std::string_view prefix_;
  const transforms::BodyView* loaded_ = nullptr;
  transforms::BodyCursor cursor_;
  bool streaming_ = false, chunked_ = false, last_chunk_written_ = false, finished_ = false;
};

}  // namespace iron::proxy

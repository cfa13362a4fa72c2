#pragma once

#include <memory>
#include <string_view>

#include "policy/secret/secret_arena.h"
#include "proxy/http/body_source.h"
#include "proxy/http1/secret_pages.h"
#include "transforms/rewrite.h"

namespace iron::proxy {

/// A request's body that was loaded for a transform, as it leaves: long stretches from where they
/// lie, swapped values composed piece by piece in secret memory with what is near them (a megabyte
/// of tokens was 131,072 writes). What was loaded in part leaves as it is, before the rest of the
/// stream.
class LoadedBody final : public BodySource {
 public:
  /// All outlive it. `rest` is where the body goes on when it is not complete.
  LoadedBody(const transforms::BodyView& body, BodySource& rest, SecretPages& pages)
      : body_(body), rest_(rest), pages_(pages) {}
  ~LoadedBody() override { forget_composed(); }
  LoadedBody(const LoadedBody&) = delete;

  Step read(std::string_view& bytes, From from = From::peer) override;
  void consume(std::size_t count) override;
  void drop() override;
  bool done() const override { return given_ && rest_.done(); }
  std::uint64_t remaining() const override { return rest_.remaining(); }
  std::uint64_t size() const override { return rest_.size(); }
  bool buffered() const override { return !given_ || !piece_.empty() || rest_.buffered(); }
  Ahead look_ahead() const override { return rest_.look_ahead(); }
  std::size_t take_arrived() override { return rest_.take_arrived(); }
  std::string_view problem() const override { return rest_.problem(); }
  void keep_trailers() override { rest_.keep_trailers(); }
  std::string_view trailers() const override { return rest_.trailers(); }
  void end_bulk() override { rest_.end_bulk(); }

 private:
  void next_piece();
  void forget_composed();

  const transforms::BodyView& body_;
  BodySource& rest_;
  SecretPages& pages_;
  transforms::BodyCursor cursor_;
  std::string_view piece_;  ///< given and not consumed, of what was loaded
  std::unique_ptr<SecretBuffer> composed_;
  std::size_t composed_used_ = 0;
  bool given_ = false;  ///< all that was loaded was read
};

}  // namespace iron::proxy

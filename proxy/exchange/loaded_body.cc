#include "proxy/exchange/loaded_body.h"

#include <utility>

namespace iron::proxy {
namespace {
constexpr std::size_t kComposedBytes = 16 * 1024;  // a TLS record
constexpr std::size_t kStretchBytes = 4 * 1024;
}  // namespace

BodySource::Step LoadedBody::read(std::string_view& bytes, From from) {
  if (piece_.empty() && !given_) next_piece();
  if (!piece_.empty()) {
    bytes = piece_;
    return Step::bytes;
  }
  return rest_.read(bytes, from);
}

void LoadedBody::next_piece() {
  if (!body_.complete || body_.parts.empty()) {
    piece_ = body_.bytes;
    given_ = true;
    return;
  }
  piece_ = transforms::take_unchanged(body_, cursor_, kStretchBytes);
  if (piece_.empty()) {
    if (composed_ == nullptr) composed_ = pages_.take(kComposedBytes);
    composed_used_ = transforms::write_body(body_, cursor_, composed_->data(), kComposedBytes);
    piece_ = {composed_->data(), composed_used_};
  }
  given_ = cursor_.part == body_.parts.size() && cursor_.position == body_.bytes.size();
}

void LoadedBody::consume(std::size_t count) {
  if (piece_.empty()) {
    rest_.consume(count);
    return;
  }
  piece_.remove_prefix(count);
  if (!piece_.empty() || composed_ == nullptr) return;
  if (given_) {
    forget_composed();
  } else {
    composed_->wipe(std::exchange(composed_used_, 0));
  }
}

void LoadedBody::drop() {
  piece_ = {};
  rest_.drop();
}

void LoadedBody::forget_composed() {
  if (composed_ != nullptr) pages_.give_back(std::move(composed_), composed_used_);
  composed_used_ = 0;
}

}  // namespace iron::proxy

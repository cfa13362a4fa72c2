#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// Text of unknown length that grows in secret memory; what it outgrows is wiped.
class SecretWriter {
 public:
  SecretWriter& put(std::string_view bytes) {
    if (bytes.empty()) return *this;
    reserve(bytes.size());
    std::memcpy(text_.writable().data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return *this;
  }
  SecretWriter& put(char byte) { return put(std::string_view(&byte, 1)); }
  /// Room for `size` more bytes, of which `written` tells how many are used.
  char* room(std::size_t size) {
    reserve(size);
    return text_.writable().data() + size_;
  }
  void written(std::size_t size) { size_ += size; }
  std::size_t size() const { return size_; }
  std::string_view reveal() const { return text_.reveal().substr(0, size_); }
  /// The text; the writer is empty again.
  Secret finish() {
    text_.shrink(std::exchange(size_, 0));
    return std::move(text_);
  }

 private:
  void reserve(std::size_t more) {
    if (more <= text_.size() - size_) return;
    Secret larger = Secret::sized(std::max<std::size_t>({256, text_.size() * 2, size_ + more}));
    if (size_ > 0) std::memcpy(larger.writable().data(), text_.reveal().data(), size_);
    text_ = std::move(larger);
  }

  Secret text_;
  std::size_t size_ = 0;
};

}  // namespace iron::transforms

#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "policy/result.h"
#include "policy/secret/secret.h"
#include "proxy/exchange/content_decoder.h"

namespace iron::proxy {

/// Collects the body of an answer in secret memory, out of its content coding, up to a limit.
class AnswerText {
 public:
  /// `coding`: value of Content-Encoding; `most`: bytes that are kept.
  AnswerText(std::string_view coding, std::size_t most);

  /// False: that is as much as is wanted.
  Result<bool> add(std::string_view bytes);
  /// The body is over.
  Result<void> end();
  /// More came than was wanted.
  bool cut() const { return cut_; }
  Secret take();

 private:
  bool append(std::string_view bytes);

  std::optional<ContentDecoder> decoder_;
  const std::size_t most_;
  Secret text_;
  std::size_t used_ = 0, came_ = 0;
  bool known_coding_ = true;
  bool cut_ = false;
};

}  // namespace iron::proxy

#include <utility>

#include "policy/quote.h"
#include "transforms/sources/source_kind.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLargest = 1048576;
/// A writer that truncates and rewrites in place does no harm for so long.
constexpr std::int64_t kGoneForNs = 2'000'000'000;

/// A file, byte for byte; links are followed. Who deletes or empties it takes the secret back.
class FileSource final : public SourceKind {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}
  std::string name() const override { return path_; }

  Task<Result<Secret>> get(Outside& outside) override {
    Result<Secret> read = co_await outside.read_file(path_, kLargest);
    const std::string shown = policy::quoted(path_);
    const bool gone = read.has_error() ? read.error().fault == Fault::gone : read->empty();
    if (!gone) gone_since_ns_ = INT64_MAX;
    if (gone && gone_since_ns_ == INT64_MAX) gone_since_ns_ = outside.monotonic_ns();
    if (read.has_error()) {
      if (read.error().fault == Fault::body_too_large) {
        co_return fail("secret file " + shown + " is larger than " + std::to_string(kLargest) +
                       " bytes");
      }
      co_return fail("reading secret file " + shown + ": " + read.error().text);
    }
    if (read->empty()) co_return fail("secret file " + shown + " is empty");
    tell(*read, outside);
    co_return std::move(read);
  }
  bool revoked(std::int64_t now_ns) const override {
    return gone_since_ns_ != INT64_MAX && now_ns - gone_since_ns_ >= kGoneForNs;
  }
  std::int64_t patience_ns() const override {
    return gone_since_ns_ == INT64_MAX ? INT64_MAX : kGoneForNs;
  }

 private:
  /// What works, but is seldom meant; each once.
  void tell(const Secret& value, Outside& outside) {
    if (value.reveal().ends_with('\n') && !std::exchange(told_, true)) {
      outside.note(Outside::Gravity::warn, "secret file ends with a line break",
                   {{"secret", path_}});
    }
    if (!std::exchange(looked_, true) && outside.readable_by_others(path_)) {
      outside.note(Outside::Gravity::warn, "secret file is readable by others",
                   {{"secret", path_}});
    }
  }

  const std::string path_;
  std::int64_t gone_since_ns_ = INT64_MAX;
  bool told_ = false, looked_ = false;
};

}  // namespace

std::unique_ptr<SourceKind> make_file_source(const SourceBlock& block) {
  std::string path = block.required("path");
  block.grant("secret file", path);
  return std::make_unique<FileSource>(std::move(path));
}

}  // namespace iron::transforms

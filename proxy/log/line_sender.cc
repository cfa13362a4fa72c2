#include "proxy/log/line_sender.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

namespace iron::proxy {
namespace {

void mask_keys(const LineSender::Nets& nets, std::span<char> bytes) {
  for (const auto& net : nets) net->mask(bytes);
}

/// Gives up what stands behind `offset` in `bytes`, but for the rest of a line that was `begun`
/// there: that is what stays in `bytes`.
void cut(std::string& bytes, std::size_t offset, bool begun, LineSender::Progress& progress) {
  const std::size_t end = begun ? std::min(bytes.find('\n', offset), bytes.size() - 1) + 1 : offset;
  const auto given_up = bytes.begin() + static_cast<std::ptrdiff_t>(end);
  progress.settled += bytes.size() - end;
  progress.lost += static_cast<std::uint64_t>(std::count(given_up, bytes.end(), '\n'));
  bytes.resize(end);
  bytes.erase(0, offset);
}

}  // namespace

LineSender::Progress LineSender::drain(const Nets& nets, std::size_t limit) noexcept {
  for (auto chunk = chunks_.rbegin(); chunk != chunks_.rend() && !chunk->masked; ++chunk) {
    mask_keys(nets, chunk->bytes);
    chunk->masked = true;
  }
  Progress progress;
  while (!empty() && progress.settled < limit) {
    const long count = send_some(progress);
    if (count < 0) {
      stop(count, progress);
      break;
    }
    progress.took = true;
  }
  return progress;
}

/// The next piece, and what is known after it.
long LineSender::send_some(Progress& progress) {
  if (!begun_.empty()) {
    const long count = sink_->write(begun_);
    if (count < 0) return count;
    if (begun_counts_) progress.settled += static_cast<std::size_t>(count);
    begun_.erase(0, static_cast<std::size_t>(count));
    within_ = begun_.empty() ? Within::none : Within::begun;
    return count;
  }
  if (reporting() && within_ != Within::chunk) {
    const long count = sink_->write(report_);
    if (count < 0) return count;
    report_.erase(0, static_cast<std::size_t>(count));
    within_ = report_.empty() ? Within::none : Within::report;
    progress.report_written = report_.empty();
    return count;
  }
  const std::string& bytes = chunks_.front().bytes;
  std::string_view piece = std::string_view(bytes).substr(offset_);
  if (reporting()) piece = piece.substr(0, piece.find('\n') + 1);
  const long count = sink_->write(piece);
  if (count < 0) return count;
  offset_ += static_cast<std::size_t>(count);
  progress.settled += static_cast<std::size_t>(count);
  if (offset_ > 0) within_ = bytes[offset_ - 1] == '\n' ? Within::none : Within::chunk;
  if (offset_ == bytes.size()) {
    progress.spent.splice(progress.spent.end(), chunks_, chunks_.begin());
    offset_ = 0;
  }
  return count;
}

LineSender::Progress LineSender::write(const Nets& nets, std::string& lines) noexcept {
  mask_keys(nets, lines);
  Progress progress;
  while (progress.settled < lines.size()) {
    const std::size_t written = progress.settled;
    const long count = sink_->write(std::string_view(lines).substr(written));
    if (count >= 0) {
      progress.settled += static_cast<std::size_t>(count);
      progress.took = true;
      continue;
    }
    const bool begun = written > 0 && lines[written - 1] != '\n';
    try {
      LogChunk& rest = chunks_.emplace_back();
      rest.bytes.swap(lines);
      rest.masked = true;
      offset_ = written;
      if (begun) within_ = Within::chunk;
    } catch (const std::bad_alloc&) {
      cut(lines, written, begun, progress);
      begun_.swap(lines);
      begun_counts_ = true;
      if (begun) within_ = Within::begun;
    }
    stop(count, progress);
    break;
  }
  return progress;
}

void LineSender::stop(long error, Progress& progress) {
  progress.blocked = error == -EAGAIN || error == -EWOULDBLOCK;
  if (progress.blocked) return;
  progress.failed = true;
  give_up(progress);
}

void LineSender::give_up(Progress& progress) {
  if (within_ == Within::report) {
    begun_ = std::move(report_);
    begun_counts_ = false;
  }
  report_.clear();  // told again, with the new count
  for (LogChunk& chunk : chunks_) {
    const bool begun = within_ == Within::chunk && begun_.empty();
    cut(chunk.bytes, std::exchange(offset_, 0), begun, progress);
    if (!begun) continue;
    begun_ = std::move(chunk.bytes);
    begun_counts_ = true;
  }
  chunks_.clear();
  if (!begun_.empty()) within_ = Within::begun;
}

}  // namespace iron::proxy

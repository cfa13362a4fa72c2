#include "proxy/log/log_chunks.h"

#include <algorithm>

namespace iron::proxy {

void LogChunks::append(LogChunkList& pending, std::string_view line) {
  if (pending.empty() || pending.back().bytes.size() + line.size() > kBytes) {
    if (spare_.empty()) spare_.emplace_back();
    LogChunk& next = spare_.front();
    next.bytes.reserve(std::max(kBytes, line.size()));
    pending.splice(pending.end(), spare_, spare_.begin());
  }
  pending.back().bytes.append(line);
}

void LogChunks::give_back(LogChunkList& spent) noexcept {
  while (!spent.empty()) {
    LogChunk& chunk = spent.front();
    if (spare_.size() >= kMostSpare || chunk.bytes.capacity() > 2 * kBytes) {
      spent.pop_front();
      continue;
    }
    chunk.bytes.clear();
    chunk.masked = false;
    spare_.splice(spare_.begin(), spent, spent.begin());
  }
}

}  // namespace iron::proxy

#include "proxy/log/log_chunks.h"

#include <algorithm>
#include <utility>

namespace iron::proxy {

void LogChunks::append(std::deque<std::string>& pending, std::string_view line) {
  if (pending.empty() || pending.back().size() + line.size() > kBytes) {
    if (spare_.empty()) {
      pending.emplace_back();
    } else {
      pending.push_back(std::move(spare_.back()));
      spare_.pop_back();
    }
  }
  std::string& chunk = pending.back();
  if (chunk.empty()) chunk.reserve(std::max(kBytes, line.size()));
  chunk.append(line);
}

void LogChunks::give_back(std::vector<std::string>& spent) noexcept {
  for (std::string& chunk : spent) {
    if (spare_.size() >= kMostSpare || chunk.capacity() > 2 * kBytes) continue;
    chunk.clear();
    spare_.push_back(std::move(chunk));
  }
}

}  // namespace iron::proxy

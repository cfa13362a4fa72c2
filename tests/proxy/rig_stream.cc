#include "tests/proxy/rig_stream.h"

#include <algorithm>
#include <boost/asio/error.hpp>

namespace iron::proxy::test {

bool RigStream::readable() {
  if (used_ == arrived_.size()) {
    arrived_ = peer_.take();
    used_ = 0;
  }
  return used_ < arrived_.size() || peer_.end() != ScriptedPeer::End::none;
}

std::size_t RigStream::read(std::span<char> into, error_code& error) {
  error = {};
  if (into.empty()) return 0;
  if (!readable()) {
    const bool came = waits_ && rig_.turn_until([this] { return readable(); });
    if (!came) {
      error = waits_ ? boost::asio::error::timed_out : boost::asio::error::would_block;
      return 0;
    }
  }
  const std::size_t size = std::min(into.size(), arrived_.size() - used_);
  if (size == 0) {
    const bool reset = peer_.end() == ScriptedPeer::End::reset;
    error = reset ? error_code(boost::asio::error::connection_reset)
                  : error_code(boost::asio::error::eof);
    return 0;
  }
  std::copy_n(arrived_.data() + used_, size, into.data());
  used_ += size;
  return size;
}

std::size_t RigStream::write(std::span<const char> bytes, error_code& error) {
  error = {};
  if (!peer_.open()) {
    error = boost::asio::error::broken_pipe;
    return 0;
  }
  if (peer_.unsent() >= room_) {
    const bool room = rig_.turn_until([this] { return peer_.unsent() < room_; });
    if (!room) {
      error = boost::asio::error::timed_out;
      return 0;
    }
  }
  const std::size_t size = std::min(bytes.size(), room_ - std::min(room_, peer_.unsent()));
  peer_.send({bytes.data(), size});
  return size;
}

}  // namespace iron::proxy::test

#pragma once

#include <string_view>

namespace iron::proxy {

/// What the first bytes that a client sends into a tunnel say it speaks. `SSH-` is told from a
/// method that begins alike; everything else that begins with A to Z is HTTP, and gets its answers.
enum class TunnelProtocol {
  undecided,  ///< nothing, or a beginning of `SSH-`
  tls,
  http,
  unknown,
};
TunnelProtocol tunnel_protocol(std::string_view first_bytes);

}  // namespace iron::proxy

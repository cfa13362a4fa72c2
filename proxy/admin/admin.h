#pragma once

#include <functional>
#include <string_view>

#include "policy/secret/secret.h"
#include "proxy/admin/reload.h"
#include "proxy/admin/web_handler.h"
#include "proxy/wait/clock.h"

namespace iron::proxy {

/// The metrics listener: `/healthz`. See docs/management.md.
class MetricsPages final : public WebHandler {
 public:
  Reply serve(const WebRequest& request, std::string_view remote) override;
};

/// The management API: `/v1/reload`, for who has the key. See docs/management.md.
class ManagementPages final : public WebHandler {
 public:
  /// `refused` is told the client of a request without the key, at most once a second. `key`,
  /// `reload` and `clock` outlive it.
  ManagementPages(const Secret& key,
                  Reload& reload,
                  std::function<void(std::string_view remote)> refused,
                  const Clock& clock = Clock::system());
  Reply serve(const WebRequest& request, std::string_view remote) override;

 private:
  void note_refused(std::string_view remote);

  const Secret& key_;
  Reload& reload_;
  std::function<void(std::string_view)> refused_;
  const Clock& clock_;
  SteadyTime last_noted_{};
};

}  // namespace iron::proxy

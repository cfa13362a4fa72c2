#include <stdexcept>

#include "bench/case.h"
#include "bench/keep.h"
#include "bench/policies.h"
#include "bench/request_path.h"
#include "transforms/rewrite.h"

namespace iron::bench {
namespace {

constexpr std::size_t kBodySize = 256 * 1024;

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

/// Policy and head writing for one request that carries a token.
std::function<void()> request(const PolicySize& size) {
  auto policy = std::make_shared<Policy>(size);
  auto path = std::make_shared<RequestPath>(policy->pipeline());
  const auto once = [policy, path] {
    require(path->parse_request() && path->fill_exchange() && path->run_request(), "request");
    path->write_request();
  };
  for (int i = 0; i < 3; ++i) once();
  require(path->upstream_head().find(kToken) == std::string_view::npos, "token was not replaced");
  return once;
}

/// A body of 256 KiB with a token in its middle: search, then writing in pieces to secret memory.
std::function<void()> body_swap() {
  auto policy = std::make_shared<Policy>(PolicySize{.body = true});
  auto path = std::make_shared<RequestPath>(policy->pipeline());
  auto body = std::make_shared<std::string>(kBodySize, 'x');
  body->replace(kBodySize / 2, std::string_view(kToken).size(), kToken);
  auto buffer = std::make_shared<SecretBuffer>();
  const auto once = [policy, path, body, buffer] {
    require(path->parse_request() && path->fill_exchange(), "request");
    transforms::BodyView& view = path->exchange().body;
    view.present = view.loaded = view.complete = true;
    view.bytes = *body;
    require(path->run_request(), "pipeline");
    transforms::BodyCursor cursor;
    while (const std::size_t size =
               transforms::write_body(view, cursor, buffer->data(), buffer->size())) {
      buffer->wipe(size);
    }
  };
  for (int i = 0; i < 2; ++i) once();
  require(path->exchange().body.parts.size() == 1, "token was not found");
  return once;
}

/// A line of the log looked through for keys; without any in it, as ever.
std::function<void()> key_net(int secrets) {
  auto policy = std::make_shared<Policy>(PolicySize{.secrets = secrets});
  auto line = std::make_shared<std::string>();
  while (line->size() < 700) {
    *line += R"({"name":"secrets","action":"allow","duration_ms":0.00)";
    *line += std::to_string(line->size()) + "},";
  }
  return [policy, line] { require(!policy->pipeline().key_net()->mask(*line), "nothing there"); };
}

}  // namespace

std::vector<Case> transforms_cases() {
  return {
      {"transforms/request/10_domains_1_secret", [] { return request({}); }, 500},
      {"transforms/request/10000_domains", [] { return request({.domains = 10000}); }, 500},
      {"transforms/request/500_secrets_on_500_hosts", [] { return request({.secrets = 500}); },
       500},
      {"transforms/request/50_secrets_on_1_host",
       [] { return request({.secrets = 50, .same_host = true}); }, 500},
      {"transforms/body_swap_256k", body_swap, 20, kBodySize},
      // Not for the gate: how often a hash of a random key looks like one of ours differs by run.
      {"transforms/key_net/1_secret", [] { return key_net(1); }, 0},
      {"transforms/key_net/500_secrets", [] { return key_net(500); }, 0},
  };
}

}  // namespace iron::bench

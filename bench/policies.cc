#include "bench/policies.h"

#include <stdlib.h>

#include "policy/yaml/yaml_reader.h"

namespace iron::bench {
namespace {

std::string allowlist(int domains) {
  std::string yaml = "domains:\n";
  for (int i = 0; i < domains - 1; ++i) {
    const std::string number = std::to_string(i);
    yaml += i % 10 == 9 ? "- '*.g" + number + ".filler.test'\n" : "- f" + number + ".filler.test\n";
  }
  return yaml + "- '*.bench.test'\n";
}

std::string secret(const std::string& token, const std::string& host, bool body) {
  return "- source: {type: env, var: BENCH_KEY}\n"
         "  replace: {proxy_value: " +
         token + ", match_headers: [Authorization]" + (body ? ", match_body: true" : "") +
         "}\n  rules: [{host: '" + host + "'}]\n";
}

std::string secrets(const PolicySize& size) {
  std::string yaml = "secrets:\n";
  for (int i = 0; i < size.secrets - 1; ++i) {
    const std::string host =
        size.same_host ? "*.bench.test" : "f" + std::to_string(i) + ".filler.test";
    yaml += secret("hermes-proxy-" + std::to_string(100000 + i) + "-0123456789", host, size.body);
  }
  return yaml + secret(kToken, "*.bench.test", size.body);
}

}  // namespace

Policy::Policy(const PolicySize& size) {
  setenv("BENCH_KEY", "real-0123456789abcdef-0123456789abcdef", 1);
  environment_.take("BENCH_KEY");
  policy::Config config;
  config.transforms.push_back({"allowlist", policy::parse_yaml(allowlist(size.domains))});
  config.transforms.push_back({"secrets", policy::parse_yaml(secrets(size))});
  transforms::Services services;
  services.environment = &environment_;
  pipeline_ = std::make_unique<transforms::Pipeline>(config, services, warnings_);
}

}  // namespace iron::bench

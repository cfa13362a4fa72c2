#pragma once

#include <functional>
#include <string>
#include <vector>

#include "policy/config/config.h"
#include "tests/proxy/beast_peers.h"

namespace iron::proxy::test {

/// A rig with an origin of Beast's and a client of Beast's that has come to it in that way.
class PeerRig {
 public:
  explicit PeerRig(Way way,
                   policy::Config config = usual_config(),
                   const SessionRig::Variables& variables = {});
  /// The defaults, and an `allowlist` that lets everything to 127.0.0.1 and `origin.test` pass.
  static policy::Config usual_config();

  SessionRig& rig() { return rig_; }
  HttpOrigin& origin() { return origin_; }
  HttpClient& client() { return client_; }
  /// What requests name the origin by.
  const std::string& authority() const { return authority_; }
  /// A message with `<A>` for that.
  WebMessage filled(WebMessage message) const;
  /// The records but that of the CONNECT, which must be there where there was one.
  std::vector<std::string> records();
  /// What is left of it when all have gone and time has passed.
  std::string leftovers();

 private:
  SessionRig rig_;
  HttpOrigin origin_;
  std::string authority_;
  HttpClient client_;
  Way way_;
};

/// Message by lines: start, fields, framing, body, trailers, interim answers, fault. Long bodies by
/// their size and their ends.
std::vector<std::string> lines_of(const WebMessage& message);

/// Runs a table of exchanges, each in each of the ways, and expects field by field and byte by byte
/// what must arrive, and the record. Beast is on both ends.
void expect_exchanges(const std::vector<Way>& ways);
/// Three exchanges on one connection of the client and one of the origin.
void expect_keep_alive(const std::vector<Way>& ways);
/// A client that waits for a 100 before it sends its body.
void expect_continue(const std::vector<Way>& ways);

}  // namespace iron::proxy::test

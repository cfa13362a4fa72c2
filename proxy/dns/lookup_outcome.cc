#include "proxy/dns/lookup_outcome.h"

namespace iron::proxy {

LookupOutcome LookupOutcome::of(const std::vector<policy::IpAddress>& addresses) {
  LookupOutcome outcome;
  outcome.status = Status::found;
  for (const bool v4 : {true, false}) {
    for (const policy::IpAddress& address : addresses) {
      if (address.is_v4() == v4) outcome.addresses.push_back(address);
    }
  }
  return outcome;
}

std::string lookup_error(const std::string& name,
                         const std::string& server,
                         const std::string& reason) {
  return "lookup " + name + (server.empty() ? "" : " on " + server) + ": " + reason;
}

}  // namespace iron::proxy

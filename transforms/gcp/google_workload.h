#pragma once

#include <string>
#include <utility>
#include <vector>

#include "transforms/gcp/google_credentials.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// `credentials_provider` of `gcp_auth`: access tokens by the credentials that the machine has. A
/// provider of another type fails each request, as the configuration of old did.
class GoogleWorkload final : public Supply {
 public:
  GoogleWorkload(std::string type, std::vector<std::string> scopes)
      : type_(std::move(type)), scopes_(std::move(scopes)) {}

  static constexpr std::string_view kType = "workload_identity";
  /// `value` is `Bearer TOKEN`; `about` the address of the account, if there is one.
  Task<Supplied> fetch(Outside& outside) override;
  bool retried_by_each() const override { return true; }

 private:
  const std::string type_;
  const std::vector<std::string> scopes_;
  GoogleCredentials credentials_;  ///< the thread of calls alone
};

}  // namespace iron::transforms

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/result.h"
#include "policy/task.h"
#include "transforms/outside.h"

namespace iron::transforms {

struct BuildContext;

struct GoogleToken {
  SecretPtr token;
  std::int64_t until_ns = INT64_MAX;  ///< by the monotonic clock: not to be used from then on
  std::string account;                ///< `client_email` of the credentials; may be empty
  std::vector<SecretPtr> keys{};      ///< that it came by
};

/// Access tokens by Google's Application Default Credentials: the file of
/// GOOGLE_APPLICATION_CREDENTIALS, else that which gcloud writes, else the metadata server. A token
/// is kept until 10 s before its end; credentials are read anew for each. On the thread of calls
/// alone.
class GoogleCredentials {
 public:
  /// Errors of the credentials themselves begin with kLoading, others are of the call for a token.
  Task<Result<GoogleToken>> token(Outside& outside, std::vector<std::string> scopes);
  /// The token that is kept; null: none.
  const SecretPtr& kept() const { return kept_.token; }
  static constexpr std::string_view kLoading = "loading GCP default credentials: ";

  /// While the pipeline is built: asks for the files. Throws ConfigError.
  static void prepare(const BuildContext& context);

 private:
  Task<Result<GoogleToken>> of_metadata(Outside& outside, const std::vector<std::string>& scopes);
  Task<Result<GoogleToken>> of_document(Outside& outside,
                                        const Secret& document,
                                        const std::vector<std::string>& scopes);

  Task<Result<GoogleToken>> of_account(Outside& outside,
                                       const Secret& document,
                                       const std::vector<std::string>& scopes);

  bool project_asked_ = false;
  std::vector<std::string> kept_scopes_;
  GoogleToken kept_;
};

}  // namespace iron::transforms

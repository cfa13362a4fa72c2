#include "transforms/aws/aws_access.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "transforms/auth/aws_config.h"
#include "transforms/aws/aws_chain.h"
#include "transforms/aws/aws_command.h"

namespace iron::transforms {
namespace {

constexpr off_t kLargestFile = 1 << 20;

std::optional<std::string> variable(const char* name) {
  const char* text = ::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::string(text);
}

/// A regular file as it is now; nothing if it cannot be read.
std::optional<Secret> read_now(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return std::nullopt;
  struct stat info{};
  std::optional<Secret> content;
  if (::fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= kLargestFile) {
    content = Secret::sized(static_cast<std::size_t>(info.st_size));
    const ssize_t got = ::read(file, content->writable().data(), content->size());
    content->shrink(got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  ::close(file);
  return content;
}

/// A shared file as it is now; empty if it cannot be read, which a search tells of.
AwsConfigFile parse_now(const std::string& path) {
  auto content = read_now(path);
  if (!content) return {};
  Result<AwsConfigFile> parsed = AwsConfigFile::parse(std::move(*content));
  return parsed.has_error() ? AwsConfigFile() : std::move(*parsed);
}

/// Files that a shared file names: they must stay readable for a process that confines itself.
void add_named_files(const AwsConfigFile& file, std::vector<std::string>& files) {
  for (const AwsConfigFile::Section& section : file.sections()) {
    for (const AwsConfigFile::Setting& setting : section.settings) {
      if (setting.name == "web_identity_token_file" || setting.name == "ca_bundle") {
        files.emplace_back(setting.value);
      }
    }
  }
}

/// Whether the environment has keys, so that no search looks at a profile.
bool has_keys(const Services& services) {
  const auto found = [&](const char* name) {
    return services.environment != nullptr && services.environment->find(name) != nullptr;
  };
  return (found("AWS_ACCESS_KEY_ID") || found("AWS_ACCESS_KEY")) &&
         (found("AWS_SECRET_ACCESS_KEY") || found("AWS_SECRET_KEY"));
}

/// The program that a search comes to with these files, in the order of AwsChain::of_profile().
void need_program(const BuildContext& context,
                  const AwsConfigFile& config,
                  const AwsConfigFile& credentials) {
  std::string profile =
      variable("AWS_PROFILE").value_or(variable("AWS_DEFAULT_PROFILE").value_or("default"));
  const auto setting = [&](std::string_view name) {
    const auto found = credentials.find("", profile, name);
    return found && !found->empty() ? found : find_in_profile(config, profile, name);
  };
  for (int depth = 0; depth <= kLongestAwsChain; ++depth) {
    const std::string source(setting("source_profile").value_or(""));
    if (!source.empty() && source != profile) {
      profile = source;
      continue;
    }
    const auto command = setting("credential_process");
    if (!command || command->empty() || setting("aws_access_key_id")) return;
    Result<ProgramRun> program = aws_command(*command);
    if (!program.has_error()) context.need_program(std::move(*program));
    return;
  }
}

/// They become values of fields.
bool is_key(const Secret& secret) {
  return std::ranges::all_of(secret.reveal(), [](char c) { return c > ' ' && c < '\x7F'; });
}

}  // namespace

AwsAccess::AwsAccess(const BuildContext& context) {
  if (context.services.environment != nullptr) {
    for (const char* name : kAwsKeyVariables) context.services.environment->take(name);
  }
  std::vector<std::string>& files = context.needs.files;
  const auto home = variable("HOME");
  const auto shared_file = [&](const char* name, const char* file) {
    const std::string path = aws_file_path(variable(name), home, file);
    if (path.empty()) return AwsConfigFile();
    files.push_back(path);
    AwsConfigFile parsed = parse_now(path);
    add_named_files(parsed, files);
    return parsed;
  };
  const AwsConfigFile config = shared_file("AWS_CONFIG_FILE", "config");
  const AwsConfigFile credentials = shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  if (!has_keys(context.services) && !variable("AWS_WEB_IDENTITY_TOKEN_FILE")) {
    need_program(context, config, credentials);
  }
  for (const char* name :
       {"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE"}) {
    if (auto path = variable(name)) files.push_back(std::move(*path));
  }
}

Task<Result<AwsCredentialsPtr>> AwsAccess::credentials(Outside& outside,
                                                       const AwsSettings& settings) {
  const auto again = wanted_again();
  if (kept_ != nullptr && (!again || outside.now() < *again)) co_return kept_;
  AwsChain chain(outside, settings);
  Result<AwsFound> found = co_await chain.find();
  if (found.has_value() &&
      !(is_key(found->keys.access_key_id) && is_key(found->keys.secret_access_key) &&
        is_key(found->keys.session_token))) {
    found = fail("the credentials hold bytes that no key has");
  }
  if (found.has_error()) {
    // What new ones were wanted for early is still good.
    if (kept_ != nullptr && outside.now() < *kept_->expiry) co_return kept_;
    co_return fail("failed to refresh cached credentials, " + found.error().text);
  }
  early_ = found->early;
  kept_ = std::make_shared<const AwsCredentials>(std::move(found->keys));
  co_return kept_;
}

std::optional<std::chrono::system_clock::time_point> AwsAccess::wanted_again() const {
  if (kept_ == nullptr || !kept_->expiry) return std::nullopt;
  return *kept_->expiry - early_;
}

}  // namespace iron::transforms

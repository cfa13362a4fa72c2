#include "proxy/guard/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace iron::proxy {
namespace {

// The interface of the kernel, written out: headers of build machines may be older than the kernel
// that runs the program. The numbers are the same on every architecture.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr unsigned kAskVersion = 1;
constexpr unsigned kRulePathBeneath = 1;

struct RulesetAttributes {
  std::uint64_t files = 0, network = 0, scopes = 0;
};

struct [[gnu::packed]] PathRule {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

constexpr std::uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2,
                        kReadDirectory = 1 << 3, kMakeRegular = 1 << 8, kTruncate = 1 << 14,
                        kIoctlDevice = 1 << 15;
constexpr std::uint64_t kOfFirstVersion = (1 << 13) - 1;
constexpr std::uint64_t kRefer = 1 << 13;
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;
constexpr std::uint64_t kBindTcp = 1 << 0;
constexpr std::uint64_t kAbstractSocket = 1 << 0, kSignal = 1 << 1;

class Descriptor {
 public:
  explicit Descriptor(long value) : value_(static_cast<int>(value)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

RulesetAttributes everything(int version) {
  RulesetAttributes attributes;
  attributes.files = kOfFirstVersion;
  if (version >= 2) attributes.files |= kRefer;
  if (version >= 3) attributes.files |= kTruncate;
  if (version >= 4) attributes.network = kBindTcp;
  if (version >= 5) attributes.files |= kIoctlDevice;
  if (version >= 6) attributes.scopes = kAbstractSocket | kSignal;
  return attributes;
}

/// A kernel refuses an attribute that is larger than what it knows.
std::size_t attribute_size(int version) {
  if (version >= 6) return sizeof(RulesetAttributes);
  return version >= 4 ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

Error system_error(const char* attempted) {
  return fail(std::string(attempted) + ": " + std::generic_category().message(errno));
}

Result<void> add(const Descriptor& ruleset, const FileGrant& grant) {
  const Descriptor file(::open(grant.path.c_str(), O_PATH | O_CLOEXEC));
  if (file.get() < 0) return {};
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return {};
  PathRule rule;
  rule.allowed =
      grant.use == FileGrant::Use::read ? kReadFile | kReadDirectory : kWriteFile | kMakeRegular;
  if (!S_ISDIR(info.st_mode)) rule.allowed &= kOfFiles;
  rule.parent = file.get();
  if (::syscall(kAddRule, ruleset.get(), kRulePathBeneath, &rule, 0) == 0) return {};
  return system_error("landlock_add_rule");
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(kCreateRuleset, nullptr, 0, kAskVersion);
  return version < 0 ? 0 : static_cast<int>(version);
}

Result<void> restrict_by_landlock(int version, std::span<const FileGrant> grants) {
  const RulesetAttributes attributes = everything(version);
  const Descriptor ruleset(::syscall(kCreateRuleset, &attributes, attribute_size(version), 0));
  if (ruleset.get() < 0) return system_error("landlock_create_ruleset");
  for (const FileGrant& grant : grants) {
    const Result<void> added = add(ruleset, grant);
    if (added.has_error()) return added;
  }
  if (::syscall(kRestrictSelf, ruleset.get(), 0) == 0) return {};
  return system_error("landlock_restrict_self");
}

}  // namespace iron::proxy

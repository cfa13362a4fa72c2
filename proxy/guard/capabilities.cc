#include "proxy/guard/capabilities.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace iron::proxy {
namespace {

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool change(long call, Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(call, &header, sets.data()) == 0;
}

bool may(const FileGrant& grant) {
  // By the effective rights, which access() does not look at. Kernels before 5.8 lack the call.
#ifdef SYS_faccessat2
  constexpr long kCall = SYS_faccessat2;
#else
  constexpr long kCall = 439;
#endif
  const int mode = grant.use == FileGrant::Use::read ? R_OK : W_OK;
  return ::syscall(kCall, AT_FDCWD, grant.path.c_str(), mode, AT_EACCESS) == 0 || errno != EACCES;
}

bool all_usable(std::span<const FileGrant> grants, FileGrant::Use use) {
  for (const FileGrant& grant : grants) {
    if (grant.use == use && !may(grant)) return false;
  }
  return true;
}

}  // namespace

Result<std::string> drop_capabilities(std::span<const FileGrant> grants) {
  Sets held{};
  if (!change(SYS_capget, held)) return fail(std::generic_category().message(errno));
  Sets none = held;
  for (auto& part : none) part.effective = part.inheritable = 0;
  if (!change(SYS_capset, none)) return fail(std::generic_category().message(errno));
  std::string kept;
  std::uint32_t mask = 0;
  if (!all_usable(grants, FileGrant::Use::append)) {
    mask = 1u << CAP_DAC_OVERRIDE;
    kept = "dac_override";
  } else if (!all_usable(grants, FileGrant::Use::read)) {
    mask = 1u << CAP_DAC_READ_SEARCH;
    kept = "dac_read_search";
  }
  mask &= held[0].effective;
  if (mask == 0) kept.clear();
  none = {};
  none[0].effective = none[0].permitted = mask;
  if (!change(SYS_capset, none)) return fail(std::generic_category().message(errno));
  return Result<std::string>(boost::system::in_place_value, kept);
}

}  // namespace iron::proxy

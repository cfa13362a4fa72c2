// Loaded before a process under test whose core limit the machine does not allow to raise again:
// the process may set every limit but that one.
#include <dlfcn.h>
#include <sys/resource.h>

extern "C" int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  if (resource == RLIMIT_CORE) return 0;
  using Call = int (*)(__rlimit_resource_t, const rlimit*);
  static const Call call = reinterpret_cast<Call>(::dlsym(RTLD_NEXT, "setrlimit"));
  return call(resource, limit);
}

#include <fcntl.h>

#include <cstdio>
#include <string>
#include <vector>

#include "proxy/run/command_line.h"
#include "proxy/run/startup.h"
#include "tls/generate_ca.h"
#include "tls/record_memory.h"

namespace {

/// Descriptors 0 to 2 must not become sockets: the log writes to 2 whatever it is.
void open_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) < 0) (void)::open("/dev/null", O_RDWR);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using iron::proxy::CommandLine;
  open_standard_descriptors();
  iron::tls::RecordMemory::install();
  const CommandLine command_line =
      iron::proxy::parse_command_line(std::vector<std::string>(argv, argv + argc));
  switch (command_line.action) {
    case CommandLine::Action::generate_ca:
      return iron::tls::generate_ca(command_line.arguments);
    case CommandLine::Action::serve:
      return iron::proxy::run_proxy(command_line);
    case CommandLine::Action::finish:
      break;
  }
  std::fputs(command_line.stdout_text.c_str(), stdout);
  std::fputs(command_line.stderr_text.c_str(), stderr);
  return command_line.exit_code;
}

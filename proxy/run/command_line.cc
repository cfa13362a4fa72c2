#include "proxy/run/command_line.h"

#include "policy/config/go_flags.h"

namespace iron::proxy {
namespace {

CommandLine finish(int exit_code, std::string to_stdout, std::string to_stderr) {
  CommandLine out;
  out.action = CommandLine::Action::finish;
  out.exit_code = exit_code;
  out.stdout_text = std::move(to_stdout);
  out.stderr_text = std::move(to_stderr);
  return out;
}

std::vector<std::string> words_from(const std::vector<std::string>& argv, std::size_t first) {
  if (argv.size() <= first) return {};
  return {argv.begin() + static_cast<std::ptrdiff_t>(first), argv.end()};
}

}  // namespace

std::string version_text() { return "0.39.0+cpp." IRON_OWN_VERSION; }

CommandLine parse_command_line(const std::vector<std::string>& argv) {
  const std::string word = argv.size() > 1 ? argv[1] : std::string();
  if (word == "version" || word == "--version" || word == "-v")
    return finish(0, version_text() + "\n", "");
  if (word == "init") return finish(1, "", "error: init is not supported by this build\n");

  CommandLine out;
  if (word == "generate-ca") {
    out.action = CommandLine::Action::generate_ca;
    out.arguments = words_from(argv, 2);
    return out;
  }
  policy::GoFlags flags(argv.empty() ? "iron-proxy" : argv[0]);
  flags.add("config", &out.config, "path to iron-proxy YAML config file");
  flags.add("enrollment-token", &out.enrollment_token,
            "enrollment token for control plane registration");
  std::string message;
  const auto outcome = flags.parse(words_from(argv, 1), message);
  if (outcome == policy::GoFlags::Outcome::parsed) return out;
  return finish(outcome == policy::GoFlags::Outcome::help ? 0 : 2, "", std::move(message));
}

}  // namespace iron::proxy

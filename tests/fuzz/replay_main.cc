// Runs a target on inputs: fuzz_corpora TARGET CORPORA_OR_FILE...
// Of a folder of corpora it takes TARGET.pack (seeds.py has the format) and the files in TARGET/.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace iron::fuzz {
#define IRON_FUZZ_TARGET(name) void name(std::string_view input);
#include "list.inc"
#undef IRON_FUZZ_TARGET
}  // namespace iron::fuzz

namespace {

struct Target {
  std::string_view name;
  void (*run)(std::string_view);
};
constexpr Target kTargets[] = {
#define IRON_FUZZ_TARGET(name) {#name, iron::fuzz::name},
#include "list.inc"
#undef IRON_FUZZ_TARGET
};

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Takes the next `count` bytes of a pack.
std::string_view take(std::string_view& rest, std::size_t count) {
  if (count > rest.size())
    throw std::runtime_error("ends inside an entry: write it again, see tests/fuzz/pack");
  const std::string_view taken = rest.substr(0, count);
  rest.remove_prefix(count);
  return taken;
}

void run(const Target& target, const std::string& name, std::string_view bytes) {
  const auto begin = std::chrono::steady_clock::now();
  // A copy of its exact size, so that sanitizers see reads beyond it.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  std::fflush(stdout);
  target.run({exact.data(), exact.size()});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (took.count() > 5)
    throw std::runtime_error(name + " takes " + std::to_string(took.count()) + " s");
}

int replay_pack(const Target& target, const std::filesystem::path& path) {
  const std::string pack = bytes_of(path);
  int count = 0;
  for (std::string_view rest = pack; !rest.empty(); ++count) {
    const std::string_view name = take(rest, static_cast<unsigned char>(take(rest, 1)[0]));
    std::size_t size = 0;
    for (int shift = 0; const char byte : take(rest, 4)) {
      size |= static_cast<std::size_t>(static_cast<unsigned char>(byte)) << shift;
      shift += 8;
    }
    run(target, "input " + std::to_string(count) + " " + std::string(name), take(rest, size));
  }
  return count;
}

int replay(const Target& target, const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    run(target, path, bytes_of(path));
    return 1;
  }
  int count = replay_pack(target, path / (std::string(target.name) + ".pack"));
  const std::filesystem::path findings = path / target.name;
  if (!std::filesystem::is_directory(findings)) return count;
  for (const auto& entry : std::filesystem::directory_iterator(findings)) {
    run(target, entry.path(), bytes_of(entry.path()));
    ++count;
  }
  return count;
}

}  // namespace

int main(int count, char** arguments) {
  for (const Target& target : kTargets) {
    if (count < 3 || target.name != arguments[1]) continue;
    for (int i = 2; i < count; ++i) {
      try {
        const int inputs = replay(target, arguments[i]);
        if (inputs == 0) throw std::runtime_error("no inputs");
        std::printf("%s: %d inputs\n", arguments[1], inputs);
      } catch (const std::exception& fault) {
        std::fprintf(stderr, "%s of %s: %s\n", arguments[i], arguments[1], fault.what());
        return 1;
      }
    }
    return 0;
  }
  std::fprintf(stderr, "usage: fuzz_corpora TARGET CORPORA_OR_FILE...\ntargets:");
  for (const Target& target : kTargets) std::fprintf(stderr, " %s", target.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}

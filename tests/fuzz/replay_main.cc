// Runs a target on the files of its corpus: fuzz_corpora TARGET FILE_OR_DIRECTORY...
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
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

std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(path)) return {path};
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  return files;
}

int replay(const Target& target, const std::filesystem::path& path) {
  int count = 0;
  for (const auto& file : files_of(path)) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const auto begin = std::chrono::steady_clock::now();
    // A copy of its exact size, so that sanitizers see reads beyond it.
    const std::vector<char> exact(bytes.begin(), bytes.end());
    std::fflush(stdout);
    target.run({exact.data(), exact.size()});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (took.count() > 5) {
      std::fprintf(stderr, "%s: %.1f s\n", file.c_str(), took.count());
      return -1;
    }
    ++count;
  }
  return count;
}

}  // namespace

int main(int count, char** arguments) {
  for (const Target& target : kTargets) {
    if (count < 3 || target.name != arguments[1]) continue;
    for (int i = 2; i < count; ++i) {
      const int inputs = replay(target, arguments[i]);
      if (inputs <= 0) {
        std::fprintf(stderr, "%s: no inputs, or one that is too slow\n", arguments[i]);
        return 1;
      }
      std::printf("%s: %d inputs\n", arguments[1], inputs);
    }
    return 0;
  }
  std::fprintf(stderr, "usage: fuzz_corpora TARGET FILE_OR_DIRECTORY...\ntargets:");
  for (const Target& target : kTargets) std::fprintf(stderr, " %s", target.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}

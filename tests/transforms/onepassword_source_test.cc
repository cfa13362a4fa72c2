#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"

namespace iron::transforms {
namespace {

constexpr const char* kSource = "{type: 1password, secret_ref: 'op://Eng/OpenAI/key', ttl: -1ns}";

TEST(OnePasswordSource, FaultsOfTheBlock) {
  struct Row {
    const char* yaml;
    const char* fault;
  };
  for (const Row& row : {
           Row{"{type: 1password}", R"(1password source requires "secret_ref" field)"},
           Row{"{type: 1password, secret_ref: x, ttl: x}",
               R"(1password secret_ref "x" must start with "op://")"},
           Row{"{type: 1password, secret_ref: 'op://x', ttl: zz}",
               R"(parsing ttl "zz": time: invalid duration "zz")"},
           Row{"{type: 1password, secret_ref: 'op://x', token_env: T}", "none"},
       }) {
    EXPECT_EQ(fault_of(row.yaml), row.fault) << row.yaml;
  }
  EXPECT_EQ(BuiltSource(kSource).source->name(), "op://Eng/OpenAI/key");
}

TEST(OnePasswordSource, TheProgramIsNamedAtTheStart) {
  const ProgramNeed need{
      "op", {"read", "--no-newline", "op://Eng/OpenAI/key"}, "OP_SERVICE_ACCOUNT_TOKEN"};
  EXPECT_EQ(BuiltSource(kSource).needs.programs, std::vector{need});
  Services later;
  later.may_run = [&](const ProgramNeed& program) { return program == need; };
  std::vector<policy::ConfigWarning> warnings;
  Risks risks;
  Needs needs;
  const BuildContext context{nullptr, {}, "proxy.yaml", later, warnings, risks, needs};
  context.need_program(need);
  try {
    context.need_program({"op", {"read", "--no-newline", "op://Eng/Other/key"}, need.variable});
    FAIL() << "a program that the start did not name";
  } catch (const policy::ConfigError& error) {
    EXPECT_EQ(error.text(), "a program can be run only if the configuration at the start had one");
  }
  EXPECT_EQ(needs.programs, std::vector{need});
}

TEST(OnePasswordSource, WhatIsRun) {
  FakeOutside outside;
  outside.secret_variables["MY_TOKEN"] = "ops_token";
  outside.program = [](const ProgramRun& run) -> Result<Secret> {
    EXPECT_EQ(run.program, "op");
    EXPECT_EQ(run.arguments,
              (std::vector<std::string>{"read", "--no-newline", "op://Eng/OpenAI/key"}));
    EXPECT_EQ(run.variable, "OP_SERVICE_ACCOUNT_TOKEN");
    EXPECT_EQ(text_of(*run.secret), "ops_token");
    return Secret::copy_of("sk-1");
  };
  EXPECT_EQ(BuiltSource("{type: 1password, secret_ref: 'op://Eng/OpenAI/key', token_env: MY_TOKEN}")
                .get(outside),
            "sk-1");
}

TEST(OnePasswordSource, Failures) {
  FakeOutside outside;
  EXPECT_EQ(
      BuiltSource(kSource).get(outside),
      R"(!creating 1password client: env var "OP_SERVICE_ACCOUNT_TOKEN" is not set or empty)");
  outside.secret_variables["OP_SERVICE_ACCOUNT_TOKEN"] = "ops_token";
  Error error = fail("[ERROR] no item");
  outside.program = [&error](const ProgramRun&) -> Result<Secret> { return error; };
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            R"(!resolving 1password secret "op://Eng/OpenAI/key": [ERROR] no item)");
  error = fail("token ops_token is bad");
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            R"(!resolving 1password secret "op://Eng/OpenAI/key": )");
  error = fail("no such program", Fault::gone);
  EXPECT_EQ(
      BuiltSource(kSource).get(outside),
      "!creating 1password client: 1Password service account support needs the \"op\" program "
      "in PATH");
  outside.program = [](const ProgramRun&) -> Result<Secret> { return Secret(); };
  EXPECT_EQ(BuiltSource(kSource).get(outside),
            R"(!1password secret "op://Eng/OpenAI/key" resolved to empty value)");
}

}  // namespace
}  // namespace iron::transforms

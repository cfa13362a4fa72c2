#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/transforms/rig.h"

namespace iron::transforms {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kSource = "source: {type: env, var: KEY}, ";

const std::string kWhenSent =
    R"(secrets[0]: require "when_sent" needs match_headers or match_query)";

struct ErrorCase {
  const char* transform;
  std::string config;
  std::string error;  ///< behind `initializing transform "NAME": `
};

std::string one_secret(const std::string& entry) { return "secrets: [{" + entry + "}]"; }

std::vector<ErrorCase> cases() {
  const std::string with_source = kSource + "replace: {proxy_value: t}, ";
  const std::string not_both =
      "secrets[0]: cannot use both top-level proxy_value/match_headers and ";
  return {
      {"allowlist", "cidrs: [1.2.3.4]", R"(parsing CIDR "1.2.3.4": invalid CIDR address: 1.2.3.4)"},
      {"allowlist", "rules: [{cidr: 1.2.3.4}]",
       R"(allowlist: rules[0]: parsing CIDR "1.2.3.4": invalid CIDR address: 1.2.3.4)"},
      {"allowlist", "rules: [{methods: [GET]}]",
       "allowlist: rules[0]: one of host or cidr is required"},
      {"allowlist", "rules: [{host: a}, {host: a, cidr: 10.0.0.0/8}]",
       "allowlist: rules[1]: host and cidr are mutually exclusive"},
      {"allowlist", "rules: [{host: a, paths: [x]}]",
       R"(allowlist: rules[0]: path "x" must start with /)"},
      {"allowlist", "\n\ndomains: foo",
       "parsing allowlist config: yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `foo` "
       "into []string"},
      {"allowlist", "quiet: \"\\0\"",
       std::string("parsing allowlist config: yaml: unmarshal errors:\n  line 1: cannot unmarshal "
                   "!!str `") +
           '\0' + "` into []string"},
      {"allowlist", "quiet: foo",
       "parsing allowlist config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `foo` "
       "into []string"},
      {"annotate", "{}", "annotate: at least one annotation group is required"},
      {"annotate", "annotations: [{headers: [X]}]",
       "annotate: annotations[0]: at least one rule is required"},
      {"annotate", "annotations: [{rules: [{host: a}]}]",
       "annotate: annotations[0]: at least one header is required"},
      {"annotate", "annotations: [{rules: [{}]}]",
       "annotate: annotations[0]: at least one header is required"},
      {"annotate", "annotations: [{rules: [{}], headers: [X]}]",
       "annotate annotations[0]: rules[0]: one of host or cidr is required"},
      {"annotate", "annotations: [{rules: 1, headers: [X]}]",
       "parsing annotate config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` "
       "into []config.Rule"},
      {"header_allowlist", "{}", "header_allowlist: at least one header is required"},
      {"header_allowlist", "headers: ['/(/']",
       "header_allowlist: invalid headers regex \"/(/\": error parsing regexp: missing closing ): "
       "`(?i)(`"},
      {"header_allowlist", "{headers: [A], rules: [{}]}",
       "header_allowlist: rules[0]: one of host or cidr is required"},
      {"body_capture", "rules: [{host: a, paths: [b]}]",
       R"(body_capture: rules[0]: path "b" must start with /)"},
      {"body_capture", "max_request_body_bytes: x",
       "parsing body_capture config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `x` "
       "into int64"},
      {"secrets", "secrets: {}",
       "parsing secrets config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into "
       "[]secrets.secretEntry"},
      {"secrets", one_secret(kSource), "secrets[0]: must specify either inject or replace"},
      {"secrets", one_secret(kSource + "match_body: true"),
       "secrets[0]: must specify either inject or replace"},
      {"secrets", one_secret("replace: , inject: "),
       "secrets[0]: must specify either inject or replace"},
      {"secrets", one_secret(with_source + "proxy_value: x"), not_both + "replace block"},
      {"secrets", one_secret("inject: {}, replace: {}, match_headers: [x]"),
       not_both + "replace block"},
      {"secrets", one_secret("inject: {}, match_headers: [x]"), not_both + "inject block"},
      {"secrets", one_secret("inject: {}, replace: {}"),
       "secrets[0]: cannot specify both inject and replace"},
      {"secrets", one_secret("inject: {}"),
       "secrets[0]: inject must specify either header or query_param"},
      {"secrets", one_secret("inject: {header: X, query_param: k}"),
       "secrets[0]: inject cannot specify both header and query_param"},
      {"secrets", one_secret("replace: {match_body: true}"),
       "secrets[0]: replace.proxy_value is required"},
      {"secrets", one_secret("match_headers: [X]"), "secrets[0]: proxy_value is required"},
      {"secrets", one_secret("replace: {proxy_value: t}, scrub_responses: yes"),
       R"(secrets[0]: scrub_responses must be "off", "on" or "block"; got "yes")"},
      {"secrets", one_secret(kSource + "inject: {header: X, require: when_sent}"), kWhenSent},
      {"secrets",
       one_secret(kSource +
                  "replace: {proxy_value: t, match_headers: [X], match_path: true, require: "
                  "when_sent}"),
       kWhenSent},
      {"secrets",
       one_secret(kSource +
                  "replace: {proxy_value: t, match_query: true, match_body: true, require: "
                  "when_sent}"),
       kWhenSent},
      {"secrets", one_secret("source: {}, proxy_value: t, match_body: true, require: when_sent"),
       kWhenSent},
      {"secrets", one_secret("\nreplace: {\nproxy_value: t, require: When_sent}"),
       "parsing secrets config: yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str "
       "`When_sent` into bool"},
      {"secrets", one_secret("inject: {header: X, require: \"on\\0\"}"),
       std::string("parsing secrets config: yaml: unmarshal errors:\n  line 1: cannot unmarshal "
                   "!!str `on") +
           '\0' + "` into bool"},
      {"secrets", one_secret("inject: {header: X, require: always_and_ever}"),
       "parsing secrets config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str "
       "`always_...` into bool"},
      {"secrets", one_secret("proxy_value: t, require: 1"),
       "parsing secrets config: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` "
       "into bool"},
      {"secrets", one_secret("replace: {proxy_value: t}"), "secrets[0]: source.type is required"},
      {"secrets", one_secret("replace: {proxy_value: t}, source: {var: X}"),
       "secrets[0]: source.type is required"},
      {"secrets", one_secret("replace: {proxy_value: t}, source: {type: vault}"),
       R"(secrets[0]: unsupported source type "vault")"},
      {"secrets", one_secret("replace: {proxy_value: t}, source: {type: aws_sm}"),
       R"(secrets[0]: aws_sm source requires "secret_id" field)"},
      {"secrets", one_secret("replace: {proxy_value: t}, source: {type: env}"),
       R"(secrets[0]: env source requires "var" field)"},
      {"secrets", one_secret("replace: {proxy_value: t}, source: {type: [a]}"),
       "secrets[0]: parsing source type: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq "
       "into string"},
      {"secrets",
       one_secret("replace: {proxy_value: t}, source: {type: env, var: KEY, json_key: [a]}"),
       "secrets[0]: parsing json_key: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq "
       "into string"},
      {"secrets", one_secret(with_source + "rules: [{}]"),
       "secrets[0]: rules[0]: one of host or cidr is required"},
      {"secrets", one_secret(kSource + "inject: {header: X, formatter: '{{ .Value'}"),
       "secrets[0]: parsing formatter template: template: secrets[0]:1: unclosed action"},
      {"secrets", one_secret(kSource + "inject: {header: X, formatter: '{{ range . }}{{ end }}'}"),
       R"(secrets[0]: parsing formatter template: template: secrets[0]:1: "range" is not supported)"},
      {"secrets", one_secret(kSource + "replace: {proxy_value: t, match_headers: ['/(/']}"),
       "secrets[0]: invalid match_headers regex \"/(/\": error parsing regexp: missing closing ): "
       "`(?i)(`"},
      {"secrets", "secrets: [null, {" + with_source + "}, {}]",
       "secrets[1]: must specify either inject or replace"},
      {"judge", "{}", ""},
  };
}

TEST(ConfigErrors, HaveTheirTexts) {
  for (const ErrorCase& at : cases()) {
    Rig rig(Env{{"KEY", "R"}});
    rig.with(at.transform, at.config);
    const std::string shown = std::string("\"") + at.transform + "\"";
    const std::string expected = at.error.empty()
                                     ? "transform " + shown + " is not supported by this build"
                                     : "initializing transform " + shown + ": " + at.error;
    EXPECT_EQ(rig.build_error(), expected) << at.config;
  }
}

TEST(ConfigErrors, UnknownTransforms) {
  EXPECT_EQ(Rig().with("nope", "{}").build_error(),
            R"(unknown transform "nope": unknown transform: "nope")");
  EXPECT_EQ(Rig().with("", "{}").build_error(), R"(unknown transform "": unknown transform: "")");
  EXPECT_EQ(
      Rig().with("allowlist", "{}").with("annotate", "{}").build_error(),
      R"(initializing transform "annotate": annotate: at least one annotation group is required)");
}

TEST(ConfigErrors, RegexFaultsReadAsBefore) {
  const std::pair<const char*, const char*> faults[] = {
      {"/[/", "missing closing ]: `[`"},
      {"/)/", "unexpected ): `(?i))`"},
      {"/a**/", "invalid nested repetition operator: `**`"},
      {"/*/", "missing argument to repetition operator: `*`"},
      {"/\\\\pX/", "invalid character class range: `\\pX`"},
      {"/(?P<n/", "invalid named capture: `(?P<n`"}};
  for (const auto& [regex, fault] : faults) {
    const std::string error =
        Rig().with("header_allowlist", "headers: [\"" + std::string(regex) + "\"]").build_error();
    EXPECT_THAT(error, ::testing::HasSubstr("error parsing regexp: ")) << error;
    EXPECT_THAT(error, ::testing::EndsWith(fault)) << regex;
  }
}

TEST(ConfigWarnings, UnknownKeysAndUselessPatternsAreNamed) {
  Rig rig(Env{{"KEY", "R"}});
  rig.with("allowlist",
           "domains: [a.test,\n 'https://b.test', 'b.test:443', '[x']\nwarm: true\nquiet: [c.test, "
           "'[y']")
      .with("secrets",
            "secrets:\n- source: {type: env, var: KEY, ttl: 1s}\n  require: true\n  replace:\n    "
            "proxy_value: t\n"
            "    requird: true\n  rules: [{host: 'c.test/x'}]");
  EXPECT_EQ(rig.build_error(), "");
  std::vector<std::string> found;
  for (const policy::ConfigWarning& warning : rig.warnings) {
    if (warning.message == "risky setting") continue;
    std::string line = warning.message;
    for (const auto& attribute : warning.attributes)
      line += " " + attribute.name + "=" + attribute.text;
    found.push_back(line);
  }
  EXPECT_THAT(
      found,
      ::testing::UnorderedElementsAre(
          "transform config key ignored file=proxy.yaml line=3 key=transforms[0].config.warm",
          "pattern never matches file=proxy.yaml line=2 key=transforms[0].config.domains[1] "
          "pattern=https://b.test",
          "pattern never matches file=proxy.yaml line=2 key=transforms[0].config.domains[2] "
          "pattern=b.test:443",
          "pattern never matches file=proxy.yaml line=2 key=transforms[0].config.domains[3] "
          "pattern=[x",
          "pattern never matches file=proxy.yaml line=4 key=transforms[0].config.quiet[1] "
          "pattern=[y",
          "transform config key ignored file=proxy.yaml line=2 "
          "key=transforms[1].config.secrets[0].source.ttl",
          "transform config key ignored file=proxy.yaml line=3 "
          "key=transforms[1].config.secrets[0].require",
          "transform config key ignored file=proxy.yaml line=6 "
          "key=transforms[1].config.secrets[0].replace.requird",
          "pattern never matches file=proxy.yaml line=7 "
          "key=transforms[1].config.secrets[0].rules[0].host "
          "pattern=c.test/x"));
}

TEST(ConfigWarnings, RisksNameTheirKeysOncePerReason) {
  unsetenv("NONE");
  Rig rig(Env{{"KEY", "two\nlines"}});
  const std::string sources = "source: {type: env, var: KEY}, ";
  rig.with("allowlist", "{domains: ['*.a.test', b.test], cidrs: [10.0.0.0/8], warn: true}")
      .secrets(
          "[{" + sources +
          "replace: {proxy_value: short}, rules: [{host: x.a.test}, {host: '*'}]}, {" +
          "source: {type: env, var: NONE}, require_tls: true, "
          "replace: {proxy_value: short-but-in-another, match_headers: [X], match_body: true}, "
          "rules: [{host: '*.a.test'}, {host: '*.b.test'}, {cidr: 10.1.0.0/16}, {host: "
          "'*x.a.test'}]}, {" +
          sources + "inject: {header: X}, rules: [{host: b.test}, {host: 10.0.0.1}]}]");
  const std::string at = "transforms[1].config.secrets";
  EXPECT_THAT(
      rig.risks(),
      ::testing::UnorderedElementsAre(
          "transforms[0].config.warn: warn lets every request pass, matched or not",
          at + "[0].require_tls: the key may travel in clear text; require_tls prevents it (2)",
          at + "[0].replace.match_headers: without match_headers the key is put into any header",
          at + "[0].replace.proxy_value: the token is shorter than 16 characters",
          at + "[0].replace.proxy_value: the token is part of another token",
          at + "[0].rules[1].host: the pattern * gives the key to every host",
          at + "[0].source.var, " + at +
              "[2].source.var: the value holds a line break or NUL, which no header field can "
              "carry",
          at + "[1].source.var: the variable is unset or empty",
          at + "[1].replace.match_body: a key put into a body can be stored by the host and read "
               "back",
          at + "[0].rules[1], " + at +
              "[1].rules[1]: the rule names hosts that the allowlist does not admit"));
}

TEST(ConfigWarnings, NoneForACarefulConfiguration) {
  Rig rig(Env{{"KEY", "value"}});
  rig.with("allowlist", "domains: [a.test]")
      .secrets(
          "[{source: {type: env, var: KEY}, require_tls: true, replace: {proxy_value: "
          "sixteen-letters-, "
          "match_headers: [X]}, rules: [{host: a.test}]}]");
  EXPECT_EQ(rig.build_error(), "");
  EXPECT_THAT(rig.warnings, IsEmpty());
}

}  // namespace
}  // namespace iron::transforms

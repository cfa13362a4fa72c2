#include "policy/match/rules.h"

#include <gtest/gtest.h>

#include "policy/config_error.h"

namespace iron::policy {
namespace {

struct HostRow {
  const char* pattern;
  const char* host;  // folded
  bool matches;
};

TEST(HostPattern, Matches) {
  const HostRow cases[] = {
      {"*", "up.test", true},
      {"*", "", true},
      {"up.test", "up.test", true},
      {"UP.Test.", "up.test", true},
      {"up.test", "x.up.test", false},
      {"up.test", "up.testx", false},
      {"*.example.com", "example.com", true},
      {"*.example.com", "a.example.com", true},
      {"*.example.com", "a.b.example.com", true},
      {"*.example.com", ".example.com", true},
      {"*.example.com", "notexample.com", false},
      {"*.example.com", "example.com.evil", false},
      {"*.Example.com.", "a.example.com", true},
      {"*.ex*.com", "a.example.com", false},
      {"*.ex*.com", "a.ex*.com", true},
      {"*foo.up.test", "a.b.foo.up.test", true},
      {"z.*.up.test", "z.a.b.up.test", true},
      {"x*.up.test", "x.y.up.test", true},
      {"[A-C].test", "b.test", true},
      {"[^a].test", "a.test", false},
      {"[a", "a", false},
      {"a\\", "a\\", false},
      {"a\\.", "a", true},
      {"*.", "", true},
      {"*.", "up.test", false},
      {"*..", "up.test", false},
      {"::1", "::1", true},
      {"[::1]", "::1", true},
      {"[::1]", "1", false},
      {"[2001:DB8::1]", "2001:db8::1", true},
      {"up.test:80", "up.test", false},
      {"https://up.test", "up.test", false},
      {"up.test/x", "up.test", false},
      {"127.0.0.1", "127.0.0.1", true},
      {"127.0.0.*", "127.0.0.9", true},
      {"", "", true},
      {"", "a", false},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(HostPattern(row.pattern).matches(row.host), row.matches)
        << row.pattern << " on " << row.host;
  }
}

TEST(HostPattern, Useless) {
  for (const char* bad : {"[a", "a\\", "https://a.com", "a.com/x", "a.com:443", "*.a.com:80",
                          "*:443", "[::1]:443", "a*.com:*", "*.a.com/", "127.0.0.1:80"}) {
    EXPECT_TRUE(HostPattern(bad).useless()) << bad;
  }
  for (const char* good : {"*", "*.a.com", "a.com", "[a].com", "::1", "[::1]", "2001:db8::80",
                           "a?.com", "127.0.0.1", "[a:].com"}) {
    EXPECT_FALSE(HostPattern(good).useless()) << good;
  }
}

TEST(HostPattern, Kinds) {
  EXPECT_EQ(HostPattern("*").kind(), HostPattern::Kind::any);
  EXPECT_EQ(HostPattern("*.A.com").kind(), HostPattern::Kind::suffix);
  EXPECT_EQ(HostPattern("*.A.com").text(), "a.com");
  EXPECT_EQ(HostPattern("A.com.").kind(), HostPattern::Kind::exact);
  EXPECT_EQ(HostPattern("A.com.").text(), "a.com");
  EXPECT_EQ(HostPattern("a*.com").kind(), HostPattern::Kind::glob);
}

struct PathRow {
  const char* pattern;
  const char* path;
  const char* kept;  // null: none
  bool matches;
};

TEST(PathMatches, DecodedAndKept) {
  const PathRow cases[] = {
      {"/v1/*", "/v1", nullptr, true},
      {"/v1/*", "/v1/", nullptr, true},
      {"/v1/*", "/v1/a/b", nullptr, true},
      {"/v1/*", "/v1x", nullptr, false},
      {"/v1/*", "//v1/a", nullptr, false},
      {"/v1/*", "/V1/a", nullptr, false},
      {"/v1/*", "", nullptr, false},
      {"/*", "", nullptr, true},
      {"/*", "/", nullptr, true},
      {"/*", "/a/b", nullptr, true},
      {"/*", "*", nullptr, false},
      {"/a*/*", "/a*/x", nullptr, true},
      {"/a*/*", "/ab/x", nullptr, false},
      {"/[a/*", "/[a/x", nullptr, true},
      {"/f*g", "/fXXg", nullptr, true},
      {"/f*g", "/fX/Xg", nullptr, false},
      {"/a", "/a", nullptr, true},
      {"/a", "/a/", nullptr, false},
      {"/a/", "/a", nullptr, false},
      {"/[a", "/[a", nullptr, false},
      {"/v1/*", "/v1/a/b", "/v1/a%2Fb", true},
      {"/v1/*", "/v1/a", "/v1%2Fa", false},
      {"/v1/?", "/v1/\\", "/v1/%5C", false},
      {"/v1/*/x", "/v1/a/b/x", "/v1/a%2Fb/x", false},
      {"/v1/a%2Fb", "/v1/a/b", "/v1/a%2Fb", false},
  };
  for (const auto& row : cases) {
    Subject subject;
    subject.path = row.path;
    if (row.kept != nullptr) subject.path_kept = row.kept;
    EXPECT_EQ(Rule({.host = {}, .cidr = {}, .methods = {}, .paths = {row.pattern}}).admits(subject),
              row.matches)
        << row.pattern << " on " << row.path;
  }
}

struct ReadingsRow {
  std::vector<std::string> patterns;
  const char* path;
  const char* kept;  // null: none, as below
  const char* reduced;
  const char* kept_reduced;
  bool admits, concerns;
};

TEST(RulePaths, AdmitOnEveryReadingAndConcernOnAny) {
  const ReadingsRow cases[] = {
      {{}, "/./a", nullptr, "/a", nullptr, true, true},
      {{"/a/*"}, "/a/./b", nullptr, "/a/b", nullptr, true, true},
      {{"/a/*"}, "/./a/b", nullptr, "/a/b", nullptr, false, true},
      {{"/./*"}, "/./a/b", nullptr, "/a/b", nullptr, false, true},
      {{"/b"}, "/./a", nullptr, "/a", nullptr, false, false},
      {{"/./a", "/a"}, "/./a", nullptr, "/a", nullptr, true, true},
      {{"/v1/*"}, "/v1/a", "/v1%2Fa", nullptr, nullptr, false, true},
      {{"/v1%2Fa"}, "/v1/a", "/v1%2Fa", nullptr, nullptr, false, true},
      // With the separators one pattern has to match both ways.
      {{"/v1/a", "/v1%2Fa"}, "/v1/a", "/v1%2Fa", nullptr, nullptr, false, true},
      {{"/v1/*"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", true, true},
      {{"/v1/*"}, "/./v1/a/b", "/./v1/a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
      {{"/v1/?"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, false},
      {{"/v1/a%2Fb"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
      {{"/v1/./a%2Fb"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
      {{"/v1/./a/b"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
      {{"/v1/a/b"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
      {{"/v1/./*", "/v1/a/*"}, "/v1/./a/b", "/v1/./a%2Fb", "/v1/a/b", "/v1/a%2Fb", false, true},
  };
  for (const auto& row : cases) {
    Subject subject;
    subject.path = row.path;
    if (row.kept != nullptr) subject.path_kept = row.kept;
    if (row.reduced != nullptr) subject.path_reduced = row.reduced;
    if (row.kept_reduced != nullptr) subject.path_kept_reduced = row.kept_reduced;
    const Rule rule{.host = {}, .cidr = {}, .methods = {}, .paths = row.patterns};
    const std::string shown = row.patterns.empty() ? "any" : row.patterns[0];
    EXPECT_EQ(rule.admits(subject), row.admits) << shown << " on " << row.path;
    EXPECT_EQ(rule.concerns(subject), row.concerns) << shown << " on " << row.path;
  }
  Subject subject;
  subject.method = "GET";
  const Rule posts{.host = {}, .cidr = {}, .methods = {"POST"}, .paths = {}};
  EXPECT_FALSE(posts.admits(subject));
  EXPECT_FALSE(posts.concerns(subject));
}

TEST(RuleCidr, Parses) {
  const std::pair<const char*, const char*> cases[] = {
      {"10.1.2.3/8", "10.0.0.0/8"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"::1/128", "::1/128"},
      {"2001:db8::1/32", "2001:db8::/32"},
      {"::ffff:127.0.0.0/104", "127.0.0.0/8"},
      {"::ffff:0:0/96", "0.0.0.0/0"},
      {"10.0.0.0/08", "10.0.0.0/8"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(parse_rule_cidr(text).text(), want) << text;
}

TEST(RuleCidr, Refuses) {
  for (const char* text :
       {"1.2.3.4", "", "/", "/8", "1.2.3.4/", "1.2.3.4/33", "::/129", " 10.0.0.0/8", "10.0.0.0/8 ",
        "010.0.0.0/8", "10.0.0.0/-1", "10.0.0.0/+1", "nope", "fe80::1%lo/64", "10.0.0.0/8/8",
        "10.0.0.0/99999999999999999999"}) {
    try {
      parse_rule_cidr(text);
      ADD_FAILURE() << text;
    } catch (const ConfigError& error) {
      const std::string t = text;
      EXPECT_EQ(error.what(), "parsing CIDR \"" + t + "\": invalid CIDR address: " + t);
    }
  }
}

/// Everything that reading a block `{rules: …}` brings forth.
struct ReadRules {
  std::vector<Rule> rules;
  std::vector<ConfigWarning> warnings;
  std::string error;
};

ReadRules read_rules(const std::string& yaml) {
  ReadRules read;
  YamlErrors errors;
  const BlockReader::Context context{&errors, UnknownKeys::are_warnings, &read.warnings, "f.yaml"};
  const auto node = parse_yaml(yaml);
  BlockReader block(node.get(), "t.Config", "transforms[0].config", context);
  const RuleReader reader(block, "rules", context);
  block.finish();
  if (!errors.empty()) {
    read.error = errors.text();
    return read;
  }
  try {
    read.rules = reader.build("allowlist");
  } catch (const ConfigError& error) {
    read.error = error.what();
  }
  return read;
}

TEST(RuleReader, Errors) {
  const std::pair<const char*, const char*> cases[] = {
      {"rules: [{host: a, cidr: 1.2.3.4/8}]",
       "allowlist: rules[0]: host and cidr are mutually exclusive"},
      {"rules: [{host: a}, {}]", "allowlist: rules[1]: one of host or cidr is required"},
      {"rules: [{host: ''}]", "allowlist: rules[0]: one of host or cidr is required"},
      {"rules: [null, {methods: [GET]}]", "allowlist: rules[0]: one of host or cidr is required"},
      {"rules: [{cidr: 1.2.3.4}]",
       "allowlist: rules[0]: parsing CIDR \"1.2.3.4\": invalid CIDR address: 1.2.3.4"},
      {"rules: [{cidr: nope, paths: [x]}]",
       "allowlist: rules[0]: parsing CIDR \"nope\": invalid CIDR address: nope"},
      {"rules: [{host: a, paths: [/a, x]}]", "allowlist: rules[0]: path \"x\" must start with /"},
      {"rules: [{host: a, paths: ['']}]", "allowlist: rules[0]: path \"\" must start with /"},
      {"rules: [{host: '[a', methods: [x], paths: ['/[a', /a]}]", ""},
      {"rules: []", ""},
      {"rules: null", ""},
      {"{}", ""},
  };
  for (const auto& [yaml, want] : cases) EXPECT_EQ(read_rules(yaml).error, want) << yaml;
}

TEST(RuleReader, ReportsYamlTypes) {
  const auto read = read_rules("rules:\n  - host: a\n    methods: foo\n");
  EXPECT_TRUE(read.error.starts_with(
      "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `foo` into "))
      << read.error;
}

struct MatchRow {
  const char* yaml;  // one rule
  const char* host;
  const char* method;
  const char* path;
  bool matches;
};

TEST(Rule, Matches) {
  const MatchRow cases[] = {
      {"{host: a}", "a", "GET", "/", true},
      {"{host: a}", "b", "GET", "/", false},
      {"{host: a, methods: [get]}", "a", "GET", "/", true},
      {"{host: a, methods: [get]}", "a", "get", "/", false},
      {"{host: a, methods: []}", "a", "get", "/", true},
      {"{host: a, methods: ['*']}", "a", "get", "/", true},
      {"{host: a, methods: ['*', null]}", "a", "get", "/", true},
      {"{host: a, methods: ['*', GET]}", "a", "GET", "/", true},
      {"{host: a, methods: ['*', GET]}", "a", "POST", "/", false},
      {"{host: a, methods: ['*', GET]}", "a", "*", "/", true},
      {"{host: a, methods: [GET]}", "a", "CONNECT", "", false},
      {"{host: a, methods: [connect]}", "a", "CONNECT", "", true},
      {"{host: a, methods: [GET]}", "a", "", "", false},
      {"{host: a, paths: ['/*']}", "a", "CONNECT", "", true},
      {"{host: a, paths: ['/x', '/y/*']}", "a", "GET", "/y/z", true},
      {"{host: a, paths: ['/x', '/y/*']}", "a", "GET", "/z", false},
      {"{host: a, methods: [GET], paths: [/x]}", "a", "POST", "/x", false},
      {"{cidr: 127.0.0.0/8}", "127.0.0.1", "GET", "/", true},
      {"{cidr: 127.0.0.0/8}", "::ffff:127.0.0.1", "GET", "/", true},
      {"{host: 127.0.0.1}", "::ffff:127.0.0.1", "GET", "/", false},
      {"{host: '::ffff:127.0.0.1'}", "::ffff:127.0.0.1", "GET", "/", true},
      {"{cidr: '::ffff:127.0.0.0/104'}", "127.0.0.1", "GET", "/", true},
      {"{cidr: 0.0.0.0/0}", "::1", "GET", "/", false},
      {"{cidr: 0.0.0.0/0}", "up.test", "GET", "/", false},
      {"{cidr: 127.0.0.0/8, methods: [GET]}", "127.0.0.1", "POST", "/", false},
  };
  for (const auto& row : cases) {
    const auto read = read_rules("rules: [" + std::string(row.yaml) + "]");
    ASSERT_EQ(read.rules.size(), 1U) << row.yaml << read.error;
    Subject subject;
    subject.host = row.host;
    subject.literal = IpAddress::parse(row.host);
    subject.method = row.method;
    subject.path = row.path;
    const Rule& rule = read.rules[0];
    EXPECT_EQ(rule.matches_host(subject) && rule.admits(subject), row.matches)
        << row.yaml << " " << row.method << " " << row.path;
  }
}

std::string shown(const ConfigWarning& warning) {
  std::string text = warning.message;
  for (const auto& attribute : warning.attributes) {
    text += " " + attribute.name + "=" + attribute.text;
    EXPECT_EQ(attribute.is_number, attribute.name == "line");
  }
  return text;
}

TEST(RuleReader, WarnsOfPatternsThatNeverMatch) {
  const auto read = read_rules(
      "rules:\n"
      "  - host: https://a.com\n"
      "    paths:\n"
      "      - /fine\n"
      "      - '/[a'\n"
      "      - '/[a/*'\n"
      "  - cidr: 10.0.0.0/8\n"
      "  - host: '[a'\n"
      "  - host: '[^a/]x'\n"
      "  - host: a.com\n"
      "    methods: ['*', GET]\n"
      "  - host: a.com\n"
      "    methods: ['*']\n");
  ASSERT_EQ(read.error, "");
  std::vector<std::string> texts;
  for (const auto& warning : read.warnings) texts.push_back(shown(warning));
  const std::vector<std::string> want = {
      "pattern never matches file=f.yaml line=2 key=transforms[0].config.rules[0].host "
      "pattern=https://a.com",
      "pattern never matches file=f.yaml line=5 key=transforms[0].config.rules[0].paths[1] "
      "pattern=/[a",
      "pattern never matches file=f.yaml line=8 key=transforms[0].config.rules[2].host pattern=[a",
      "pattern never matches file=f.yaml line=11 key=transforms[0].config.rules[4].methods[0] "
      "pattern=*",
  };
  EXPECT_EQ(texts, want);
}

}  // namespace
}  // namespace iron::policy

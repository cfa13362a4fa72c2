#include "transforms/scrub/scrub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "policy/hex.h"
#include "tests/transforms/rig.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The values of a set and what keeps them alive.
class Values {
 public:
  Values& add(std::string_view value,
              std::string_view token = "<token>",
              ScrubResponses mode = ScrubResponses::on) {
    const Secret& kept = *values_.emplace_back(std::make_unique<Secret>(Secret::copy_of(value)));
    set_.add(*forms_.emplace_back(std::make_unique<ScrubForms>(kept)), token, mode);
    return *this;
  }
  Values& add(ScrubForms forms, std::string_view token = "<token>") {
    set_.add(*forms_.emplace_back(std::make_unique<ScrubForms>(std::move(forms))), token,
             ScrubResponses::on);
    return *this;
  }
  const ScrubSet& set() {
    set_.seal();
    return set_;
  }

 private:
  std::vector<std::unique_ptr<Secret>> values_;
  std::vector<std::unique_ptr<ScrubForms>> forms_;
  ScrubSet set_;
};

std::string filtered(const ScrubSet& set, const std::vector<std::string_view>& pieces) {
  ScrubFilter filter(set);
  std::string out;
  for (const std::string_view piece : pieces) {
    EXPECT_TRUE(filter.feed(piece, out));
    EXPECT_LE(filter.kept_back() + 1, std::max<std::size_t>(set.longest(), 1));
  }
  filter.finish(out);
  EXPECT_EQ(filter.kept_back(), 0U);
  return out;
}

/// In one piece, cut at every place, and byte by byte: always the same.
std::string filtered(const ScrubSet& set, std::string_view text) {
  const std::string whole = filtered(set, std::vector{text});
  std::vector<std::string_view> bytes;
  for (std::size_t at = 0; at < text.size(); ++at) {
    EXPECT_EQ(filtered(set, {text.substr(0, at), text.substr(at)}), whole) << at;
    bytes.push_back(text.substr(at, 1));
  }
  EXPECT_EQ(filtered(set, bytes), whole);
  return whole;
}

std::string base64(std::string_view bytes) {
  std::string out(Base64Writer::length(bytes.size()), '\0');
  Base64Writer writer(out.data());
  writer.feed(bytes);
  writer.finish();
  return out;
}

std::string url_alphabet(std::string text) {
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

struct Case {
  const char* name;
  std::string value;
  std::string text;
  std::string result;
};

TEST(ScrubFilter, FindsEveryForm) {
  const std::string key = "sk-7f/\"q+ \\9";
  for (const Case& at : {
           Case{"verbatim", key, "a" + key + "b", "a<token>b"},
           Case{"twice", key, key + key, "<token><token>"},
           Case{"percent, upper", key, "=sk-7f%2F%22q%2B%20%5C9&", "=%3Ctoken%3E&"},
           Case{"percent, lower", key, "=sk-7f%2f%22q%2b%20%5c9&", "=%3Ctoken%3E&"},
           Case{"form", key, "=sk-7f%2F%22q%2B+%5C9&", "=%3Ctoken%3E&"},
           Case{"every byte", "sk-1", "%73%6b%2D%31", "%3Ctoken%3E"},
           Case{"JSON", key, R"({"k":"sk-7f/\"q+ \\9"})", R"({"k":"<token>"})"},
           Case{"JSON, solidus", key, R"({"k":"sk-7f\/\"q+ \\9"})", R"({"k":"<token>"})"},
           Case{"JSON, by number", key, R"("sk-7f\u002f\u0022q\u002B\u0020\u005C9")",
                R"("<token>")"},
           Case{"JSON of controls", "a\b\f\n\r\tz", R"(a\b\f\n\r\tz)", "<token>"},
           Case{"JSON, code points", "k\xc3\xa9\xf0\x9f\x98\x80z", R"(k\u00e9\ud83d\uDE00z)",
                "<token>"},
           Case{"JSON, Latin-1", "k\xc3\xa9z", R"(k\u00c3\u00A9z)", "<token>"},
           Case{"mixed", key, R"(sk%2d7f\/%22q\u002b+\\%39)", "%3Ctoken%3E"},
           Case{"hex, lower", "sk-9\xff", "x736b2d39ffx", "x3c746f6b656e3ex"},
           Case{"hex, upper", "sk-9\xff", "x736B2D39FFx", "x3C746F6B656E3Ex"},
           Case{"hex, mixed", "sk-9\xff", "x736B2d39ffx", "x3c746f6b656e3ex"},
           Case{"hex, digits alone", "9999", "x39393939x", "x3c746f6b656e3ex"},
           Case{"broken escape", "sk-1", "%73%6b%2g%31 %7", "%73%6b%2g%31 %7"},
           Case{"capital U", "sk-1", R"(\U0073k-1)", R"(\U0073k-1)"},
           Case{"other case", "sk-1", "SK-1", "SK-1"},
           Case{"part", key, key.substr(0, 11), key.substr(0, 11)},
           Case{"percent in the value", "a%41b%", "a%41b% a%2541b%25 aAb%",
                "<token> %3Ctoken%3E aAb%"},
           Case{"false start", "aaab", "aaaaab", "aa<token>"},
           Case{"one byte", "!", "a!b", "a<token>b"},
           Case{"one byte has no hex form", "!", "21", "21"},
       }) {
    Values values;
    values.add(at.value);
    EXPECT_EQ(filtered(values.set(), at.text), at.result) << at.name;
  }
}

std::string decoded_base64(std::string text) {
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  text.append((4 - text.size() % 4) % 4, '=');
  std::string out;
  EXPECT_TRUE(decode_base64(text, out)) << text;
  return out;
}

TEST(ScrubFilter, CodesAnewTheBase64AroundAValue) {
  const std::string key("sk-\xfb\xef\xbe\xff\xff-real-7f3b", 17);
  for (std::size_t size = 4; size <= key.size(); ++size) {
    const std::string value = key.substr(key.size() - size);
    for (const std::string token : {"~tok?", "~token", "~token>"}) {
      Values values;
      values.add(value, token);
      const ScrubSet& set = values.set();
      for (const std::string before : {"", "u", "us", "use", "user:"}) {
        for (const std::string after : {"", "1", "12", "123", "123456789"}) {
          const std::string plain = base64(before + value + after);
          const std::string wanted = before + token + after;
          EXPECT_EQ(filtered(set, "<" + plain + ">"), "<" + base64(wanted) + ">");
          EXPECT_EQ(decoded_base64(filtered(set, url_alphabet(plain))), wanted) << plain;
          const std::string bare = plain.substr(0, plain.find('='));
          EXPECT_EQ(decoded_base64(filtered(set, bare)), wanted) << plain;
          std::string escaped;
          for (const char c : plain) {
            escaped += c == '+' ? "%2B" : c == '/' ? "%2f" : c == '=' ? "%3D" : std::string(1, c);
          }
          EXPECT_THAT(filtered(set, escaped + "%20"), ::testing::EndsWith("%20"));
          std::string json;
          for (const char c : plain) json += c == '/' ? "\\/" : std::string(1, c);
          std::string result = filtered(set, "\"" + json + "\"");
          std::erase(result, '\\');
          EXPECT_EQ(result, "\"" + base64(wanted) + "\"") << json;
        }
      }
    }
  }
}

TEST(ScrubFilter, EndsABase64TextWhereItEnds) {
  struct Case {
    const char *text, *result;
  };
  Values values;
  values.add("sk-real-1", "<token>");
  const ScrubSet& set = values.set();
  // c2stcmVhbC0x is the value; PHRva2VuPg== the token.
  for (const Case& at : {
           Case{"c2stcmVhbC0x", "PHRva2VuPg=="},
           Case{"c2stcmVhbC0xx", "PHRva2VuPsQ"},
           Case{"c2stcmVhbC0x==x", "PHRva2VuPg==x"},
           Case{"c2stcmVhbC0x.c2stcmVhbC0x", "PHRva2VuPg==.PHRva2VuPg=="},
           Case{"c2stcmVhbC0xc2stcmVhbC0x", "PHRva2VuPjx0b2tlbj4="},
           Case{"c2stcmVhbC0xOg%3d%3dx", "PHRva2VuPjo%3Dx"},
           Case{"c2stcmVhbC0x%3", "PHRva2VuPg==%3"},
           Case{R"(c2stcmVhbC0x\)", R"(PHRva2VuPg==\)"},
           Case{R"(c2stcmVhbC0x\u00)", R"(PHRva2VuPg==\u00)"},
           Case{R"(c2stcmVhbC0x\n)", R"(PHRva2VuPg==\n)"},
           Case{R"(c2stcmVhbC0x\u0022)", R"(PHRva2VuPg==\u0022)"},
           Case{"c2stcmVhbC0x sk-real-1", "PHRva2VuPg== <token>"},
       }) {
    EXPECT_EQ(filtered(set, at.text), at.result) << at.text;
  }
}

TEST(ScrubFilter, WritesTheTokenInTheCodeOfTheValue) {
  const std::string value = "s\"k/\\ \xc3\xa9", token = "a\"b\\c/d e+%~";
  Values values;
  values.add(value, token);
  const ScrubSet& set = values.set();
  EXPECT_EQ(filtered(set, value), token);
  EXPECT_EQ(filtered(set, R"("s\"k/\\ é")"), R"("a\"b\\c/d e+%~")");
  EXPECT_EQ(filtered(set, R"("s\u0022k\/\\ \u00e9")"), R"("a\"b\\c/d e+%~")");
  EXPECT_EQ(filtered(set, "s%22k/%5c+%C3%A9"), "a%22b%5Cc%2Fd%20e%2B%25~");
  EXPECT_EQ(filtered(set, "73226b2f5c20c3a9"),
            "612262"
            "5c632f6420652b257e");
}

TEST(ScrubFilter, ReplacesTheBasicPayloadAsAWhole) {
  const std::string payload = base64("user:sk-1");
  Values values;
  values.add("sk-1").add(ScrubForms::basic(Secret::copy_of(payload)), "user:<token>");
  EXPECT_EQ(filtered(values.set(), "Basic " + payload + ";"),
            "Basic " + base64("user:<token>") + ";");
  Values short_values;
  short_values.add("k").add(ScrubForms::basic(Secret::copy_of(base64("u:k"))), "u:<token>");
  EXPECT_EQ(filtered(short_values.set(), "Basic " + base64("u:k")), "Basic " + base64("u:<token>"));
}

TEST(ScrubFilter, KnowsWhatAFormatterMade) {
  const Secret value = Secret::copy_of("sk-real-1");
  const std::string payload = base64("u:sk-real-1"), changed = base64("u:SK REAL");
  const Secret basic = Secret::copy_of("Basic " + payload);
  const Secret other_basic = Secret::copy_of("Basic " + changed);
  const Secret bearer = Secret::copy_of("Bearer sk-real-1");
  const Secret other = Secret::copy_of("SK_REAL_1");
  Values values;
  values.add(ScrubForms(value, basic))
      .add(ScrubForms(value, other))
      .add(ScrubForms(value, other_basic));
  EXPECT_EQ(filtered(values.set(), "Basic " + payload), "Basic " + base64("u:<token>"));
  EXPECT_EQ(filtered(values.set(), "SK_REAL_1 sk-real-1"), "<token> <token>");
  Values made;
  made.add(ScrubForms(value, other_basic));
  EXPECT_EQ(filtered(made.set(), "Basic " + changed), "Basic " + base64("<token>"));
  EXPECT_EQ(ScrubForms(value, bearer).all().size(), ScrubForms(value).all().size());
  EXPECT_EQ(ScrubForms(value, basic).all().size(), ScrubForms(value).all().size());
}

TEST(ScrubFilter, OverlappingValuesAreReplacedAsOne) {
  Values values;
  values.add("abcdef", "<1>").add("abc", "<2>").add("cd", "<3>").add("efgh", "<4>");
  const ScrubSet& set = values.set();
  for (const auto& [text, result] : std::vector<std::pair<std::string, std::string>>{
           {"abcdef", "<1>"},
           {"abcdeX", "<2>eX"},
           {"abcX", "<2>X"},
           {"abX cd", "abX <3>"},
           {"abcdefgh", "<1>"},
           {"abcdefgX", "<1>gX"},
           {"cdefgh", "<3><4>"},
           {"abcabcdefcd", "<2><1><3>"},
       }) {
    EXPECT_EQ(filtered(set, text), result) << text;
  }
}

/// Two backslashes can be spelled in three in two ways. That no two partial matches are alike keeps
/// them few: else each such place of a key would double them.
TEST(ScrubFilter, AmbiguousSpellingsDoNotMultiply) {
  std::string key, spelled;
  for (int i = 0; i < 22; ++i) {
    key += R"(\\n)";
    spelled += R"(\\\n)";
  }
  Values values;
  values.add(key);
  ScrubFilter filter(values.set());
  std::string out;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(filter.feed(spelled, out));
  filter.finish(out);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(out, "<token>");
}

TEST(ScrubFilter, KeepsBackOnlyWhatMayBecomeAValue) {
  Values values;
  values.add("sk-real-1");
  ScrubFilter filter(values.set());
  std::string out;
  EXPECT_TRUE(filter.feed("data: x\n\n", out));
  EXPECT_EQ(out, "data: x\n\n");
  EXPECT_TRUE(filter.feed("data: sk-re", out));
  EXPECT_EQ(out, "data: x\n\ndata: ");
  EXPECT_EQ(filter.kept_back(), 5U);
  EXPECT_TRUE(filter.feed("\n\n", out));
  EXPECT_EQ(out, "data: x\n\ndata: sk-re\n\n");
  EXPECT_FALSE(filter.hit());
  EXPECT_TRUE(filter.feed("%7", out));
  filter.restart();
  EXPECT_EQ(filter.kept_back(), 0U);
  out.clear();
  EXPECT_TRUE(filter.feed("3k-real-1\n", out));
  EXPECT_EQ(out, "3k-real-1\n");
}

TEST(ScrubFilter, BlockEndsTheStream) {
  Values values;
  values.add("sk-real-1", "<token>", ScrubResponses::block).add("other", "<other>");
  EXPECT_TRUE(values.set().replaces());
  ScrubFilter filter(values.set());
  std::string out;
  EXPECT_TRUE(filter.feed("an other sk-re", out));
  EXPECT_FALSE(filter.blocked());
  EXPECT_FALSE(filter.feed("al-1 and more", out));
  EXPECT_TRUE(filter.blocked());
  EXPECT_FALSE(filter.feed("more", out));
  filter.finish(out);
  EXPECT_EQ(out, "an <other> ");
  Values blocking;
  blocking.add("sk-real-1", "<token>", ScrubResponses::block);
  EXPECT_FALSE(blocking.set().replaces());
}

TEST(ScrubSet, OneValueInTwoEntries) {
  Values values;
  values.add("sk-real-1", "<a>").add("sk-real-1", "<b>");
  EXPECT_EQ(filtered(values.set(), "sk-real-1"), "<a>");
  Values strict;
  strict.add("sk-real-1", "<a>").add("sk-real-1", "<b>", ScrubResponses::block);
  ScrubFilter filter(strict.set());
  std::string out;
  EXPECT_FALSE(filter.feed("sk-real-1", out));
}

TEST(ScrubSet, TokensThatCanNotStandInAField) {
  for (const char* token : {"", "a\r\nb"}) {
    Values values;
    values.add("sk-real-1", token);
    EXPECT_EQ(filtered(values.set(), "x sk-real-1"), "x [redacted]");
  }
  Values none;
  none.add("");
  EXPECT_TRUE(none.set().empty());
  EXPECT_EQ(filtered(none.set(), "anything"), "anything");
}

/// Random streams over few letters, so that partial matches abound; a full decoding of what is left
/// must not show the value either.
TEST(ScrubFilter, LeavesNoFormOfAValue) {
  std::mt19937 random(11);
  const auto text_of = [&](std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += "ab%61"[random() % 5];
    return text;
  };
  for (int round = 0; round < 400; ++round) {
    const std::string value = text_of(1 + random() % 3);
    Values values;
    values.add(value, "~");
    std::string text = text_of(40);
    if (random() % 2 == 0) text.insert(random() % text.size(), value);
    const std::string result = filtered(values.set(), text);
    EXPECT_THAT(result, Not(HasSubstr(value))) << value << " in " << text;
    std::string decoded;
    for (std::size_t at = 0; at < result.size(); ++at) {
      const bool escape = result[at] == '%' && at + 2 < result.size() &&
                          policy::hex_value(result[at + 1]) >= 0 &&
                          policy::hex_value(result[at + 2]) >= 0;
      decoded += escape ? static_cast<char>(policy::hex_value(result[at + 1]) << 4 |
                                            policy::hex_value(result[at + 2]))
                        : result[at];
      if (escape) at += 2;
    }
    EXPECT_THAT(decoded, Not(HasSubstr(value))) << value << " in " << text;
    if (result.find('~') == std::string::npos) {
      EXPECT_EQ(result, text);
    }
  }
}

TEST(ScrubEntries, CarryTheirForms) {
  Rig rig(Env{{"SCRUB_A", "sk-real-1"}});
  rig.secrets(
      "[{source: {type: env, var: SCRUB_A}, scrub_responses: on, "
      "inject: {header: X, formatter: 'Basic {{ base64 \"u:\" .Value }}'}, "
      "rules: [{host: api.test, methods: [PUT]}]}]");
  EXPECT_TRUE(rig.pipeline().scrubs());
  std::vector<ScrubEntry> found;
  rig.pipeline().scrub_entries(rig.request("GET /").exchange, found);
  ASSERT_EQ(found.size(), 1U);
  ScrubSet set;
  set.add(*found[0].forms, found[0].token, found[0].mode);
  set.seal();
  EXPECT_EQ(filtered(set, "sk-real-1 " + base64("u:sk-real-1")),
            "[redacted] " + base64("u:[redacted]"));
  Rig off(Env{{"SCRUB_A", "sk-real-1"}});
  off.secrets("[{source: {type: env, var: SCRUB_A}, inject: {header: X}, rules: [{host: '*'}]}]");
  EXPECT_FALSE(off.pipeline().scrubs());
}

}  // namespace
}  // namespace iron::transforms

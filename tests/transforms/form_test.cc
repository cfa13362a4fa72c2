#include "transforms/auth/form.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iron::transforms {
namespace {

TEST(Form, WritesWhatTokenEndpointsRead) {
  struct Case {
    std::vector<FormPair> pairs;
    const char* text;
  };
  for (const Case& at : {
           Case{{}, ""},
           Case{{{"a", ""}}, "a="},
           Case{{{"client_id", "client id&1"},
                 {"client_secret", "s3cr=t"},
                 {"grant_type", "client_credentials"},
                 {"scope", "a.read b&c"}},
                "client_id=client+id%261&client_secret=s3cr%3Dt&grant_type=client_credentials&"
                "scope=a.read+b%26c"},
           Case{{{"refresh_token", "r+t/1 &"}}, "refresh_token=r%2Bt%2F1+%26"},
           Case{{{"username", "user@x"}}, "username=user%40x"},
           Case{{{"a b", "-_.~\xff\n"}}, "a+b=-_.~%FF%0A"},
       }) {
    EXPECT_EQ(write_form(at.pairs).reveal(), at.text);
  }
  const std::string longer(5000, '\xe9');
  const std::vector<FormPair> pairs{{"a", longer}, {"b", "z"}};
  const Secret text = write_form(pairs);
  EXPECT_EQ(text.size(), 2 + 3 * longer.size() + 4);
  EXPECT_EQ(form_value(text.reveal(), "a")->reveal(), longer);
  EXPECT_EQ(form_value(text.reveal(), "b")->reveal(), "z");
}

TEST(Form, FindsTheFirstValueOfAName) {
  constexpr const char* kForm = "&a=1+2%2b&%61=3&b&c==d&&=e";
  struct Case {
    const char *name, *value;
  };
  for (const Case& at : {Case{"a", "1 2+"}, Case{"b", ""}, Case{"c", "=d"}, Case{"", "e"},
                         Case{"d", nullptr}, Case{"aa", nullptr}}) {
    const auto value = form_value(kForm, at.name);
    ASSERT_EQ(value.has_value(), at.value != nullptr) << at.name;
    if (value) {
      EXPECT_EQ(value->reveal(), at.value);
    }
  }
}

TEST(Form, RefusesBrokenEscapes) {
  for (const char* text : {"a=%", "a=%4", "a=%4g", "%zz=1&a=2", "a=1;b=2"}) {
    EXPECT_FALSE(is_form(text)) << text;
    EXPECT_FALSE(form_value(text, "a")) << text;
  }
  for (const char* text : {"", "&", "a", "a=%41", "a=%4a&b=%4A"})
    EXPECT_TRUE(is_form(text)) << text;
}

}  // namespace
}  // namespace iron::transforms

#include "transforms/secrets/secret_forms.h"

#include "transforms/encoding.h"

namespace iron::transforms {

SecretForms::Injected SecretForms::injected() const {
  if (formatter_ == nullptr) return {value_.get(), nullptr};
  std::call_once(formatted_once_, [&] {
    auto result = formatter_->run(*value_);
    if (result) {
      formatted_.emplace(std::move(*result));
    } else {
      format_error_ = result.error().text;
    }
  });
  if (formatted_) return {&*formatted_, nullptr};
  return {nullptr, &format_error_};
}

const Secret& SecretForms::in_body(BodyCoding coding) const {
  const Secret& value = *value_;
  const auto coded = [&](std::once_flag& once, std::optional<Secret>& kept, std::size_t most,
                         char* (*put_coded)(char*, std::string_view)) -> const Secret& {
    std::call_once(once, [&] {
      Secret text = Secret::sized(most * value.size());
      char* out = text.writable().data();
      text.shrink(static_cast<std::size_t>(put_coded(out, value.reveal()) - out));
      if (!text.equals(value.reveal())) kept.emplace(Secret::copy_of(text.reveal()));
    });
    return kept ? *kept : value;
  };
  if (coding == BodyCoding::form) return coded(form_once_, form_encoded_, 3, put_form_encoded);
  if (coding == BodyCoding::json) return coded(json_once_, json_escaped_, 6, put_json_escaped);
  return value;
}

const ScrubForms& SecretForms::scrub_forms() const {
  std::call_once(scrub_once_, [&] {
    const Secret* sent = formatter_ == nullptr ? nullptr : injected().value;
    if (sent != nullptr) {
      scrub_forms_.emplace(*value_, *sent);
    } else {
      scrub_forms_.emplace(*value_);
    }
  });
  return *scrub_forms_;
}

}  // namespace iron::transforms

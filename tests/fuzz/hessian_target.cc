// Input: a Hessian object, or the header of one that has the data it asks for.
#include <cmath>
#include <span>

#include "common/base/check.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"
#include "worker/hessian_object.h"

namespace caldera::fuzz {
namespace {

std::vector<std::byte> BytesOf(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Verdict Decode(const std::string& bytes) {
  const auto hessian = worker::DecodeHessian(BytesOf(bytes), "input");
  if (!hessian.ok()) return Verdict::kRefused;
  const std::int64_t expected = hessian->size * (hessian->size + 1) / 2;
  CALDERA_CHECK(std::cmp_equal(hessian->packed_lower.size(), expected),
                "{} values of a Hessian of size {}", hessian->packed_lower.size(), hessian->size);
  const auto encoded = worker::EncodeHessian(*hessian);
  CALDERA_CHECK(encoded.ok(), "what was read cannot be written");
  CALDERA_CHECK(worker::DecodeHessian(*encoded, "again").ok(), "what was written cannot be read");
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  const Verdict whole = Decode(input);
  const Verdict header = Decode(SafetensorsAround(input));
  return whole == Verdict::kAccepted ? whole : header;
}

std::string Header(const std::string& size, const std::string& shape) {
  return R"({"__metadata__":{"format":"caldera.hessian.v1","size":")" + size +
         R"(","tokens":"12"},"hessian":{"dtype":"F32","shape":[)" + shape +
         R"(],"data_offsets":[0,24]}})";
}

std::vector<Seed> Seeds() {
  return {{"header", Verdict::kAccepted, Header("3", "6")},
          {"object", Verdict::kAccepted, SafetensorsAround(Header("3", "6"))},
          {"another_size", Verdict::kRefused, Header("4", "6")},
          {"square", Verdict::kRefused, Header("3", "2,3")},
          {"huge_size", Verdict::kRefused, Header("999999999999999", "6")}};
}

}  // namespace

Target HessianTarget() { return {"hessian", Run, Seeds}; }

}  // namespace caldera::fuzz

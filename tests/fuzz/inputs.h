// Files made from the bytes of a fuzzer, and the readings that several targets share.
#ifndef CALDERA_TESTS_FUZZ_INPUTS_H_
#define CALDERA_TESTS_FUZZ_INPUTS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/model/byte_source.h"
#include "common/model/safetensors_writer.h"
#include "common/model/tensor_source.h"

namespace caldera::fuzz {

// A file named "input" of these bytes.
std::unique_ptr<model::ByteSource> SourceOf(std::string_view bytes);
std::string TextOf(const std::vector<std::byte>& bytes);

// The parts of an input that takes several texts, cut at `separator`; `count` of them, the last one
// with all that is left, missing ones empty.
std::vector<std::string> Parts(const std::string& input, char separator, std::size_t count);

// `count` bytes of no pattern that matters.
std::string FillerBytes(std::size_t count);
// The largest decimal number in a text that is not above `limit` and not part of a word; 0 when
// there is none.
std::size_t LargestNumber(std::string_view text, std::size_t limit);

// A safetensors file with this header and as much data as its largest number says: mutated lengths
// would hardly ever agree by themselves.
std::string SafetensorsAround(const std::string& header);

// Tensors as declared, their data taken from `bytes` one after another; zeros where these end.
std::vector<model::SafetensorsTensor> TensorsFrom(
    const std::vector<model::SafetensorsDeclaration>& declarations, const std::string& bytes);

// Reads all tensors in every way that TensorSource has, and parts of them; checks the sizes.
void ReadEveryTensor(const model::TensorSource& source);

}  // namespace caldera::fuzz

#endif  // CALDERA_TESTS_FUZZ_INPUTS_H_

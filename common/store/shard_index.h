// model.safetensors.index.json: which shard holds which tensor, as Hugging Face readers expect it.
#ifndef CALDERA_COMMON_STORE_SHARD_INDEX_H_
#define CALDERA_COMMON_STORE_SHARD_INDEX_H_

#include <cstdint>
#include <map>
#include <string>

namespace caldera::store {

inline constexpr char kShardIndexFile[] = "model.safetensors.index.json";

struct ShardIndex {
  std::uint64_t total_size = 0;                   // bytes of all tensors, without headers
  std::map<std::string, std::string> weight_map;  // tensor -> file, base name
};

// {"metadata": {"total_size": N}, "weight_map": {...}}: sorted keys, two spaces, '\n' at the end.
std::string ShardIndexToJson(const ShardIndex& index);

// "model-00002-of-00032.safetensors": shard `number` from 1 of `count`.
std::string ShardFileName(int number, int count);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_SHARD_INDEX_H_

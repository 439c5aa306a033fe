#include "common/store/shard_index.h"

#include <gtest/gtest.h>

namespace caldera::store {
namespace {

TEST(ShardIndex, IsSortedJsonAsHuggingFaceReadersExpectIt) {
  const ShardIndex index{.total_size = 12,
                         .weight_map = {{"b", ShardFileName(2, 2)}, {"a", ShardFileName(1, 2)}}};
  EXPECT_EQ(ShardIndexToJson(index), R"({
  "metadata": {
    "total_size": 12
  },
  "weight_map": {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors"
  }
}
)");
}

TEST(ShardIndex, AnEmptyOneIsStillAnObject) {
  EXPECT_EQ(ShardIndexToJson({}),
            "{\n  \"metadata\": {\n    \"total_size\": 0\n  },\n  \"weight_map\": {}\n}\n");
}

}  // namespace
}  // namespace caldera::store

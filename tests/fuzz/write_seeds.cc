// write-fuzz-seeds DIRECTORY: the seeds of every target as DIRECTORY/TARGET/seeds/SEED, for
// libFuzzer; prints the names of the targets.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write-fuzz-seeds DIRECTORY\n";
    return 2;
  }
  for (const caldera::fuzz::Target& target : caldera::fuzz::AllTargets()) {
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name / "seeds";
    std::filesystem::create_directories(folder);
    for (const caldera::fuzz::Seed& seed : target.seeds()) {
      std::ofstream file(folder / seed.name, std::ios::binary | std::ios::trunc);
      file << seed.bytes;
      if (!file.flush()) {
        std::cerr << folder / seed.name << ": cannot be written\n";
        return 1;
      }
    }
    std::cout << target.name << "\n";
  }
  return 0;
}

// The field list of every struct of the manifest, once, for reading and writing alike. Internal to
// manifest.cc.
//
// VisitFields calls visit(name, member) for each member; names are the JSON names. Adding a field
// here and in the struct is all it takes (and a new format version: readers are strict).
#ifndef CALDERA_COMMON_STORE_MANIFEST_FIELDS_H_
#define CALDERA_COMMON_STORE_MANIFEST_FIELDS_H_

#include "common/store/manifest.h"

namespace caldera::store {

template <typename Visitor>
void VisitFields(ManifestSpec::Calibration& value, Visitor& visit) {
  visit("samples", value.samples);
  visit("seq_len", value.seq_len);
  visit("ranges", value.ranges);
  visit("seed", value.seed);
}

template <typename Visitor>
void VisitFields(ManifestSpec::Decomposition& value, Visitor& visit) {
  visit("recipe", value.recipe);
  visit("codebook", value.codebook);
  visit("q_bits", value.q_bits);
  visit("rank", value.rank);
  visit("l_bits", value.l_bits);
  visit("r_bits", value.r_bits);
  visit("iterations", value.iterations);
  visit("seed", value.seed);
  visit("target_bits", value.target_bits);
  visit("target_bits_include", value.target_bits_include);
}

template <typename Visitor>
void VisitFields(ManifestSpec& value, Visitor& visit) {
  visit("calibration", value.calibration);
  visit("decomposition", value.decomposition);
  visit("embedding_bits", value.embedding_bits);
}

template <typename Visitor>
void VisitFields(ManifestModel& value, Visitor& visit) {
  visit("fingerprint", value.fingerprint);
  visit("architecture", value.architecture);
  visit("layers", value.layers);
  visit("parameters", value.parameters);
  visit("source_bytes", value.source_bytes);
}

template <typename Visitor>
void VisitFields(ManifestCalibration& value, Visitor& visit) {
  visit("sha256", value.sha256);
  visit("tokens", value.tokens);
}

template <typename Visitor>
void VisitFields(ObjectInfo& value, Visitor& visit) {
  visit("sha256", value.sha256);
  visit("bytes", value.size);
}

template <typename Visitor>
void VisitFields(ManifestMatrix& value, Visitor& visit) {
  visit("name", value.name);
  visit("rows", value.rows);
  visit("columns", value.columns);
  visit("rank", value.rank);
  visit("q_bits", value.q_bits);
  visit("l_bits", value.l_bits);
  visit("r_bits", value.r_bits);
  visit("bits_per_weight", value.bits_per_weight);
  visit("relative_error", value.relative_error);
  visit("error_curve", value.error_curve);
  visit("best_iteration", value.best_iteration);
  visit("damping", value.damping);
  visit("probe_divergence", value.probe_divergence);
}

// All but "format", which is read first.
template <typename Visitor>
void VisitFields(Manifest& value, Visitor& visit) {
  visit("tool_version", value.tool_version);
  visit("files", value.files);
  visit("spec", value.spec);
  visit("model", value.model);
  visit("calibration", value.calibration);
  visit("matrices", value.matrices);
  visit("bits_per_weight", value.bits_per_weight);
  visit("model_bits_per_weight", value.model_bits_per_weight);
  visit("output_bytes", value.output_bytes);
  visit("mean_relative_error", value.mean_relative_error);
  visit("max_relative_error", value.max_relative_error);
}

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_MANIFEST_FIELDS_H_

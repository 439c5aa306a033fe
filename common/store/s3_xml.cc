#include "common/store/s3_xml.h"

#include <cstring>
#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/numbers.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

// The root element, which must be called `name`.
absl::StatusOr<pugi::xml_node> ParseRoot(const std::string& xml, const char* name,
                                         pugi::xml_document* document) {
  const pugi::xml_parse_result result = document->load_buffer(xml.data(), xml.size());
  const pugi::xml_node root = document->document_element();
  if (result && std::strcmp(root.name(), name) == 0) return root;
  return base::DataLoss("the answer of the S3 server is no {}", name);
}

bool IsTruncated(const pugi::xml_node& root) {
  return std::strcmp(root.child_value("IsTruncated"), "true") == 0;
}

}  // namespace

S3Error ParseS3Error(const std::string& xml) {
  pugi::xml_document document;
  const auto root = ParseRoot(xml, "Error", &document);
  if (!root.ok()) return {};
  return {root->child_value("Code"), root->child_value("Message")};
}

absl::StatusOr<S3ListPage> ParseListPage(const std::string& xml) {
  pugi::xml_document document;
  CALDERA_ASSIGN_OR_RETURN(const pugi::xml_node root,
                           ParseRoot(xml, "ListBucketResult", &document));
  S3ListPage page;
  for (const pugi::xml_node& node : root.children("Contents")) {
    S3ListEntry entry{node.child_value("Key"), 0};
    if (!absl::SimpleAtoi(node.child_value("Size"), &entry.size)) {
      return base::DataLoss("the S3 server lists \"{}\" without a size", entry.key);
    }
    page.entries.push_back(std::move(entry));
  }
  for (const pugi::xml_node& node : root.children("CommonPrefixes")) {
    page.prefixes.emplace_back(node.child_value("Prefix"));
  }
  if (IsTruncated(root)) page.next = root.child_value("NextContinuationToken");
  return page;
}

absl::StatusOr<S3UploadPage> ParseUploadPage(const std::string& xml) {
  pugi::xml_document document;
  CALDERA_ASSIGN_OR_RETURN(const pugi::xml_node root,
                           ParseRoot(xml, "ListMultipartUploadsResult", &document));
  S3UploadPage page;
  for (const pugi::xml_node& node : root.children("Upload")) {
    page.uploads.push_back({node.child_value("Key"), node.child_value("UploadId")});
  }
  if (IsTruncated(root)) {
    page.next_key = root.child_value("NextKeyMarker");
    page.next_id = root.child_value("NextUploadIdMarker");
  }
  return page;
}

absl::StatusOr<std::string> ParseChild(const std::string& xml, const std::string& child) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_buffer(xml.data(), xml.size());
  const std::string text = document.document_element().child_value(child.c_str());
  if (!result || text.empty()) {
    return base::DataLoss("the answer of the S3 server has no {}", child);
  }
  return text;
}

std::string CompleteUploadXml(const std::vector<std::string>& etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (std::size_t i = 0; i < etags.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text() = i + 1;
    part.append_child("ETag").text() = etags[i].c_str();
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw);
  return text.str();
}

}  // namespace caldera::store

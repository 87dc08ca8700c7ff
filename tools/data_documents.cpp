#include "tools/data_documents.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace golf {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\v\f";

void Strip(std::string& text) {
  const size_t end = text.find_last_not_of(kSpaces);
  text.erase(end == std::string::npos ? 0 : end + 1);
  text.erase(0, text.find_first_not_of(kSpaces));
}

bool IsBlank(const std::string& line) {
  return line.find_first_not_of(kSpaces) == std::string::npos;
}

DocumentFormat FormatByName(const std::string& path) {
  const bool json = path.ends_with(".jsonl") || path.ends_with(".ndjson");
  return json ? DocumentFormat::kJsonLines : DocumentFormat::kLines;
}

}  // namespace

void DocumentReader::RegexDeleter::operator()(regex_t* r) const {
  regfree(r);
  delete r;
}

Result<DocumentReader> DocumentReader::Open(const DocumentSource& source) {
  DocumentReader reader;
  reader.source_ = source;
  if (source.format == DocumentFormat::kHeadings) {
    auto compiled = std::make_unique<regex_t>();
    const int error = regcomp(compiled.get(), source.heading.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
      char why[128];
      regerror(error, compiled.get(), why, sizeof why);
      return Status(Code::kUsage,
                    fmt::format("regular expression \"{}\": {}", source.heading, why));
    }
    reader.heading_.reset(compiled.release());
  }
  if (source.files.empty()) return Status(Code::kUsage, "no input files");
  for (const auto& file : source.files) {
    std::error_code error;
    reader.total_bytes_ += std::filesystem::file_size(file, error);
    if (error) return Status(Code::kIo, file + ": " + error.message());
  }
  return reader;
}

Result<bool> DocumentReader::Next(std::string& document) {
  while (true) {
    if (!in_.is_open()) {
      if (next_file_ == source_.files.size()) return false;
      GOLF_TRY(OpenNextFile());
    }
    GOLF_ASSIGN(const bool found, NextInFile(document));
    if (!found) {
      in_.close();
      continue;
    }
    Strip(document);
    if (document.empty()) continue;
    if (!IsUtf8(document)) return Bad("is not UTF-8 text");
    return true;
  }
}

Status DocumentReader::OpenNextFile() {
  const std::string& path = source_.files[next_file_++];
  do {
    in_.clear();
    in_.open(path, std::ios::binary);
  } while (!in_ && errno == EINTR);
  if (!in_) return {Code::kIo, path + ": cannot open: " + std::strerror(errno)};
  format_ = source_.format == DocumentFormat::kByName ? FormatByName(path) : source_.format;
  line_number_ = 0;
  pending_heading_.clear();
  return {};
}

// The next line with its \n, if it has one. False at the end of the file.
Result<bool> DocumentReader::ReadLine(std::string& line) {
  if (!std::getline(in_, line)) {
    if (in_.bad()) {
      return Status(Code::kIo,
                    source_.files[next_file_ - 1] + ": cannot read: " + std::strerror(errno));
    }
    return false;
  }
  ++line_number_;
  bytes_read_ += line.size() + (in_.eof() ? 0 : 1);
  if (line_number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

Result<bool> DocumentReader::NextInFile(std::string& document) {
  std::string line;
  if (format_ == DocumentFormat::kLines || format_ == DocumentFormat::kJsonLines) {
    GOLF_ASSIGN(const bool read, ReadLine(line));
    if (!read) return false;
    document.clear();
    if (format_ == DocumentFormat::kLines) {
      document = std::move(line);
    } else if (!IsBlank(line)) {
      GOLF_TRY(FromJson(line, document));
    }
    return true;
  }
  document = std::move(pending_heading_);
  pending_heading_.clear();
  while (true) {
    GOLF_ASSIGN(const bool read, ReadLine(line));
    if (!read) return !document.empty();
    line += '\n';
    if (format_ == DocumentFormat::kBlankLines && IsBlank(line) && !document.empty()) return true;
    if (format_ == DocumentFormat::kHeadings && StartsDocument(line) && !document.empty()) {
      pending_heading_ = std::move(line);
      return true;
    }
    document += line;
  }
}

bool DocumentReader::StartsDocument(const std::string& line) const {
  const std::string without_newline = line.substr(0, line.size() - 1);
  return regexec(heading_.get(), without_newline.c_str(), 0, nullptr, 0) == 0;
}

Status DocumentReader::FromJson(const std::string& line, std::string& document) const {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Bad("is not a JSON object");
  const auto field = object.find(source_.json_field);
  if (field == object.end() || !field->is_string()) {
    return Bad(fmt::format("has no string \"{}\"", source_.json_field));
  }
  document = field->get<std::string>();
  return {};
}

Status DocumentReader::Bad(const std::string& what) const {
  const char* where = format_ == DocumentFormat::kLines || format_ == DocumentFormat::kJsonLines
                          ? "line"
                          : "the document that ends at line";
  return {Code::kBadData,
          fmt::format("{}: {} {} {}", source_.files[next_file_ - 1], where, line_number_, what)};
}

bool IsUtf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    if (length >
        2) {  // the second byte excludes long forms, surrogates and what lies above U+10FFFF
      const auto second = static_cast<uint8_t>(text[i + 1]);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return false;
      if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace golf

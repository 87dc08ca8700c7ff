// Documents out of text files, one at a time, so that a corpus of any size passes through bounded memory.
//
// A document is stripped of white space (space, \t, \r, \n, \v, \f) at both ends; what is then empty is no document.
// Text must be UTF-8; a byte order mark at the start of a file and the \r of \r\n are dropped.
#pragma once
#include <regex.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

enum class DocumentFormat {
  kByContent,  // kJsonLines for a file that begins with a JSON object, and by the name *.jsonl; kLines for others
  kLines,       // a line is a document
  kBlankLines,  // documents are separated by blank lines
  kFiles,       // a file is a document
  kJsonLines,  // each line is a JSON object (NaN and Infinity as Python writes them are read, too), the document is the
               // string in its field `json_field`
  kHeadings,   // a document begins at each line that `heading` matches
};

struct DocumentSource {
  std::vector<std::string> files = {};
  DocumentFormat format = DocumentFormat::kByContent;
  std::string json_field = "text";
  std::string heading = {};  // POSIX extended regular expression, for kHeadings
};

class DocumentReader {
 public:
  // kUsage if the regular expression is wrong, kIo if a file cannot be looked at.
  static Result<DocumentReader> Open(const DocumentSource& source);

  // The next document, or false after the last one. kIo for read errors; kBadData, with file and line, for text that is
  // not UTF-8 and for lines that are not JSON objects with that field; there with the column as well.
  Result<bool> Next(std::string& document);

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t total_bytes() const { return total_bytes_; }  // of all files

 private:
  struct RegexDeleter {
    void operator()(regex_t* r) const;
  };
  DocumentReader() = default;
  Status OpenNextFile();
  Result<bool> ReadLine(std::string& line);
  Result<bool> NextInFile(std::string& document);
  bool StartsDocument(const std::string& line) const;
  Status FromJson(std::string& line, std::string& document) const;
  Status Bad(const std::string& what, const char* before = " ") const;

  DocumentSource source_;
  std::unique_ptr<regex_t, RegexDeleter> heading_;
  uint64_t total_bytes_ = 0, bytes_read_ = 0;
  size_t next_file_ = 0;
  std::ifstream in_;
  DocumentFormat format_ = DocumentFormat::kLines;  // of the open file
  uint64_t line_number_ = 0;
  std::string pending_heading_;  // kHeadings: the line that ended the previous document
};

// The first words of a document, for messages.
std::string Excerpt(const std::string& text);

// True if `text` is well-formed UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF).
bool IsUtf8(const std::string& text);

}  // namespace golf

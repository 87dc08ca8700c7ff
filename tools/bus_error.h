// Files are read through maps. If a disk fails under a map, or someone cuts the file short, the system has no error to return
// and sends SIGBUS instead.
#pragma once

namespace golf {

// From here on such a fault ends the program as any other read error does: with a message that names the file, and exit
// code 3. A SIGBUS that has nothing to do with a file stays what it is.
void ReportBusErrors();

}  // namespace golf

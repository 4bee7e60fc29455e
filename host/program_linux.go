package host

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetProgram takes what was read of the program's file out of what this process holds: at the start that are all
// plugins that come with the program, whose hashes are worked out, and nobody reads there again. What is read again the
// machine brings back, from memory as a rule. Only mappings that hold nothing but the file's bytes, so that nothing can
// be lost.
func forgetProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range readOnlyOf(program, string(smaps)) {
		// nothing to be done about an error: the pages stay
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// readOnlyOf finds, in what /proc/PID/smaps says, the mappings of a file that are only read and have no page that
// differs from the file.
func readOnlyOf(file, smaps string) (found []mapping) {
	var m mapping
	ofFile := false
	for line := range strings.Lines(smaps) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"): // addresses, rights, offset, device, inode, name
			_, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to)
			ofFile = err == nil && len(fields) > 5 && (fields[1] == "r--p" || fields[1] == "r-xp") &&
				strings.Join(fields[5:], " ") == file
		case ofFile && fields[0] == "Anonymous:" && len(fields) > 1 && fields[1] == "0":
			found = append(found, m)
		}
	}
	return found
}

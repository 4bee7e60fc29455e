package host

import (
	"crypto/sha256"
	"os"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Only what is the program's, read-only and as the file has it, is let go of.
func TestMappingsOfTheProgram(t *testing.T) {
	const smaps = `00400000-01000000 r-xp 00000000 08:01 7 /opt/my culvert
Rss: 100 kB
Anonymous:             0 kB
VmFlags: rd ex
01000000-02000000 r--p 00c00000 08:01 7 /opt/my culvert
Rss: 100 kB
Anonymous:             0 kB
02000000-03000000 r--p 01c00000 08:01 7 /opt/my culvert
Anonymous:             4 kB
03000000-03100000 rw-p 02c00000 08:01 7 /opt/my culvert
Anonymous:             0 kB
03100000-03200000 r--p 00000000 08:01 8 /opt/other
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`
	if got, want := readOnlyOf("/opt/my culvert", smaps), []mapping{{0x400000, 0x1000000},
		{0x1000000, 0x2000000}}; !slices.Equal(got, want) {
		t.Errorf("expected %x, found %x", want, got)
	}
}

// What was let go of is there again when it is read.
func TestForgottenProgramIsThere(t *testing.T) {
	sum := func() (sums [][32]byte) {
		program, err := os.Readlink("/proc/self/exe")
		require.NoError(t, err)
		smaps, err := os.ReadFile("/proc/self/smaps")
		require.NoError(t, err)
		memory, err := os.Open("/proc/self/mem")
		require.NoError(t, err)
		defer memory.Close()
		for _, m := range readOnlyOf(program, string(smaps)) {
			held := make([]byte, m.to-m.from)
			if _, err := memory.ReadAt(held, int64(m.from)); err != nil {
				t.Fatal(err)
			}
			sums = append(sums, sha256.Sum256(held))
		}
		return sums
	}
	before := sum()
	forgetProgram()
	if after := sum(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("expected %x, found %x", before, after)
	}
}

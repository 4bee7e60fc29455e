package setup

import (
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The available memory is the least of the machine's memory and the limits of control groups of either version, at any
// depth.
func TestAvailableMemory(t *testing.T) {
	const (
		machine       = "proc/meminfo"
		ownGroup      = "proc/self/cgroup"
		version1      = "sys/fs/cgroup/memory/"
		version2      = "sys/fs/cgroup/"
		machineOf8GiB = "MemTotal:        8388608 kB\nMemFree: 1 kB\n"
	)
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {want: fallbackMemory},
		"the machine":      {files: map[string]string{machine: machineOf8GiB}, want: 8 << 30},
		"a container of version 2": {
			files: map[string]string{
				machine:                 machineOf8GiB,
				ownGroup:                "0::/\n",
				version2 + "memory.max": "536870912\n",
			},
			want: 512 << 20,
		},
		"no bound of version 2": {
			files: map[string]string{machine: machineOf8GiB, ownGroup: "0::/\n", version2 + "memory.max": "max\n"},
			want:  8 << 30,
		},
		"a unit, within a slice": {
			files: map[string]string{
				machine:                            machineOf8GiB,
				ownGroup:                           "0::/work.slice/culvert.service\n",
				version2 + "work.slice/memory.max": "1073741824\n",
				version2 + "work.slice/culvert.service/memory.max": "max\n",
			},
			want: 1 << 30,
		},
		"a container of version 1": {
			files: map[string]string{
				machine:                            machineOf8GiB,
				ownGroup:                           "5:cpu,cpuacct:/x\n4:memory:/docker/1f\n0::/\n",
				version1 + "memory.limit_in_bytes": "268435456\n",
			},
			want: 256 << 20,
		},
		"version 1, a group of its own": {
			files: map[string]string{
				machine:                                machineOf8GiB,
				ownGroup:                               "4:hugetlb,memory:/a/b\n",
				version1 + "memory.limit_in_bytes":     "9223372036854771712\n",
				version1 + "a/b/memory.limit_in_bytes": "134217728\n",
			},
			want: 128 << 20,
		},
		"version 1 without a bound": {
			files: map[string]string{
				machine:                            machineOf8GiB,
				ownGroup:                           "4:memory:/\n",
				version1 + "memory.limit_in_bytes": "9223372036854771712\n",
			},
			want: 8 << 30,
		},
		"a group that allows more than there is": {
			files: map[string]string{machine: machineOf8GiB, version2 + "memory.max": "99999999999999\n"},
			want:  8 << 30,
		},
		"what is no number": {
			files: map[string]string{machine: "MemTotal: x kB\n", ownGroup: "::\nx", version2 + "memory.max": "-1\n"},
			want:  fallbackMemory,
		},
	} {
		root := fstest.MapFS{}
		for file, text := range test.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		assert.Equal(t, test.want, availableIn(root), name)
	}
}

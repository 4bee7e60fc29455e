package setup

import (
	"testing"
	"testing/fstest"
)

// What may be used is the least of the machine's memory and of what control groups allow, of either version, at any
// depth.
func TestAvailableMemory(t *testing.T) {
	const machine, own, first, second = "proc/meminfo", "proc/self/cgroup", "sys/fs/cgroup/memory/", "sys/fs/cgroup/"
	total := "MemTotal:        8388608 kB\nMemFree: 1 kB\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {nil, fallbackMemory},
		"the machine":      {map[string]string{machine: total}, 8 << 30},
		"a container of version 2": {map[string]string{machine: total, own: "0::/\n", second +
			"memory.max": "536870912\n"}, 512 << 20},
		"no bound of version 2": {map[string]string{machine: total, own: "0::/\n", second + "memory.max": "max\n"},
			8 << 30},
		"a unit, within a slice": {map[string]string{machine: total, own: "0::/work.slice/culvert.service\n",
			second + "work.slice/memory.max": "1073741824\n", second +
				"work.slice/culvert.service/memory.max": "max\n"}, 1 << 30},
		"a container of version 1": {map[string]string{machine: total,
			own:                             "5:cpu,cpuacct:/x\n4:memory:/docker/1f\n0::/\n",
			first + "memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		"version 1, a group of its own": {map[string]string{machine: total, own: "4:hugetlb,memory:/a/b\n",
			first + "memory.limit_in_bytes": "9223372036854771712\n", first +
				"a/b/memory.limit_in_bytes": "134217728\n"}, 128 << 20},
		"version 1 without a bound": {map[string]string{machine: total, own: "4:memory:/\n",
			first + "memory.limit_in_bytes": "9223372036854771712\n"}, 8 << 30},
		"a group that allows more than there is": {map[string]string{machine: total, second +
			"memory.max": "99999999999999\n"}, 8 << 30},
		"what is no number": {map[string]string{machine: "MemTotal: x kB\n", own: "::\nx", second +
			"memory.max": "-1\n"}, fallbackMemory},
	} {
		root := fstest.MapFS{}
		for file, text := range test.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := availableIn(root); got != test.want {
			t.Errorf("%s: expected %d, found %d", name, test.want, got)
		}
	}
}

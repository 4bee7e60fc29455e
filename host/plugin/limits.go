package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits fence a plugin in. A zero field stands for its default.
type Limits struct {
	// MemoryBytes is the most memory that an instance may have, rounded down to pages of 64 KiB. Default 128 MiB; Go guests need
	// about 32 MiB.
	MemoryBytes int64
	// ResultBytes is the most that the results of one call may take. Default 64 MiB.
	ResultBytes int64
	// LogLinesPerSecond is how many lines the instances of a plugin may log for one connector, their output on stdout and stderr
	// included. More are dropped and counted; a call that logs a hundred times as many is stopped. Default 100.
	LogLinesPerSecond int64
	// CallMs is how long a call may take, in milliseconds, whatever its function. Default by function: 1 s for decode, apply, test,
	// encode and settle, 10 s for all others.
	CallMs int64
	// Instances is how many instances of a module there may be for one connector. Default 8.
	Instances int64
	// Calls is after how many calls an instance is replaced by a fresh one. Default 100,000.
	Calls int64
	// RecycleBytes is the memory at which an instance is replaced by a fresh one, since guest memory never shrinks. Default half
	// of MemoryBytes, but at least 16 MiB more than an instance starts with.
	RecycleBytes int64
}

// limitNames are what follows `plugin.<name>.limits.` in the worker's configuration.
var limitNames = map[string]func(*Limits) *int64{
	"memory.bytes":         func(l *Limits) *int64 { return &l.MemoryBytes },
	"result.bytes":         func(l *Limits) *int64 { return &l.ResultBytes },
	"log.lines.per.second": func(l *Limits) *int64 { return &l.LogLinesPerSecond },
	"call.ms":              func(l *Limits) *int64 { return &l.CallMs },
	"instances":            func(l *Limits) *int64 { return &l.Instances },
	"calls":                func(l *Limits) *int64 { return &l.Calls },
	"recycle.bytes":        func(l *Limits) *int64 { return &l.RecycleBytes },
}

const maxMemoryBytes = 65536 * pageBytes

// limitSetting is the setting by which an operator changes a plugin's limit.
func limitSetting(plugin, limit string) string { return "plugin." + plugin + ".limits." + limit }

// filled returns the limits with defaults where nothing is set.
func (l Limits) filled() Limits {
	fill := func(v *int64, or int64) {
		if *v <= 0 {
			*v = or
		}
	}
	fill(&l.MemoryBytes, 128<<20)
	l.MemoryBytes = min(l.MemoryBytes, maxMemoryBytes)
	fill(&l.ResultBytes, 64<<20)
	fill(&l.LogLinesPerSecond, 100)
	fill(&l.Instances, 8)
	fill(&l.Calls, 100_000)
	fill(&l.RecycleBytes, l.MemoryBytes/2)
	return l
}

// quick are the functions that carry batches, of which a connector makes thousands of calls.
var quick = map[string]bool{"decode": true, "apply": true, "test": true, "encode": true, "settle": true}

// call is how long a call of a function may take.
func (l Limits) call(function string) time.Duration {
	switch {
	case l.CallMs > 0:
		return time.Duration(min(l.CallMs, maxCallMs)) * time.Millisecond
	case quick[function]:
		return time.Second
	}
	return 10 * time.Second
}

// maxCallMs is a day.
const maxCallMs = 24 * 60 * 60 * 1000

func (l Limits) pages() uint32 { return uint32(l.MemoryBytes / pageBytes) }

// limitsOf parses the settings `plugin.<name>.limits.*` of a worker. Other keys are left alone.
func limitsOf(base Limits, settings map[string]string) (map[string]Limits, error) {
	all := map[string]Limits{}
	for key, value := range settings {
		rest, ok := strings.CutPrefix(key, "plugin.")
		if !ok || !strings.Contains(rest, ".") {
			continue // plugin.path and plugin.discovery are the worker's
		}
		at := strings.LastIndex(rest, ".limits.")
		if at <= 0 {
			return nil, fmt.Errorf("%s: expected plugin.NAME.limits.LIMIT", key)
		}
		name, limit := rest[:at], rest[at+len(".limits."):]
		field := limitNames[limit]
		if field == nil {
			return nil, fmt.Errorf("%s: unknown limit %s: expected one of %s", key, limit, strings.Join(sortedKeys(limitNames), ", "))
		}
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%s: expected a number above 0, found %q", key, value)
		}
		l, ok := all[name]
		if !ok {
			l = base
		}
		*field(&l) = n
		all[name] = l
	}
	return all, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

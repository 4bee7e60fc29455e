package plugin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Limits bound the resources of a plugin. Zero fields have their default.
type Limits struct {
	// MemoryBytes bounds the memory of an instance, rounded down to pages of 64 KiB. Default 128 MiB; Go guests need
	// about 32 MiB.
	MemoryBytes int64
	ResultBytes int64 // bounds the results of one call. Default 64 MiB.
	// LogLinesPerSecond bounds the log lines of a plugin for one connector, with stdout and stderr. More are dropped
	// and counted; a call that logs a hundred times as many is stopped. Default 100.
	LogLinesPerSecond int64
	// CallMs bounds the work of a call, in milliseconds; by the clock it may take ten times as long. Default 1 s for
	// calls with batches (decode, apply, test, encode, handle-response), 10 s for others.
	CallMs    int64
	Instances int64 // bounds the instances of a module for one connector. Default 8.
	Calls     int64 // after how many calls an instance is replaced. Default 100,000.
	// RecycleBytes is the memory at which an instance is replaced, since guest memory never shrinks. Default half of
	// MemoryBytes, but at least 16 MiB more than an instance starts with.
	RecycleBytes int64
}

var limits = []struct {
	name         string
	field        func(*Limits) *int64
	defaultValue int64 // zero means that the default depends on other things
	doc          string
}{
	{name: "memory.bytes", defaultValue: memory.DefaultInstance,
		field: func(l *Limits) *int64 { return &l.MemoryBytes },
		doc:   "Maximum memory of an instance. Below 1 GiB of memory the default is an eighth of it, at least 32 MiB."},
	{name: "result.bytes", field: func(l *Limits) *int64 { return &l.ResultBytes }, defaultValue: 64 << 20,
		doc: "Maximum size of the results of one call."},
	{name: "log.lines.per.second", field: func(l *Limits) *int64 { return &l.LogLinesPerSecond }, defaultValue: 100,
		doc: "Maximum log lines for one connector."},
	{name: "call.ms", field: func(l *Limits) *int64 { return &l.CallMs },
		doc: "Maximum time of a call. The default depends on the function."},
	{name: "instances", field: func(l *Limits) *int64 { return &l.Instances }, defaultValue: 8,
		doc: "Maximum instances for one connector."},
	{name: "calls", field: func(l *Limits) *int64 { return &l.Calls }, defaultValue: 100_000,
		doc: "Calls after which an instance is replaced."},
	{name: "recycle.bytes", field: func(l *Limits) *int64 { return &l.RecycleBytes },
		doc: "Memory at which an instance is replaced; half of memory.bytes."},
}

var limitTable = func() *setting.Table {
	t := &setting.Table{}
	for _, limit := range limits {
		var value *string
		if limit.defaultValue != 0 {
			value = setting.Default(strconv.FormatInt(limit.defaultValue, 10))
		}
		t.Declare(setting.Define(limit.name, wit.KindLong, wit.Low, value, limit.doc, setting.AtLeast(1)))
	}
	return t
}()

// LimitSettings returns the declarations of `plugin.NAME.limits.*`.
func LimitSettings() []wit.ConfigKey { return slices.Clone(limitTable.Keys()) }

// callTimes are the defaults of call.ms by function, "" for all others.
var callTimes = map[string]time.Duration{
	"decode":          time.Second,
	"apply":           time.Second,
	"test":            time.Second,
	"encode":          time.Second,
	"handle-response": time.Second,
	"":                10 * time.Second,
}

const maxMemoryBytes = 65536 * binary.PageBytes // the size of a 32-bit address space

// limitSetting returns the name of a limit's setting; NAME replaces an unknown plugin.
func limitSetting(plugin, limit string) string {
	return "plugin." + cmp.Or(plugin, "NAME") + ".limits." + limit
}

func (l Limits) withDefaults() Limits {
	for _, limit := range limits {
		if v := limit.field(&l); *v <= 0 {
			*v = limit.defaultValue
		}
	}
	l.MemoryBytes = min(l.MemoryBytes, maxMemoryBytes)
	l.RecycleBytes = cmp.Or(l.RecycleBytes, l.MemoryBytes/2)
	return l
}

func (l Limits) callTime(function string) time.Duration {
	if l.CallMs > 0 {
		return time.Duration(min(l.CallMs, maxCallMs)) * time.Millisecond
	}
	if t, ok := callTimes[function]; ok {
		return t
	}
	return callTimes[""]
}

const maxCallMs = 24 * 60 * 60 * 1000 // a day

func (l Limits) pages() uint32 { return uint32(l.MemoryBytes / binary.PageBytes) }

// limitsOf returns the limits of plugins with settings of their own, by plugin.
func limitsOf(base Limits, settings map[string]string) (map[string]Limits, error) {
	byPlugin := map[string]Limits{}
	for key, value := range settings {
		path, ok := strings.CutPrefix(key, "plugin.")
		_, isReveal := trustSetting(key, revealSuffix)
		_, isReplace := trustSetting(key, replaceSuffix)
		if !ok || !strings.Contains(path, ".") || isReveal || isReplace {
			continue // plugin.path and plugin.discovery are the worker's
		}
		nameEnd := strings.LastIndex(path, ".limits.")
		if nameEnd <= 0 {
			return nil, setting.Problem{Setting: key, Code: setting.CodeUnknown,
				Text: "expected plugin.NAME.limits.LIMIT"}
		}
		name := path[:nameEnd]
		limit := path[nameEnd+len(".limits."):]
		spec, ok := limitTable.Find(limit)
		if !ok {
			problem := setting.Unknown("")
			if near := limitTable.Nearest(limit); near != "" {
				problem = setting.Unknown(limitSetting(name, near))
			}
			return nil, setting.Problem{Setting: key, Code: setting.CodeUnknown,
				Text: problem + "; limits are " + strings.Join(limitNames(), ", ")}
		}
		spec.Name = key
		if why := (setting.Check{}).Value(&spec, value); why != "" {
			return nil, setting.Problem{Setting: key, Code: setting.CodeInvalid, Text: why}
		}
		l, ok := byPlugin[name]
		if !ok {
			l = base
		}
		n := slices.Index(limitNames(), limit)
		*limits[n].field(&l), _ = setting.ParseInt(wit.KindLong, value)
		byPlugin[name] = l
	}
	return byPlugin, nil
}

func limitNames() (names []string) {
	for _, limit := range limits {
		names = append(names, limit.name)
	}
	return names
}
